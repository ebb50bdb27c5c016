package salus;

import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.backend.ValueComparator;
import de.bwaldvogel.mongo.bson.Document;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.h2.mvstore.WriteBuffer;
import org.h2.mvstore.type.BasicDataType;

/**
 * Keys of an index, by their values. MVStore would serialise two keys for each comparison, and each look into an index
 * is a dozen of them.
 */
final class KeyType extends BasicDataType<KeyValue> {
  private static final int MEMORY = 200; // bytes of a key, about
  private static final String VALUES = "v";

  private final ValueComparator values = ValueComparator.asc();
  private final BsonType bson = new BsonType();

  @Override
  public int compare(KeyValue left, KeyValue right) {
    int order = Integer.compare(left.size(), right.size());
    for (int i = 0; order == 0 && i < left.size(); i++) {
      order = compareValues(left.get(i), right.get(i));
    }
    return order;
  }

  private int compareValues(Object left, Object right) {
    return left instanceof String one && right instanceof String other ? one.compareTo(other)
        : values.compare(left, right);
  }

  @Override
  public int getMemory(KeyValue key) {
    return MEMORY;
  }

  @Override
  public void write(WriteBuffer out, KeyValue key) {
    List<Object> list = new ArrayList<>();
    key.forEach(list::add);
    bson.write(out, new Document(VALUES, list));
  }

  @Override
  public KeyValue read(ByteBuffer in) {
    return new KeyValue((Collection<?>) bson.read(in).get(VALUES));
  }

  @Override
  public KeyValue[] createStorage(int size) {
    return new KeyValue[size];
  }
}
