-- Accounts whose stored password is still another system's, and takes another time to check than ours: neither ours
-- ($s1$) nor bcrypt, nor none at all. The predicate is that of IMPORTED_LEFT in account_store.c. Each row leaves it
-- with its person's first login; when all have, it is empty.
CREATE INDEX users_imported ON users (id)
    WHERE password_hash NOT LIKE '$s1$%' AND password_hash NOT LIKE '$2%' AND password_hash <> '!';
