-- Accounts. Small integers are the enumerations of proto/schemas/user.yaml, in their order.

CREATE TABLE tenants (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX tenants_one_default ON tenants (is_default) WHERE is_default;
INSERT INTO tenants (id, name, is_default)
VALUES ('00000000-0000-7000-8000-000000000001', 'default', true);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    user_type smallint NOT NULL CHECK (user_type BETWEEN 1 AND 4),
    status smallint NOT NULL DEFAULT 1 CHECK (status BETWEEN 1 AND 3),
    email text NOT NULL,               -- as the person wrote it
    email_key text NOT NULL UNIQUE,    -- as it is compared: folded, domain in A-labels
    password_hash text NOT NULL,       -- passwords.c says what it is
    display_name text,
    first_name text,
    full_name text,
    bio text,
    avatar_url text,
    language text NOT NULL,
    time_zone text NOT NULL,
    preferences jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(preferences) = 'object'),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One sees oneself. The paths that act before anybody is known (register, login, refresh) say so by
-- their role.
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY users_self ON users
    USING (id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
CREATE POLICY users_service ON users
    USING ((SELECT current_setting('app.role', true)) = 'service');

-- RFC 7396.
CREATE FUNCTION json_merge_patch(target jsonb, patch jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    member record;
BEGIN
    IF jsonb_typeof(patch) <> 'object' THEN
        RETURN patch;
    END IF;
    IF target IS NULL OR jsonb_typeof(target) <> 'object' THEN
        target := '{}';
    END IF;
    FOR member IN SELECT key, value FROM jsonb_each(patch) LOOP
        IF jsonb_typeof(member.value) = 'null' THEN
            target := target - member.key;
        ELSE
            target := target || jsonb_build_object(
                member.key, json_merge_patch(target -> member.key, member.value));
        END IF;
    END LOOP;
    RETURN target;
END $$;

GRANT SELECT ON tenants TO salus_auth;
GRANT SELECT, INSERT, UPDATE ON users TO salus_auth;
