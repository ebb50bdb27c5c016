package salus;

import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.QueryResult;
import de.bwaldvogel.mongo.backend.h2.H2Collection;
import de.bwaldvogel.mongo.bson.Document;
import org.h2.mvstore.MVMap;

/**
 * A document is found by its _id also when the filter asks for more: the rest is compared then. As shipped an index
 * serves only a filter that has exactly its keys, and for any other the whole collection is read.
 */
final class FoundCollection extends H2Collection {
  private static final String ID = "_id";

  FoundCollection(MongoDatabase database, String name, CollectionOptions options, MVMap<Object, Document> data,
      MVMap<String, Object> meta, CursorRegistry cursors) {
    super(database, name, options, data, meta, cursors);
  }

  @Override
  protected QueryResult queryDocuments(Document query, Document orderBy, int skip, int limit, int batch,
      Document fields) {
    if (query.containsKey(ID)) {
      Document byId = new Document(ID, query.get(ID));
      for (Index<Object> index : getIndexes()) {
        if (index.canHandle(byId)) {
          return matchDocuments(query, index.getPositions(byId), orderBy, skip, limit, batch, fields);
        }
      }
    }
    return super.queryDocuments(query, orderBy, skip, limit, batch, fields);
  }

  /** Nobody asks for it, and each change would encode the document twice to know. */
  @Override
  protected boolean tracksDataSize() {
    return false;
  }
}
