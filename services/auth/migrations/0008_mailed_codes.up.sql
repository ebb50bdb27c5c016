-- What comes in by mail: confirmed addresses, forgotten passwords, invitations.

ALTER TABLE users ADD email_verified_at timestamptz;

-- Codes that work once. purpose: 1 confirm an address, 2 reset a password. What is asked for an address without an account has its row
-- too, of nobody, so that it takes as long; hence no foreign key.
CREATE TABLE mailed_codes (
    digest bytea PRIMARY KEY,         -- keyed, of the code (mailed_code.c)
    purpose smallint NOT NULL CHECK (purpose BETWEEN 1 AND 2),
    subject uuid NOT NULL,            -- of an account, or of a registration
    bound_to bytea NOT NULL,          -- digest of the account's address and password when it was asked for
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX mailed_codes_subject ON mailed_codes (subject);
CREATE INDEX mailed_codes_age ON mailed_codes (expires_at);

-- Accounts that begin when their address is confirmed. Several may wait for one address; the first that is confirmed is the account.
CREATE TABLE registrations (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    email_key text NOT NULL,
    password_hash text NOT NULL,
    display_name text,
    first_name text,
    language text NOT NULL,
    time_zone text NOT NULL,
    invitation_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX registrations_email ON registrations (email_key, created_at);
CREATE INDEX registrations_age ON registrations (expires_at);

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    email_key text,                   -- NULL: for whoever has it
    user_type smallint NOT NULL CHECK (user_type BETWEEN 1 AND 4),
    invited_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
-- The key makes one account of one invitation, whoever is how fast.
CREATE TABLE invitation_uses (
    invitation_id uuid PRIMARY KEY REFERENCES invitations (id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['mailed_codes', 'registrations', 'invitations', 'invitation_uses'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY %I ON %I USING ((SELECT current_setting(''app.role'', true)) = ''service'')',
                       name || '_service', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO salus_auth', name);
    END LOOP;
END $$;
