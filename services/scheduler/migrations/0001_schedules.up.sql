-- include: libcommon/bus/outbox.up.sql
-- include: libcommon/bus/inbox.up.sql
-- include: libcommon/service/user_refs.up.sql
-- include: libcommon/http/idempotency.up.sql

-- Small integers are the enumerations of proto/schemas/schedule.yaml, from 1.
CREATE TABLE schedules (
        user_id         uuid        NOT NULL,
        id              uuid        NOT NULL,
        version         int8        NOT NULL DEFAULT 1,
        name            text        NOT NULL,
        description     text,
        schedule_type   int2        NOT NULL CHECK (schedule_type BETWEEN 1 AND 3),
        cron_expression text        NOT NULL,
        timezone        text        NOT NULL,
        follow_user     boolean     NOT NULL,
        dst_gap         int2        NOT NULL,
        dst_overlap     int2        NOT NULL,
        misfire         int2        NOT NULL,
        max_lateness_s  int4,
        catchup_limit   int4        NOT NULL,
        overlap_policy  int2        NOT NULL,
        jitter_s        int4        NOT NULL,
        reminder_method int2        NOT NULL CHECK (reminder_method BETWEEN 1 AND 4),
        email           text,
        phone_number    text,
        assistant_id    text,
        medication_id   uuid,
        medication_name text,
        dose_value      float8,
        dose_unit       text,
        custom_metadata jsonb,
        context_summary text,
        anchor_at       timestamptz NOT NULL,
        is_active       boolean     NOT NULL DEFAULT true,
        pause_reason    text,
        paused_until    timestamptz,
        next_nominal_at timestamptz,
        next_run_at     timestamptz,
        last_run_at     timestamptz,
        tz_version      text        NOT NULL,
        rule_hash       int8        NOT NULL,
        created_at      timestamptz NOT NULL,
        updated_at      timestamptz NOT NULL,
        PRIMARY KEY (user_id, id),
        CHECK ((next_nominal_at IS NULL) = (next_run_at IS NULL))
);
COMMENT ON COLUMN schedules.timezone IS 'the zone that counts now; the person''s own when follow_user';
COMMENT ON COLUMN schedules.email IS 'sealed with SALUS_SEAL_KEYS; phone_number too';
COMMENT ON COLUMN schedules.anchor_at IS '@every counts from here';
COMMENT ON COLUMN schedules.next_run_at IS 'next_nominal_at with its jitter';
COMMENT ON COLUMN schedules.tz_version IS 'of the tz database that next_nominal_at was computed with; rule_hash is of the zone''s file';
CREATE UNIQUE INDEX schedules_id ON schedules (id);
CREATE INDEX schedules_time ON schedules (user_id, created_at DESC, id DESC);
ALTER TABLE schedules ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON schedules
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON schedules TO salus_scheduler;

-- What is due when: ids and nothing else, so a worker may look for work before it knows for whom. Whoever changes a
-- schedule locks its row here first.
CREATE TABLE schedule_queue (
        schedule_id uuid        PRIMARY KEY,
        user_id     uuid        NOT NULL,
        due_at      timestamptz NOT NULL,
        zone        text        NOT NULL,
        rule_hash   int8        NOT NULL
);
COMMENT ON COLUMN schedule_queue.rule_hash IS 'as in schedules: a zone whose file changed is found without reading them';
CREATE INDEX schedule_queue_due ON schedule_queue (due_at);
CREATE INDEX schedule_queue_zone ON schedule_queue (zone, rule_hash);
GRANT SELECT, INSERT, UPDATE, DELETE ON schedule_queue TO salus_scheduler;

-- One row a planned time, in its final state. The id is UUIDv5 of the schedule's id and the time.
CREATE TABLE occurrences (
        user_id         uuid        NOT NULL,
        id              uuid        NOT NULL,
        schedule_id     uuid        NOT NULL,
        nominal_at      timestamptz NOT NULL,
        state           int2        NOT NULL CHECK (state BETWEEN 1 AND 6),
        adjusted        int2,
        recorded_at     timestamptz NOT NULL,
        name            text        NOT NULL,
        schedule_type   int2        NOT NULL,
        medication_id   uuid,
        medication_name text,
        dose_value      float8,
        dose_unit       text,
        ack             int2 CHECK (ack BETWEEN 1 AND 3),
        acked_at        timestamptz,
        ack_reason      text,
        snoozed_until   timestamptz,
        snoozes         int2        NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, id),
        UNIQUE (schedule_id, nominal_at)
);
COMMENT ON COLUMN occurrences.name IS 'as the schedule was called then; it may be gone or have changed';
CREATE INDEX occurrences_schedule ON occurrences (user_id, schedule_id, nominal_at DESC, id DESC);
CREATE INDEX occurrences_time ON occurrences (user_id, nominal_at DESC, id DESC);
CREATE INDEX occurrences_age ON occurrences (recorded_at);
ALTER TABLE occurrences ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON occurrences
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
-- Retention: the daemon says so in app.role, and acts for nobody.
CREATE POLICY retention ON occurrences FOR DELETE
        USING ((SELECT current_setting('app.role', true)) = 'retention');
CREATE POLICY retention_sees ON occurrences FOR SELECT
        USING ((SELECT current_setting('app.role', true)) = 'retention');
GRANT SELECT, INSERT, UPDATE, DELETE ON occurrences TO salus_scheduler;

-- Messages. The address is not in here: it is read when one is sent.
CREATE TABLE deliveries (
        user_id         uuid        NOT NULL,
        id              uuid        NOT NULL,
        occurrence_id   uuid        NOT NULL,
        schedule_id     uuid        NOT NULL,
        number          int2        NOT NULL,
        method          int2        NOT NULL,
        state           int2        NOT NULL CHECK (state BETWEEN 1 AND 6),
        attempts        int2        NOT NULL DEFAULT 0,
        failure         int2,
        failure_detail  text,
        next_attempt_at timestamptz,
        created_at      timestamptz NOT NULL,
        sent_at         timestamptz,
        failed_at       timestamptz,
        PRIMARY KEY (user_id, id),
        UNIQUE (occurrence_id, number),
        FOREIGN KEY (user_id, occurrence_id) REFERENCES occurrences ON DELETE CASCADE
);
COMMENT ON COLUMN deliveries.number IS '0: the first message of an occurrence; each snooze has a further one';
CREATE INDEX deliveries_occurrence ON deliveries (user_id, occurrence_id);
CREATE INDEX deliveries_open ON deliveries (user_id, schedule_id) WHERE state <= 2;
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON deliveries
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO salus_scheduler;

-- Messages that wait, and who is sending them: due_at is also the end of a sender's lease. Ids only.
CREATE TABLE delivery_queue (
        delivery_id uuid        PRIMARY KEY,
        user_id     uuid        NOT NULL,
        due_at      timestamptz NOT NULL,
        attempts    int2        NOT NULL DEFAULT 0
);
CREATE INDEX delivery_queue_due ON delivery_queue (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_queue TO salus_scheduler;

-- When the next message may go to an address, which is here as a keyed digest.
CREATE TABLE destination_spacing (
        destination bytea       PRIMARY KEY,
        free_at     timestamptz NOT NULL
);
CREATE INDEX destination_spacing_age ON destination_spacing (free_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON destination_spacing TO salus_scheduler;

-- The addresses of accounts as auth's facts carry them: sealed, and opened when a message is sent.
CREATE TABLE user_contacts (
        user_id    uuid   PRIMARY KEY,
        email      text,
        version    int8   NOT NULL
);
COMMENT ON COLUMN user_contacts.email IS 'sealed by auth with SALUS_CONTACT_KEYS';
ALTER TABLE user_contacts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON user_contacts
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE ON user_contacts TO salus_scheduler;
