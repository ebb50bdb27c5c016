-- A doctor, a patient, an institution has one account. Admins are no entity of main-health.
UPDATE users SET reference_id = NULL WHERE user_type = 3 AND reference_id IS NOT NULL;
ALTER TABLE users ADD CONSTRAINT users_reference_kind CHECK (reference_id IS NULL OR user_type <> 3);
CREATE UNIQUE INDEX users_reference ON users (tenant_id, user_type, reference_id) WHERE reference_id IS NOT NULL;
