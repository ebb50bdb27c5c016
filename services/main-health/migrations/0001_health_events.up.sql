-- include: libcommon/bus/outbox.up.sql
-- include: libcommon/bus/inbox.up.sql
-- include: libcommon/service/user_refs.up.sql

-- The log. A row is never changed: a correction or a void is a further version of the same id.
CREATE TABLE health_events (
        user_id       uuid        NOT NULL,
        id            uuid        NOT NULL,
        version       int2        NOT NULL CHECK (version > 0),
        event_type    int2        NOT NULL CHECK (event_type > 0),
        event_subtype int2        NOT NULL CHECK (event_subtype > 0),
        status        int2        NOT NULL CHECK (status BETWEEN 1 AND 3),
        flags         int2        NOT NULL DEFAULT 0,
        local_date    date        NOT NULL,
        occurred_at   timestamptz NOT NULL,
        ended_at      timestamptz CHECK (ended_at >= occurred_at),
        created_at    timestamptz NOT NULL,
        zone          text        NOT NULL,
        source        text        NOT NULL,
        event_data    jsonb       NOT NULL,
        reason        text,
        request_key   bytea,
        request_hash  bytea,
        PRIMARY KEY (user_id, id, version),
        CHECK ((request_key IS NULL) = (request_hash IS NULL))
);
COMMENT ON COLUMN health_events.event_type IS 'HealthEventType of proto/schemas/health-event.yaml, from 1';
COMMENT ON COLUMN health_events.event_subtype IS 'the subtype enumeration of that type, from 1';
COMMENT ON COLUMN health_events.status IS '1 recorded, 2 amended, 3 entered in error';
COMMENT ON COLUMN health_events.zone IS 'time zone or offset that made local_date';
COMMENT ON COLUMN health_events.request_key IS 'digest of the idempotency key; request_hash is that of the body';

-- The newest are read first and the newest come last: ascending, because a page that rows are appended to is split
-- behind its last one and stays full.
CREATE INDEX health_events_time ON health_events (user_id, occurred_at, id);
CREATE INDEX health_events_type_time ON health_events (user_id, event_type, occurred_at, id);
CREATE UNIQUE INDEX health_events_request ON health_events (user_id, request_key) WHERE request_key IS NOT NULL;
-- What has later versions: small, so that asking whether an event has one costs next to nothing.
CREATE INDEX health_events_later ON health_events (user_id, id, version) WHERE version > 1;

-- Vitals that are measured now and then, for the newest of each kind (numbers of VitalSubtype): few rows.
CREATE INDEX health_events_rare_vitals ON health_events (user_id, event_subtype, occurred_at DESC, id DESC)
        WHERE event_type = 5 AND event_subtype = ANY ('{2,4,6,8,9,10,11,18,19,21,23,24,27,28,29,30}'::int2[]);

ALTER TABLE health_events ENABLE ROW LEVEL SECURITY;
-- The sub-select is evaluated once a statement; without it, once a row.
CREATE POLICY own ON health_events
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
-- Append-only: no UPDATE, no DELETE.
GRANT SELECT, INSERT ON health_events TO salus_health;

-- Where people were when: a fact counts for the day of the zone that held then.
CREATE TABLE user_zone_history (
        user_id    uuid        NOT NULL,
        valid_from timestamptz NOT NULL,
        time_zone  text        NOT NULL,
        PRIMARY KEY (user_id, valid_from)
);
ALTER TABLE user_zone_history ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON user_zone_history
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, DELETE ON user_zone_history TO salus_health;
