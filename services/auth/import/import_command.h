#pragma once

/* salus-auth --import-users FILE: brings in accounts of other systems. `path` NULL: none was given.
 * Returns the exit status. */
int import_command(const void *settings, const char *path);
