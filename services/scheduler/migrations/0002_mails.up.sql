-- Mail about accounts that auth has asked for, until it is sent or given up; due_at is also the end of a sender's lease. Whom it goes to
-- and what code is in it is sealed, and opened when it is sent.
CREATE TABLE mails (
        id         uuid        PRIMARY KEY,
        user_id    uuid        NOT NULL,
        template   int2        NOT NULL,
        language   text        NOT NULL,
        time_zone  text        NOT NULL,
        sealed     text        NOT NULL,
        expires_at timestamptz NOT NULL,
        due_at     timestamptz NOT NULL,
        attempts   int2        NOT NULL DEFAULT 0
);
COMMENT ON COLUMN mails.user_id IS 'the person, or the mail itself when it is about no account';
CREATE INDEX mails_due ON mails (due_at);
CREATE INDEX mails_user ON mails (user_id);
ALTER TABLE mails ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON mails
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
-- The sender says so in app.role, and acts for nobody.
CREATE POLICY sending ON mails USING ((SELECT current_setting('app.role', true)) = 'sender');
GRANT SELECT, INSERT, UPDATE, DELETE ON mails TO salus_scheduler;
