#pragma once
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/* The check of the whole audit log, as a command: blocking, with a loop of its own. */
struct cm_audit_verify_config {
        const char *conninfo;
        struct cm_str secret; /* of cm_audit_key() */
        int64_t keep_us;      /* the retention: what is younger must be there */
        const char *head;     /* "NUMBER:HASH", known from elsewhere and to be found; NULL: none */
};

/* Says on standard output what it found: one line, with the first broken row. Returns 0; 1 when the
 * log is not as it was sealed; or an error. */
int cm_audit_verify(const struct cm_audit_verify_config *config) CM_MUST_CHECK;
