#pragma once
#include "import_map.h"
#include "store/pg.h"

/* Accounts that come in many at a time. */

#define IMPORT_BATCH 1000

enum import_fate {
        IMPORT_TAKEN = 1,
        IMPORT_HERE,      /* it came in an earlier run, or twice in this file */
        IMPORT_DUPLICATE, /* its address, or its id, is another account's */
};

/*
 * In a transaction of the service: adds those of at most IMPORT_BATCH accounts that are not there.
 * fates_r[i] becomes the fate of account i. Suspends.
 */
int import_store_add(struct cm_pg_tx *tx, const struct imported_account *accounts, size_t count,
                     enum import_fate *fates_r) CM_MUST_CHECK;

/* Rows of the outbox: payload i holds counts[i] events. */
int import_store_publish(struct cm_pg_tx *tx, const struct cm_str *payloads, const int32_t *counts,
                         size_t count) CM_MUST_CHECK;
