CREATE OR REPLACE FUNCTION health_record_erase(person uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
        DELETE FROM public.imports WHERE user_id = person;
        DELETE FROM public.import_findings WHERE user_id = person;
        DELETE FROM public.health_events WHERE user_id = person;
        DELETE FROM public.user_health_data WHERE user_id = person;
        DELETE FROM public.user_preferences WHERE user_id = person;
        DELETE FROM public.user_zone_history WHERE user_id = person;
END $$;
DROP TABLE account_references;
