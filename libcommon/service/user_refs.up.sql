-- Users as other services know them, fed by auth's events. Small integers are the enumerations of
-- proto/schemas/user.yaml, in their order.
CREATE TABLE user_refs (
    user_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    user_type smallint NOT NULL,
    status smallint NOT NULL,
    language text NOT NULL,
    time_zone text NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
ALTER TABLE user_refs ENABLE ROW LEVEL SECURITY;
CREATE POLICY user_refs_self ON user_refs
    USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
-- The owner is salus_x_owner, the service's own role salus_x.
DO $$ BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON user_refs TO %I', regexp_replace(current_user, '_owner$', ''));
END $$;
