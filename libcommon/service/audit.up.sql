-- Who did what to whom, written in the transaction of the effect. Rows are only ever added, and the service cannot read them back. An actor is
-- a user, or absent for what nobody signed in did (a failed login) or the service did by itself.
CREATE TABLE audit_log (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    actor uuid,
    action text NOT NULL,
    target text,
    outcome text NOT NULL,
    reason text,
    ip text NOT NULL,
    user_agent text NOT NULL,
    request_id text NOT NULL
);
CREATE INDEX audit_log_actor ON audit_log (actor, at DESC);
DO $$ BEGIN
    EXECUTE format('GRANT INSERT ON audit_log TO %I', regexp_replace(current_user, '_owner$', ''));
END $$;
