DROP TABLE user_zone_history;
DROP TABLE health_events;
-- include: libcommon/service/user_refs.down.sql
-- include: libcommon/bus/inbox.down.sql
-- include: libcommon/bus/outbox.down.sql
