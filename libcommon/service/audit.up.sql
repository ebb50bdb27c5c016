-- Who did what to whom, written in the transaction of the effect, one row each; audit_chain.h says how rows are sealed. The service
-- adds and reads rows and heads. Nobody changes one, and only audit_forget(), which is the owner's, removes what is old.
CREATE SEQUENCE audit_log_position;
CREATE TABLE audit_log (
    -- A row's transaction has its number before the row has its position: the sealer rests on this order, and CASE keeps it.
    position bigint PRIMARY KEY
        DEFAULT CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('audit_log_position') END,
    at timestamptz NOT NULL,
    actor uuid,              -- who did it; absent: nobody signed in, or the service by itself
    user_id uuid,            -- the account that it concerns; absent: none
    action text NOT NULL,
    target text,
    outcome text NOT NULL,   -- done, refused
    method text,             -- how the actor showed who it is
    reason text,
    ip text NOT NULL,
    user_agent text NOT NULL,
    request_id text NOT NULL
);
-- With the rows that concern nobody, few as they are, and these not at its end, where adding is quicker: a refused login must not take
-- longer where there is an account.
CREATE INDEX audit_log_user ON audit_log (user_id NULLS FIRST, position);
-- What somebody did to others; what one does oneself is found above.
CREATE INDEX audit_log_actor ON audit_log (actor, position) WHERE actor IS DISTINCT FROM user_id AND actor IS NOT NULL;
-- Nearly every row is a refresh: those are found by going through all, and cost nothing here.
CREATE INDEX audit_log_action ON audit_log (action, position) WHERE action <> 'session.refresh';

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_log_add ON audit_log FOR INSERT WITH CHECK (true);
CREATE POLICY audit_log_self ON audit_log FOR SELECT
    USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
CREATE POLICY audit_log_service ON audit_log FOR SELECT
    USING ((SELECT current_setting('app.role', true)) = 'service');

CREATE TABLE audit_heads (
    number bigint PRIMARY KEY,
    previous bytea NOT NULL,         -- hash of the head before
    last_position bigint NOT NULL,   -- all rows behind the head before, up to this
    row_count integer NOT NULL,
    rows_hash bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    hash bytea NOT NULL,             -- of the six above
    signature bytea NOT NULL,        -- Ed25519 over the hash
    digests bytea                    -- of each row, to name the one that is broken; absent: its rows were removed for their age
);
CREATE INDEX audit_heads_time ON audit_heads (sealed_at);

-- Removes rows of at most a hundred heads that were sealed longer than `keep` ago, and those heads but the newest, from which the
-- chain goes on. Returns whether there may be more. A month stays in any case, whoever calls.
CREATE FUNCTION audit_forget(keep interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    edge record;
    more boolean;
BEGIN
    SELECT h.number, h.last_position INTO edge FROM
        (SELECT number, last_position FROM public.audit_heads
          WHERE sealed_at < now() - greatest(keep, interval '30 days') ORDER BY number LIMIT 100) h
        ORDER BY h.number DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM public.audit_log WHERE position <= edge.last_position;
    DELETE FROM public.audit_heads WHERE number < edge.number;
    more := FOUND;
    UPDATE public.audit_heads SET digests = NULL WHERE number = edge.number AND digests IS NOT NULL;
    RETURN more;
END $$;
REVOKE EXECUTE ON FUNCTION audit_forget(interval) FROM PUBLIC;

DO $$
DECLARE
    service text := regexp_replace(current_user, '_owner$', '');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT (at, actor, user_id, action, target, outcome, method, reason, ip, user_agent, request_id)'
                   ' ON audit_log TO %I', service);
    EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE audit_log_position TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT ON audit_heads TO %I', service);
    EXECUTE format('GRANT EXECUTE ON FUNCTION audit_forget(interval) TO %I', service);
END $$;
