-- Rotation. A key is announced, signs, is retired and ends; withdrawn is what an operator does to a key that leaked. The private half goes
-- when its key has signed its last token. state: as in 0004, and 5 ended (not published any more).
ALTER TABLE signing_keys
    ALTER COLUMN sealed DROP NOT NULL,
    ADD COLUMN announced_at timestamptz,      -- when whoever verifies could first have it
    ADD COLUMN published_until timestamptz;   -- of a retired key: when its last token has ended
UPDATE signing_keys SET sealed = NULL WHERE state > 2;
ALTER TABLE signing_keys
    DROP CONSTRAINT signing_keys_state_check,
    ADD CONSTRAINT signing_keys_state_check CHECK (state BETWEEN 1 AND 5),
    ADD CONSTRAINT signing_keys_sealed CHECK ((sealed IS NOT NULL) = (state <= 2));
CREATE INDEX signing_keys_published ON signing_keys (created_at, id) WHERE state < 4;
