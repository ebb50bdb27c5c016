#pragma once

/* salus-auth --verify-audit [NUMBER:HASH]: the check of the whole audit log. `settings` are a
 * struct auth_settings. Returns the exit status. */
int audit_command(const void *settings, const char *head);
