ALTER TABLE users DROP CONSTRAINT users_deleted, DROP COLUMN deleted_at, DROP COLUMN phone_confirmed_at;
