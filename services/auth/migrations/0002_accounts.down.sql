DROP FUNCTION json_merge_patch(jsonb, jsonb);
DROP TABLE users;
DROP TABLE tenants;
