#pragma once
#include "base/attr.h"
#include "days/vitals_cache.h"
#include "people/person_store.h"
#include "service/service.h"

/*
 * Imports of a worker: uploads (tus, or one request), their jobs, and the routes /v1/imports. Files
 * lie in SALUS_SCRATCH until their import has ended.
 */
struct imports;

/* In a fiber; suspends. persons and vitals must outlive it. */
int imports_start(const struct cm_worker *worker, struct person_store *persons,
                  struct vitals_cache *vitals, struct imports **imports_r) CM_MUST_CHECK;
/* In a fiber: waits for the batch that is under way. */
void imports_stop(struct imports **imports);
