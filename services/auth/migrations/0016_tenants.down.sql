REVOKE INSERT ON tenants FROM salus_auth;
DROP INDEX tenants_name;
ALTER TABLE invitations DROP COLUMN tenant_id;
