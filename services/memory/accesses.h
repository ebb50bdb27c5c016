#pragma once
#include "base/attr.h"
#include "base/uuid.h"
#include "store/pg.h"

/*
 * When memories were last recalled. Noted in memory and written some seconds later, many at a time,
 * because a question must not cost a write; what a crash loses is lost. A memory that was recalled
 * does not change by that: its version and generation stay.
 */
struct accesses;

int accesses_start(struct cm_pg *pg, struct accesses **accesses_r) CM_MUST_CHECK;
/* Writes what is noted. Suspends. */
void accesses_stop(struct accesses **accesses);
void accesses_note(struct accesses *accesses, const struct cm_uuid *user, const struct cm_uuid *id,
                   cm_time at);
