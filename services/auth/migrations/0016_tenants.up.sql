-- An invitation is to the tenant of who invites. What nobody of any tenant made (an account that is gone) ends.
ALTER TABLE invitations ADD COLUMN tenant_id uuid REFERENCES tenants (id);
UPDATE invitations SET tenant_id = coalesce((SELECT u.tenant_id FROM users u WHERE u.id = invited_by),
                                            (SELECT c.tenant_id FROM clients c WHERE c.id = invited_by));
DELETE FROM invitations WHERE tenant_id IS NULL;
ALTER TABLE invitations ALTER COLUMN tenant_id SET NOT NULL;

-- Tenants are an operator's to make (salus-auth --add-tenant); nobody signs in above them.
CREATE UNIQUE INDEX tenants_name ON tenants (lower(name));
GRANT INSERT ON tenants TO salus_auth;
