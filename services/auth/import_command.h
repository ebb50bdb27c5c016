#pragma once

/* salus-auth --import-users FILE: brings in accounts of other systems. `path` NULL: none was given.
 * Returns the exit status. */
int import_users(const char *path);

#define import_users_help                                                                          \
        "  --import-users FILE  (-: standard input, from a file) bring in accounts: rows of\n"     \
        "                   supabase's auth.users (JSON lines, a JSON array, CSV with a "          \
        "header),\n"                                                                               \
        "                   or a realm of Keycloak. Again: goes on, adds nothing twice\n"
