package salus;

import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.bson.BsonDecoder;
import de.bwaldvogel.mongo.wire.bson.BsonEncoder;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Map;
import org.h2.mvstore.WriteBuffer;
import org.h2.mvstore.type.BasicDataType;
import org.h2.mvstore.type.ObjectDataType;

/**
 * Documents on the disk as BSON. What MVStore does with objects that it does not know, Java's serialisation, takes
 * several times as long, for each document of each tree page that is written. Files that have such documents are read
 * all the same.
 */
final class BsonType extends BasicDataType<Document> {
  private static final byte TAG = 127; // none of ObjectDataType's
  private static final int NODE = 64;  // bytes in memory, about

  private final ObjectDataType before = new ObjectDataType();

  @Override
  public int getMemory(Document document) {
    return document == null ? 0 : size(document);
  }

  private static int size(Object value) {
    int size = NODE;
    if (value instanceof Map<?, ?> map) {
      for (Object inner : map.values()) {
        size += size(inner);
      }
    } else if (value instanceof Collection<?> items) {
      for (Object inner : items) {
        size += size(inner);
      }
    } else if (value instanceof String text) {
      size += text.length();
    } else if (value instanceof byte[] bytes) {
      size += bytes.length;
    }
    return size;
  }

  @Override
  public void write(WriteBuffer out, Document document) {
    ByteBuf bson = Unpooled.buffer(4096);
    BsonEncoder.encodeDocument(document, bson);
    out.put(TAG).put(bson.nioBuffer());
  }

  @Override
  public Document read(ByteBuffer in) {
    if (in.get(in.position()) != TAG) {
      return (Document) before.read(in);
    }
    in.get();
    ByteBuf bson = Unpooled.wrappedBuffer(in);
    Document document = BsonDecoder.decodeBson(bson);
    in.position(in.position() + bson.readerIndex());
    return document;
  }

  @Override
  public Document[] createStorage(int size) {
    return new Document[size];
  }
}
