-- What a record says about the person as a whole; each write counts up the version.
CREATE TABLE user_health_data (
        user_id         uuid        PRIMARY KEY,
        version         int4        NOT NULL,
        height          numeric,
        weight          numeric,
        blood_type      text,
        allergies       text,
        medications     text,
        medical_history text,
        last_checkup    date,
        updated_at      timestamptz NOT NULL
);
COMMENT ON COLUMN user_health_data.height IS 'centimetres';
COMMENT ON COLUMN user_health_data.weight IS 'kilograms';
ALTER TABLE user_health_data ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON user_health_data
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE ON user_health_data TO salus_health;

CREATE TABLE user_preferences (
        user_id                 uuid        PRIMARY KEY,
        version                 int4        NOT NULL,
        age                     int4,
        relationship_status     text,
        work_status             text,
        work_type               text,
        sports                  text,
        hobbies                 text,
        therapy_goals           text,
        preferred_communication text,
        updated_at              timestamptz NOT NULL
);
ALTER TABLE user_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON user_preferences
        USING (user_id = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE ON user_preferences TO salus_health;
