#include "audit_command.h"

#include "service/audit_verify.h"
#include "settings.h"

int audit_command(const void *arg, const char *head)
{
        const struct auth_settings *settings = arg;
        const struct cm_audit_verify_config config = {
                .conninfo = settings->service.database_url,
                .secret = cm_str_from(settings->password_pepper),
                .keep_us = settings->audit_retention_us,
                .head = head,
        };

        return cm_audit_verify(&config);
}
