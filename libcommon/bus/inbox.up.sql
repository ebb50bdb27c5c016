-- The inbox of a service: which events had their effect, in the same transaction as the effect.
CREATE TABLE inbox (
        event_id    uuid NOT NULL,
        source      text NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (event_id, source)
);

-- How far the service's group has come in each stream: all positions up to `position` are done with.
CREATE TABLE inbox_stream (
        stream     text PRIMARY KEY,
        position   bigint NOT NULL DEFAULT 0,
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What is done beyond it, by ranges; the consumer joins them to the position from time to time.
CREATE TABLE inbox_range (
        stream         text NOT NULL,
        first_position bigint NOT NULL,
        last_position  bigint NOT NULL CHECK (last_position >= first_position),
        PRIMARY KEY (stream, first_position, last_position)
);

DO $$
DECLARE
        app text := regexp_replace(current_user, '_owner$', '');
BEGIN
        IF app <> current_user THEN
                EXECUTE format('GRANT SELECT, INSERT, DELETE ON inbox, inbox_range TO %I', app);
                EXECUTE format('GRANT SELECT, INSERT, UPDATE ON inbox_stream TO %I', app);
        END IF;
END
$$;
