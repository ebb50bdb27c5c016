DROP TABLE login_tickets;
DROP TABLE recovery_codes;
DROP TABLE second_factors;
