-- When a number was confirmed to be the person's, and when an account was deleted (its row stays for the ids that others name).
ALTER TABLE users
    ADD COLUMN phone_confirmed_at timestamptz CHECK (phone_confirmed_at IS NULL OR phone_number IS NOT NULL),
    ADD COLUMN deleted_at timestamptz;
-- Nothing changes an account that is deleted.
UPDATE users SET deleted_at = updated_at WHERE status = 3;
ALTER TABLE users ADD CONSTRAINT users_deleted CHECK ((status = 3) = (deleted_at IS NOT NULL));
