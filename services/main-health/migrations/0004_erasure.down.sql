DROP FUNCTION health_record_erase(uuid);
