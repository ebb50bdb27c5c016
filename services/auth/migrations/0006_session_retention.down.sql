REVOKE DELETE ON sessions FROM salus_auth;
