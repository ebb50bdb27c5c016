-- The whole record of a person, gone. A function of the owner: the service itself can remove no event. Imports go first: a chunk
-- that is under way then finds its import gone and is rolled back; the queue's row stays until the file is removed.
CREATE FUNCTION health_record_erase(person uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
        DELETE FROM public.imports WHERE user_id = person;
        DELETE FROM public.import_findings WHERE user_id = person;
        DELETE FROM public.health_events WHERE user_id = person;
        DELETE FROM public.user_health_data WHERE user_id = person;
        DELETE FROM public.user_preferences WHERE user_id = person;
        DELETE FROM public.user_zone_history WHERE user_id = person;
END $$;
REVOKE EXECUTE ON FUNCTION health_record_erase(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION health_record_erase(uuid) TO salus_health;
