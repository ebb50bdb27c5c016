-- Answers to requests that carried an Idempotency-Key, stored in the transaction of their effect: the same key again
-- gets the same answer. Keys are kept as digests; what a key was used for too.
CREATE TABLE idempotency_key (
        user_id      uuid NOT NULL,
        key          bytea NOT NULL CHECK (length(key) = 32),
        request      bytea NOT NULL CHECK (length(request) = 32),
        status       smallint NOT NULL,
        content_type text,
        headers      text NOT NULL,
        body         bytea NOT NULL,
        created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_key_created_at ON idempotency_key (created_at);

ALTER TABLE idempotency_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY idempotency_key_own ON idempotency_key
        USING (user_id = ANY ((SELECT current_setting('app.users', true)::uuid[])::uuid[]));
-- For the job that forgets old ones.
CREATE POLICY idempotency_key_service ON idempotency_key
        USING ((SELECT current_setting('app.role', true)) = 'service');

DO $$
DECLARE
        app text := regexp_replace(current_user, '_owner$', '');
BEGIN
        IF app <> current_user THEN
                EXECUTE format('GRANT SELECT, INSERT, DELETE ON idempotency_key TO %I', app);
        END IF;
END
$$;
