DROP POLICY audit_log_admin ON audit_log;
