-- Admins see what concerns the people of their tenant, and what these did where nobody is concerned: users itself shows them no others.
CREATE POLICY audit_log_admin ON audit_log FOR SELECT
    USING ((SELECT current_setting('app.role', true)) = 'admin' AND
           (SELECT true FROM users u WHERE u.id = coalesce(user_id, actor)));
