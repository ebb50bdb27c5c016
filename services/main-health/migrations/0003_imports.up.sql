-- Imports: what each person brought in, and how far it is. bytes_done and line are a place between two records of the
-- unpacked file; they move in the same transaction as the events that came before that place.
CREATE TABLE imports (
        user_id        uuid        NOT NULL,
        id             uuid        NOT NULL,
        state          int2        NOT NULL CHECK (state BETWEEN 1 AND 5),
        format         int2        NOT NULL CHECK (format > 0),
        file_name      text,
        file_size      int8        NOT NULL,
        bytes_done     int8        NOT NULL DEFAULT 0,
        bytes_total    int8,
        line           int8        NOT NULL DEFAULT 1,
        records        int8        NOT NULL DEFAULT 0,
        understood     int8        NOT NULL DEFAULT 0,
        added          int8        NOT NULL DEFAULT 0,
        duplicates     int8        NOT NULL DEFAULT 0,
        without_fact   int8        NOT NULL DEFAULT 0,
        not_understood int8        NOT NULL DEFAULT 0,
        rejected       int8        NOT NULL DEFAULT 0,
        findings       int8        NOT NULL DEFAULT 0,
        summary        jsonb,
        problem_code   text,
        problem_detail text,
        created_at     timestamptz NOT NULL,
        started_at     timestamptz,
        finished_at    timestamptz,
        PRIMARY KEY (user_id, id)
);
COMMENT ON COLUMN imports.state IS 'ImportState of proto/schemas/import.yaml, from 1';
COMMENT ON COLUMN imports.format IS 'ImportFormat of the same, from 1';
COMMENT ON COLUMN imports.findings IS 'rows of import_findings';
ALTER TABLE imports ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON imports
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE ON imports TO salus_health;

-- What was rejected, in the order of the file.
CREATE TABLE import_findings (
        user_id   uuid NOT NULL,
        import_id uuid NOT NULL,
        place     int8 NOT NULL,
        line      int8 NOT NULL,
        type      text NOT NULL,
        reason    text NOT NULL,
        PRIMARY KEY (user_id, import_id, place)
);
ALTER TABLE import_findings ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON import_findings
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT ON import_findings TO salus_health;

-- Whose files wait in which scratch folder: ids only, so a worker may look for work before it knows for whom. A row
-- goes when the import has ended and its file is removed.
CREATE TABLE import_queue (
        import_id  uuid        PRIMARY KEY,
        user_id    uuid        NOT NULL,
        scratch    uuid        NOT NULL,
        attempts   int2        NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL
);
COMMENT ON COLUMN import_queue.attempts IS 'starts since the last chunk that was stored';
CREATE INDEX import_queue_order ON import_queue (scratch, created_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON import_queue TO salus_health;
