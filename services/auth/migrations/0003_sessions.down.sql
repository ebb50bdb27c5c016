DROP FUNCTION session_refresh_outcome(sessions, smallint, integer, bytea, interval);
DROP TABLE sessions;
