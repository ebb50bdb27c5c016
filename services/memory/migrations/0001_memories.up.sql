-- include: libcommon/bus/outbox.up.sql
-- include: libcommon/bus/inbox.up.sql
-- include: libcommon/service/user_refs.up.sql

-- What is remembered. Each change takes the next generation of its person (memory_persons), under that row's lock, so
-- generations of a person are visible in their order and "what is newer than the one I know" misses nothing.
CREATE TABLE memory_items (
        user_id               uuid        NOT NULL,
        id                    uuid        NOT NULL,
        generation            int8        NOT NULL,
        version               int8        NOT NULL CHECK (version > 0),
        content               text        NOT NULL,
        processed_content     text,
        anonymized_version    text,
        language              text        NOT NULL,
        memory_type           int2        NOT NULL CHECK (memory_type > 0),
        storage_type          int2        NOT NULL CHECK (storage_type > 0),
        significance_level    int2        NOT NULL CHECK (significance_level > 0),
        significance_category text,
        relevance_score       float8      NOT NULL CHECK (relevance_score BETWEEN 0 AND 1),
        stability_score       float8      NOT NULL CHECK (stability_score BETWEEN 0 AND 1),
        explicitness_score    float8      NOT NULL CHECK (explicitness_score BETWEEN 0 AND 1),
        user_consent          int2        NOT NULL CHECK (user_consent BETWEEN 0 AND 7),
        pii_detected          jsonb,
        extraction_metadata   jsonb,
        tags                  jsonb       NOT NULL,
        conversation_id       uuid,
        message_id            uuid,
        source_start          int4,
        source_end            int4,
        slot                  text,
        valid_from            timestamptz NOT NULL,
        valid_until           timestamptz,
        superseded_by         uuid,
        is_active             bool        NOT NULL,
        is_archived           bool        NOT NULL,
        created_at            timestamptz NOT NULL,
        updated_at            timestamptz NOT NULL,
        last_accessed_at      timestamptz,
        content_digest        bytea       NOT NULL CHECK (length(content_digest) = 16),
        request_key           bytea,
        request_hash          bytea,
        PRIMARY KEY (user_id, id),
        CHECK (source_end >= source_start),
        CHECK ((conversation_id IS NULL) = (message_id IS NULL)),
        CHECK ((request_key IS NULL) = (request_hash IS NULL))
);
COMMENT ON COLUMN memory_items.memory_type IS 'MemoryType of proto/schemas/memory.yaml, from 1; storage_type and significance_level likewise';
COMMENT ON COLUMN memory_items.user_consent IS '1 recall, 2 external_model, 4 analytics';
COMMENT ON COLUMN memory_items.content_digest IS 'of the text as it is compared: what has the same one is the same memory';
COMMENT ON COLUMN memory_items.request_key IS 'digest of the idempotency key; request_hash is that of the body';
COMMENT ON COLUMN memory_items.valid_until IS 'a newer fact of the same slot holds since then';

CREATE INDEX memory_items_generation ON memory_items (user_id, generation);
-- Pages, newest first: ids are UUIDv7. The primary key serves them.
-- The same text is one memory, as long as it holds.
CREATE UNIQUE INDEX memory_items_same ON memory_items (user_id, content_digest) WHERE valid_until IS NULL;
CREATE INDEX memory_items_slot ON memory_items (user_id, slot, valid_from) WHERE slot IS NOT NULL;
CREATE UNIQUE INDEX memory_items_request ON memory_items (user_id, request_key) WHERE request_key IS NOT NULL;

ALTER TABLE memory_items ENABLE ROW LEVEL SECURITY;
-- The sub-select is evaluated once a statement; without it, once a row.
CREATE POLICY own ON memory_items
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON memory_items TO salus_memory;

-- How many memories each person has, and the generation of the last change.
CREATE TABLE memory_persons (
        user_id    uuid PRIMARY KEY,
        generation int8 NOT NULL,
        items      int8 NOT NULL CHECK (items >= 0)
);
ALTER TABLE memory_persons ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON memory_persons
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE ON memory_persons TO salus_memory;

-- What was forgotten, as ids only, so that indexes in memory that are some generations behind drop it too, and a call that
-- is repeated under its key forgets nothing else. Rows that are more generations old than an index may catch up with are
-- removed when something else is forgotten.
CREATE TABLE memory_forgotten (
        user_id      uuid NOT NULL,
        generation   int8 NOT NULL,
        id           uuid NOT NULL,
        request_key  bytea,
        request_hash bytea,
        PRIMARY KEY (user_id, generation, id),
        CHECK ((request_key IS NULL) = (request_hash IS NULL))
);
CREATE INDEX memory_forgotten_request ON memory_forgotten (user_id, request_key) WHERE request_key IS NOT NULL;
ALTER TABLE memory_forgotten ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON memory_forgotten
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, DELETE ON memory_forgotten TO salus_memory;
