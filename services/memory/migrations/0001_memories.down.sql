DROP TABLE memory_forgotten;
DROP TABLE memory_persons;
DROP TABLE memory_items;
-- include: libcommon/service/user_refs.down.sql
-- include: libcommon/bus/inbox.down.sql
-- include: libcommon/bus/outbox.down.sql
