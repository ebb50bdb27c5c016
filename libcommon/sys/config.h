#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * Settings: one table a daemon, one struct, filled from the environment. For each KEY the value is
 * KEY, or the contents of the file that KEY_FILE names (trailing newline cut). Empty is unset. A
 * variable that starts with SALUS_ and is in no table is an error. All errors are reported at once.
 */
enum cm_setting_type {
        CM_SETTING_TEXT,     /* char * */
        CM_SETTING_SECRET,   /* char *, masked when printed */
        CM_SETTING_URL,      /* char *, password masked when printed */
        CM_SETTING_INT,      /* int64_t */
        CM_SETTING_BOOL,     /* bool: true/false */
        CM_SETTING_DURATION, /* int64_t µs: 500ms, 10s, 5m, 24h, 7d */
        CM_SETTING_SIZE,     /* int64_t bytes: 512, 64KiB, 1MiB, 4GiB */
};

struct cm_setting {
        const char *key;
        enum cm_setting_type type;
        const char *initial; /* default in the setting's own notation; NULL: required; "": none */
        const char *min;     /* NULL: no bound */
        const char *max;
        size_t offset; /* in the settings struct */
        const char *help;
};

/*
 * Fills `settings` from the environment by a list of tables (each ends with key NULL). Returns 0,
 * or -CM_E_CONFIG with one line a fault in `faults`. Text is allocated; cm_config_free wipes it.
 */
int cm_config_load(const struct cm_setting *const *tables, void *settings,
                   struct cm_buf *faults) CM_MUST_CHECK;
void cm_config_free(const struct cm_setting *const *tables, void *settings);
/* KEY=value lines with secrets masked; those at their default are marked as such. */
void cm_config_print(const struct cm_setting *const *tables, const void *settings,
                     struct cm_buf *out);
