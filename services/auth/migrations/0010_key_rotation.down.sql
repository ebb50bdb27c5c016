DROP INDEX signing_keys_published;
ALTER TABLE signing_keys DROP CONSTRAINT signing_keys_sealed, DROP CONSTRAINT signing_keys_state_check;
UPDATE signing_keys SET state = 4, withdrawn_at = coalesce(withdrawn_at, now()) WHERE state = 5;
UPDATE signing_keys SET sealed = '' WHERE sealed IS NULL;
ALTER TABLE signing_keys
    ADD CONSTRAINT signing_keys_state_check CHECK (state BETWEEN 1 AND 4),
    ALTER COLUMN sealed SET NOT NULL,
    DROP COLUMN announced_at,
    DROP COLUMN published_until;
