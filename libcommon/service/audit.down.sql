DROP FUNCTION audit_forget(interval);
DROP TABLE audit_heads;
DROP TABLE audit_log;
DROP SEQUENCE audit_log_position;
