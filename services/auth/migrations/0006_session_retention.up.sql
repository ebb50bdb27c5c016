-- A login removes its person's sessions that were over long ago (session_store.c).
GRANT DELETE ON sessions TO salus_auth;
