DROP TABLE user_preferences;
DROP TABLE user_health_data;
