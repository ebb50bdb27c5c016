#pragma once
#include "base/arena.h"
#include "schemas.h"
#include "store/pg.h"

/* Reading the audit log, newest first: always along an index, however long the log is. */

#define CM_AUDIT_ALWAYS INT64_C(253402300799000000) /* the year 9999: no upper end */

/* All that is given must hold. */
struct cm_audit_query {
        const struct cm_uuid *user;  /* the account that it concerns; NULL: any */
        const struct cm_uuid *actor; /* NULL: any */
        struct cm_str action;        /* absent: any */
        cm_time since, until;        /* until is not included; 0 and CM_AUDIT_ALWAYS for any time */
        int64_t before;              /* position; INT64_MAX for the newest */
        int32_t limit;
};

struct cm_audit_list {
        struct audit_entry *items;
        size_t count;
};

/* A flight item: the statement that fits the query, which takes all parameters in one order. */
const struct cm_pg_statement *cm_audit_list_statement(const struct cm_audit_query *query);
void cm_audit_list_params(const struct cm_audit_query *query, struct cm_pg_params *params);
/* Copies the rows of its result. */
void cm_audit_list_read(const struct cm_pg_result *rows, struct cm_arena *arena,
                        struct cm_audit_list *list_r);
