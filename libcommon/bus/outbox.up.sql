-- The outbox of a service: what it has to say, written in the same transaction as its cause.
--
-- A row holds all the events of one statement, a line each: see bus/outbox.h. Positions in the stream are not stored with each event: they follow
-- from the order (xid, id), in which the relay reads rows whose transactions are all finished, and each batch that it
-- reads is recorded once, as a range. That makes a position a function of what is in here: a relay that
-- assigns again after a crash assigns the same.
CREATE TABLE outbox (
        xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
        id          bigint GENERATED ALWAYS AS IDENTITY,
        created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        event_count integer NOT NULL CHECK (event_count > 0),
        payload     text NOT NULL,
        PRIMARY KEY (xid, id)
);

-- Positions first_position … first_position + events - 1 belong to the rows from (first_xid, first_id) to (last_xid,
-- last_id). A range without rows (its positions mean nothing) has them all the same: the cursor behind which it lies.
CREATE TABLE outbox_range (
        first_position bigint PRIMARY KEY,
        events         bigint NOT NULL CHECK (events > 0),
        is_void        boolean NOT NULL DEFAULT false,
        first_xid      xid8 NOT NULL,
        first_id       bigint NOT NULL,
        last_xid       xid8 NOT NULL,
        last_id        bigint NOT NULL,
        created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The fencing term: each relay that takes the lead raises it, and records nothing under an older one.
CREATE TABLE outbox_relay (
        one  boolean PRIMARY KEY DEFAULT true CHECK (one),
        term bigint NOT NULL DEFAULT 0
);
INSERT INTO outbox_relay DEFAULT VALUES;

-- The groups that read the stream and how far they had acknowledged when last looked at: where to begin when Redis has
-- lost the stream, and whom trimming waits for.
CREATE TABLE outbox_group (
        group_name text PRIMARY KEY,
        position   bigint NOT NULL,
        seen_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- For an operator, after this database was restored from a backup: the stream holds positions that this database does
-- not remember having given, and the transaction ids in its rows may be another cluster's. All that is kept is sent
-- again, at positions far above; the inboxes of the readers know what they had. To be run by the owner.
CREATE FUNCTION outbox_restored() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
        first bigint := (SELECT coalesce(max(first_position + events), 1) FROM outbox_range);
BEGIN
        UPDATE outbox_relay SET term = term + 1;
        UPDATE outbox SET xid = pg_current_xact_id();
        DELETE FROM outbox_range;
        INSERT INTO outbox_range (first_position, events, is_void, first_xid, first_id, last_xid, last_id)
        VALUES (first, 1000000000, true, '0', 0, '0', 0);
        RETURN first + 1000000000;
END
$$;

-- The service's own role is its owner's name without "_owner".
DO $$
DECLARE
        app text := regexp_replace(current_user, '_owner$', '');
BEGIN
        IF app <> current_user THEN
                EXECUTE format('GRANT SELECT, INSERT, DELETE ON outbox, outbox_range TO %I', app);
                EXECUTE format('GRANT SELECT, UPDATE ON outbox_relay TO %I', app);
                EXECUTE format('GRANT SELECT, INSERT, UPDATE ON outbox_group TO %I', app);
        END IF;
END
$$;

-- A row of a wide gather is some 30 KiB of repetitive text; lz4, where the server has it, costs a tenth of pglz.
DO $$
BEGIN
        ALTER TABLE outbox ALTER payload SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
        NULL;
END
$$;
