#include "retention.h"

#include "base/error.h"
#include "http/idempotency.h"

enum { BATCH = 1000 };
#define KEEP_ANSWERS CM_DAY

static const struct cm_pg_statement forget_occurrences = {
        .name = "retention_occurrences",
        .writes = true,
        .sql = "DELETE FROM occurrences WHERE (user_id, id) IN (SELECT user_id, id FROM occurrences"
               " WHERE recorded_at < clock_timestamp() - $1::int8 * interval '1 microsecond'"
               " ORDER BY recorded_at LIMIT $2::int4)",
};

static const struct cm_pg_statement forget_spacing = {
        .name = "retention_spacing",
        .writes = true,
        .sql = "DELETE FROM destination_spacing WHERE destination IN (SELECT destination"
               " FROM destination_spacing WHERE free_at < clock_timestamp() LIMIT $1::int4)",
};

/* Batch after batch, until one is not full. */
static int forget(struct cm_pg *pg, const struct cm_pg_statement *statement,
                  const struct cm_pg_params *params)
{
        static const struct cm_pg_scope scope = { .role = "retention" };
        int64_t affected;
        int r;

        do {
                CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

                r = cm_pg_query(pg, &scope, statement, params, &result);
                affected = result.affected;
        } while (r == 0 && affected == BATCH);
        return r > 0 ? -CM_E_DATABASE : r;
}

int retention_tidy(struct scheduler *scheduler)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params old = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params free_again = { 0 };
        int64_t forgotten;
        int r;

        cm_pg_put_int8(&old, scheduler->settings->occurrence_keep_us);
        cm_pg_put_int4(&old, BATCH);
        cm_pg_put_int4(&free_again, BATCH);
        r = forget(scheduler->pg, &forget_occurrences, &old);
        if (r == 0)
                r = forget(scheduler->pg, &forget_spacing, &free_again);
        if (r == 0)
                r = cm_idempotency_forget(scheduler->pg, KEEP_ANSWERS, &forgotten);
        return r;
}
