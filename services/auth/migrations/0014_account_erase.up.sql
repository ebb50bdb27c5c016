-- What else has the address of somebody who deletes their account: codes and registrations that wait, invitations, the first half of a
-- sign-in, replies that are kept for repeated requests. In the transaction that empties the account, before it does. A function of the
-- owner: who acts is the person, who sees no registrations.
CREATE INDEX invitations_email ON invitations (email_key) WHERE email_key IS NOT NULL;
CREATE FUNCTION account_traces_erase(person uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    address text;
    written text;
BEGIN
    SELECT u.email_key, u.email INTO address, written FROM public.users u WHERE u.id = person AND u.status <> 3;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM public.mailed_codes c USING public.registrations r WHERE r.email_key = address AND c.subject = r.id;
    DELETE FROM public.mailed_codes WHERE subject = person;
    DELETE FROM public.registrations WHERE email_key = address;
    DELETE FROM public.invitations WHERE email_key = address;
    DELETE FROM public.login_tickets WHERE user_id = person;
    DELETE FROM public.idempotency_key
     WHERE user_id = person OR position(convert_to(written, 'UTF8') IN body) > 0 OR position(convert_to(address, 'UTF8') IN body) > 0;
END $$;
REVOKE EXECUTE ON FUNCTION account_traces_erase(uuid) FROM PUBLIC;
DO $$
DECLARE
    service text := regexp_replace(current_user, '_owner$', '');
BEGIN
    IF service <> current_user THEN
        EXECUTE format('GRANT EXECUTE ON FUNCTION account_traces_erase(uuid) TO %I', service);
    END IF;
END $$;
