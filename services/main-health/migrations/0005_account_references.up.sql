-- Whom accounts are to stand for, as admins said it to auth: claims. The directory of doctors, patients and institutions says whether
-- they hold; what comes before there is such an entry is kept here, because an event is told once.
CREATE TABLE account_references (
        user_id      uuid        PRIMARY KEY,
        user_type    int2        NOT NULL CHECK (user_type BETWEEN 1 AND 4),
        reference_id uuid        NOT NULL,
        version      int8        NOT NULL,
        claimed_at   timestamptz NOT NULL
);
COMMENT ON COLUMN account_references.user_type IS 'UserType of proto/schemas/user.yaml, from 1: says in which table the entity is';
COMMENT ON COLUMN account_references.version IS 'of the account';
CREATE INDEX account_references_entity ON account_references (reference_id);
ALTER TABLE account_references ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON account_references
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON account_references TO salus_health;

CREATE OR REPLACE FUNCTION health_record_erase(person uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
        DELETE FROM public.imports WHERE user_id = person;
        DELETE FROM public.import_findings WHERE user_id = person;
        DELETE FROM public.health_events WHERE user_id = person;
        DELETE FROM public.user_health_data WHERE user_id = person;
        DELETE FROM public.user_preferences WHERE user_id = person;
        DELETE FROM public.user_zone_history WHERE user_id = person;
        DELETE FROM public.account_references WHERE user_id = person;
END $$;
