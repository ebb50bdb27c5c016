DROP FUNCTION outbox_restored();
DROP TABLE outbox_group;
DROP TABLE outbox_relay;
DROP TABLE outbox_range;
DROP TABLE outbox;
