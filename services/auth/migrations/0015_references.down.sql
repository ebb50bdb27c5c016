DROP INDEX users_reference;
ALTER TABLE users DROP CONSTRAINT users_reference_kind;
