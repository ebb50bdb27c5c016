DROP TABLE invitation_uses;
DROP TABLE invitations;
DROP TABLE registrations;
DROP TABLE mailed_codes;
ALTER TABLE users DROP COLUMN email_verified_at;
