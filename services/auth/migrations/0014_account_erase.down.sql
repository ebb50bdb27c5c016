DROP FUNCTION account_traces_erase(uuid);
DROP INDEX invitations_email;
