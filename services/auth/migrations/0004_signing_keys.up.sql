-- The keys that sign access tokens. The private half is sealed (SALUS_SEAL_KEYS, outside the database).
-- state: 1 announced (published, not used yet), 2 active, 3 retired (published until its tokens have
-- ended), 4 withdrawn.

CREATE TABLE signing_keys (
    id text PRIMARY KEY,              -- kid: RFC 7638 thumbprint
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    sealed text NOT NULL,
    jwk text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_at timestamptz,
    retired_at timestamptz,
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 2;

ALTER TABLE signing_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY signing_keys_service ON signing_keys
    USING ((SELECT current_setting('app.role', true)) = 'service');

GRANT SELECT, INSERT, UPDATE ON signing_keys TO salus_auth;
