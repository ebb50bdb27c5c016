package salus;

import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;

/**
 * The stand-in for MongoDB on machines that have none: mongo-java-server over H2's MVStore, with what it lacks to be
 * trusted with data. As shipped it commits once a second, so that a killed server loses writes it has acknowledged.
 * Here a write is committed before its reply goes out. Many clients share a commit: each waits for one that began
 * after its own write was done.
 *
 * <p>A commit takes what is in memory, so it must not see half a command (a document without its index entry): commands
 * hold a shared lock while they change things, the commit the exclusive one. That is also why MVStore's own thread,
 * which would commit at any time, is switched off; housekeep() does the compaction that it would have done.
 */
public final class MongoStandIn extends H2Backend {
  /** Everything else is taken for a write. */
  private static final Set<String> READS = Set.of("find", "count", "distinct", "getMore", "killCursors", "hello",
      "isMaster", "ismaster", "ping", "buildInfo", "buildinfo", "serverStatus", "listCollections", "listIndexes",
      "listDatabases", "endSessions", "getLastError", "whatsmyuri", "dbStats", "collStats", "validate");

  private static final int FILL_RATE = 70; // percent; chunks that hold less are written anew
  private static final int STEP = 4 << 20; // bytes of one compaction
  private static final long PERIOD_MS = 500;

  private final MVStore store;
  private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock(true);
  private final AtomicLong done = new AtomicLong();
  private final Object committing = new Object();
  private final Object turn = new Object(); // two that make a collection at a time would break each other
  private long committed;
  private long compacted;

  private MongoStandIn(MVStore store) {
    super(store);
    this.store = store;
  }

  @Override
  protected MongoDatabase openOrCreateDatabase(String name) {
    return new StandInDatabase(name);
  }

  /** Not static, and reads its store from outside: the constructor above it opens collections already. */
  private final class StandInDatabase extends H2Database {
    StandInDatabase(String name) {
      super(name, getMvStore(), getCursorRegistry());
    }

    @Override
    protected Index<Object> openOrCreateUniqueIndex(String collection, String index, List<IndexKey> keys,
        boolean sparse) {
      String name = getFullCollectionNamespace(collection) + "._keys_" + index;
      return new KeyIndex(getMvStore().openMap(name, new MVMap.Builder<KeyValue, Object>().keyType(new KeyType())),
          index, keys, sparse);
    }

    /** As its own, names of maps included, but for what their classes say. */
    @Override
    protected MongoCollection<Object> openOrCreateCollection(String name, CollectionOptions options) {
      String full = getFullCollectionNamespace(name);
      MVMap<Object, Document> data = getMvStore().openMap("databases." + full,
          new MVMap.Builder<Object, Document>().valueType(new BsonType()));
      return new FoundCollection(this, name, options, data, getMvStore().openMap("meta." + full), cursorRegistry);
    }
  }

  @Override
  public Document handleMessage(MongoMessage message) {
    if (READS.contains(message.getDocument().keySet().iterator().next())) {
      return inTurn(message);
    }
    long mine;
    lock.readLock().lock();
    try {
      return inTurn(message);
    } finally {
      mine = done.incrementAndGet();
      lock.readLock().unlock();
      commitUpTo(mine);
    }
  }

  /** The answer is a copy: it is written to its client while the next command changes what is stored. */
  private Document inTurn(MongoMessage message) {
    synchronized (turn) {
      return super.handleMessage(message).cloneDeeply();
    }
  }

  /** On the disk when it returns: the system's cache does not outlive a power cut. */
  private void commitUpTo(long mine) {
    synchronized (committing) {
      if (committed < mine) {
        exclusively(store::commit);
        store.sync();
      }
    }
  }

  private void exclusively(Runnable work) {
    lock.writeLock().lock();
    try {
      long upTo = done.get();
      work.run();
      committed = upTo;
    } finally {
      lock.writeLock().unlock();
    }
  }

  /** Gives back the space of what was overwritten, some at a time. */
  private void housekeep() {
    synchronized (committing) {
      if (compacted == done.get()) {
        return;
      }
      compacted = done.get();
      exclusively(() -> {
        store.commit();
        store.compact(FILL_RATE, STEP);
      });
    }
  }

  private static MVStore open(String file) {
    MVStore store = new MVStore.Builder().fileName(file).autoCommitDisabled().cacheSize(16).open();
    store.setRetentionTime(0); // old versions help nobody here, and would make the file grow
    store.setVersionsToKeep(0);
    return store;
  }

  public static void main(String[] arguments) throws InterruptedException {
    if (arguments.length != 3) {
      System.err.println("usage: MongoStandIn ADDRESS PORT FILE");
      System.exit(2);
    }
    MongoStandIn backend = new MongoStandIn(open(arguments[2]));
    MongoServer server = new MongoServer(backend);
    CountDownLatch ending = new CountDownLatch(1);
    CountDownLatch ended = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      ending.countDown();
      try {
        ended.await(10, TimeUnit.SECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }));
    server.bind(arguments[0], Integer.parseInt(arguments[1]));
    InetSocketAddress address = server.getLocalAddress();
    System.out.println("listening " + arguments[0] + " " + address.getPort());
    System.out.flush();
    while (!ending.await(PERIOD_MS, TimeUnit.MILLISECONDS)) {
      backend.housekeep();
    }
    server.shutdownNow(); // closes the store too
    ended.countDown();
  }
}
