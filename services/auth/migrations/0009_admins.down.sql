-- include: libcommon/http/idempotency.down.sql
DROP TABLE feature_flag_revisions, feature_flags, user_service_profiles;
DROP POLICY sessions_admin ON sessions;
DROP POLICY users_admin ON users;
DROP POLICY client_secrets_admin ON client_secrets;
DROP POLICY clients_admin ON clients;
DROP INDEX users_by_address;
ALTER TABLE users
    DROP COLUMN username,
    DROP COLUMN phone_number,
    DROP COLUMN reference_id,
    DROP COLUMN privacy_settings,
    DROP COLUMN password_must_change;
DROP FUNCTION acting_tenant();
DROP TABLE client_secrets, clients;
