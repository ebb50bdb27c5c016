-- One service's database and its two roles. Run again at each start: creates what is missing and sets
-- the passwords to those in SALUS_DATA/secrets. Variables: store; environment: OWNER_PASSWORD, APP_PASSWORD.
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
\set owner :store _owner

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY[:'owner', :'store']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE :"owner" PASSWORD :'owner_password';
ALTER ROLE :"store" NOINHERIT PASSWORD :'app_password';

SELECT format('CREATE DATABASE %I OWNER %I', :'store', :'owner')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'store') \gexec

REVOKE ALL ON DATABASE :"store" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"store" TO :"store";
