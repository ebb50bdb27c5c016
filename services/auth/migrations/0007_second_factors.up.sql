-- The second proof of an account (second_factor.c). The secret is sealed, the codes are keyed digests: who reads the
-- database cannot sign in.

CREATE TABLE second_factors (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed text NOT NULL,                 -- the secret of TOTP
    confirmed_at timestamptz,             -- NULL: the app has not proved yet that it has the secret
    last_step bigint NOT NULL DEFAULT 0,  -- the time step of the last code that was taken: none counts twice
    failures integer NOT NULL DEFAULT 0,  -- codes tried since failing_since, counted before they are looked at
    failing_since timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    digest bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, digest)
);

-- A sign-in between its two proofs.
CREATE TABLE login_tickets (
    digest bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    password_hash text NOT NULL, -- the one that was checked: it must still be the account's
    device_name text,
    expires_at timestamptz NOT NULL
);
CREATE INDEX login_tickets_user ON login_tickets (user_id);

ALTER TABLE second_factors ENABLE ROW LEVEL SECURITY;
ALTER TABLE recovery_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE login_tickets ENABLE ROW LEVEL SECURITY;
CREATE POLICY second_factors_self ON second_factors
    USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
CREATE POLICY recovery_codes_self ON recovery_codes
    USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
CREATE POLICY second_factors_service ON second_factors
    USING ((SELECT current_setting('app.role', true)) = 'service');
CREATE POLICY recovery_codes_service ON recovery_codes
    USING ((SELECT current_setting('app.role', true)) = 'service');
CREATE POLICY login_tickets_service ON login_tickets
    USING ((SELECT current_setting('app.role', true)) = 'service');

GRANT SELECT, INSERT, UPDATE, DELETE ON second_factors, recovery_codes TO salus_auth;
GRANT SELECT, INSERT, DELETE ON login_tickets TO salus_auth;
