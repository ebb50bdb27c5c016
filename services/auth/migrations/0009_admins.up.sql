-- Admins see the people of their tenant and nobody else. Who acts is app.users; the database itself looks up whether that is
-- an active admin or a machine that was let in, and of which tenant.

CREATE TABLE clients (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    name text NOT NULL,
    scopes smallint[] NOT NULL,        -- enum client_scope
    audience text,                     -- absent: the services of Salus
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name)
);
-- A secret's id is the session id of the tokens that it brings, so its end revokes them like any session's.
CREATE TABLE client_secrets (
    id uuid PRIMARY KEY,
    client_id uuid NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    ended_at timestamptz
);
CREATE INDEX client_secrets_client ON client_secrets (client_id);
CREATE INDEX client_secrets_ended ON client_secrets (ended_at) WHERE ended_at IS NOT NULL;

CREATE FUNCTION acting_tenant() RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT tenant_id FROM users
    WHERE id = (NULLIF(current_setting('app.users', true), '')::uuid[])[1] AND user_type = 3 AND status = 1
    UNION ALL
    SELECT tenant_id FROM clients
    WHERE id = (NULLIF(current_setting('app.users', true), '')::uuid[])[1] AND enabled
    LIMIT 1
$$;

ALTER TABLE users
    ADD COLUMN username text,
    ADD COLUMN phone_number text,
    ADD COLUMN reference_id uuid,      -- of main-health
    ADD COLUMN privacy_settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(privacy_settings) = 'object'),
    ADD COLUMN password_must_change boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX users_username ON users (tenant_id, username) WHERE username IS NOT NULL;
CREATE INDEX users_by_address ON users (tenant_id, email_key COLLATE "C");
CREATE POLICY users_admin ON users
    USING ((SELECT current_setting('app.role', true)) = 'admin' AND tenant_id = (SELECT acting_tenant()));

-- What users shows to whoever acts decides.
CREATE POLICY sessions_admin ON sessions
    USING ((SELECT current_setting('app.role', true)) = 'admin' AND
           (SELECT true FROM users u WHERE u.id = user_id));

ALTER TABLE clients ENABLE ROW LEVEL SECURITY;
CREATE POLICY clients_admin ON clients
    USING ((SELECT current_setting('app.role', true)) = 'admin' AND tenant_id = (SELECT acting_tenant()));
CREATE POLICY clients_service ON clients USING ((SELECT current_setting('app.role', true)) = 'service');
ALTER TABLE client_secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY client_secrets_admin ON client_secrets
    USING ((SELECT current_setting('app.role', true)) = 'admin' AND
           (SELECT true FROM clients c WHERE c.id = client_id));
CREATE POLICY client_secrets_service ON client_secrets USING ((SELECT current_setting('app.role', true)) = 'service');

CREATE TABLE user_service_profiles (
    id uuid NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    service_type smallint NOT NULL,    -- enum service_type
    service_preferences jsonb NOT NULL DEFAULT '{}',
    service_metadata jsonb NOT NULL DEFAULT '{}',
    usage_stats jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    PRIMARY KEY (user_id, service_type)
);
ALTER TABLE user_service_profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY user_service_profiles_self ON user_service_profiles
    USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));

-- Feature flags of a tenant, and a number that grows with each change of them, by which Redis takes the newest set.
CREATE TABLE feature_flags (
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    key text NOT NULL,
    description text,
    enabled boolean NOT NULL,
    share double precision NOT NULL CHECK (share BETWEEN 0 AND 100),
    users uuid[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
CREATE TABLE feature_flag_revisions (
    tenant_id uuid PRIMARY KEY REFERENCES tenants (id),
    revision bigint NOT NULL
);
ALTER TABLE feature_flags ENABLE ROW LEVEL SECURITY;
CREATE POLICY feature_flags_admin ON feature_flags
    USING ((SELECT current_setting('app.role', true)) = 'admin' AND tenant_id = (SELECT acting_tenant()));
CREATE POLICY feature_flags_service ON feature_flags USING ((SELECT current_setting('app.role', true)) = 'service');
ALTER TABLE feature_flag_revisions ENABLE ROW LEVEL SECURITY;
CREATE POLICY feature_flag_revisions_admin ON feature_flag_revisions
    USING ((SELECT current_setting('app.role', true)) = 'admin' AND tenant_id = (SELECT acting_tenant()));
CREATE POLICY feature_flag_revisions_service ON feature_flag_revisions
    USING ((SELECT current_setting('app.role', true)) = 'service');

GRANT SELECT, INSERT, UPDATE ON clients, client_secrets, feature_flag_revisions TO salus_auth;
GRANT SELECT, INSERT, UPDATE, DELETE ON user_service_profiles, feature_flags TO salus_auth;
-- include: libcommon/http/idempotency.up.sql
