-- A session is one sign-in on one device and the chain of refresh tokens that came of it (token_chain.c).
-- Of the chain only its end is kept: the digests of the current and the previous token.

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation integer NOT NULL DEFAULT 1,
    current_digest bytea NOT NULL,
    previous_digest bytea,
    wrapped_child bytea,              -- the current token's secret, opened by the previous token only
    rotated_at timestamptz,
    refresh_outcome smallint,         -- of the last refresh, see below
    device_name text,
    ip text NOT NULL,
    user_agent text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    idle_expires_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_reason smallint             -- 1 logout, 2 reuse of an old refresh token, 3 from another session, 4 by an admin,
                                      -- 5 the password was reset, 6 the account was deactivated or deleted,
                                      -- 7 a second factor was changed, 8 the password was changed
) WITH (fillfactor = 80);             -- refreshes stay on their page and touch no index
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY sessions_self ON sessions
    USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
CREATE POLICY sessions_service ON sessions
    USING ((SELECT current_setting('app.role', true)) = 'service');

-- What a presented refresh token means for its session: 1 rotate, 2 the same child again, 3 reused,
-- 4 the session is over. Generations decide, never the clock alone; the clock only ends the grace.
CREATE FUNCTION session_refresh_outcome(s sessions, account_status smallint, presented integer,
                                        digest bytea, grace interval) RETURNS smallint
LANGUAGE sql STABLE AS $$
    SELECT (CASE
        WHEN s.ended_reason = 2 THEN 3
        WHEN s.ended_at IS NOT NULL OR account_status <> 1 THEN 4
        WHEN now() >= least(s.idle_expires_at, s.expires_at) THEN 4
        WHEN presented = s.generation AND digest = s.current_digest THEN 1
        WHEN presented = s.generation - 1 AND digest = s.previous_digest
             AND grace > interval '0' AND now() < s.rotated_at + grace THEN 2
        ELSE 3
    END)::smallint
$$;

GRANT SELECT, INSERT, UPDATE ON sessions TO salus_auth;
