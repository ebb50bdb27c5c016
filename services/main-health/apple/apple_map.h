#pragma once
#include <stdbool.h>

#include "apple_facts.h"
#include "apple_scan.h"
#include "base/attr.h"
#include "imports/import_batch.h"
#include "imports/import_tally.h"

/*
 * The story of an export, token by token: which elements are records, what belongs to them, and
 * where one ends. Adds events and findings to a batch and counts everything in the tally. It does
 * not need well-formed XML: what is not closed is closed by what comes next.
 */
struct apple_map;

/* Both must outlive the map. */
struct apple_map *apple_map_new(struct apple_facts *facts, struct import_tally *tally);
void apple_map_free(struct apple_map **map);
/* Goes on between two records of a document whose beginning was seen before. */
void apple_map_resume(struct apple_map *map, int64_t records, int64_t rejected);

enum apple_map_outcome { APPLE_MAP_NOT_APPLE = 1 /* the root is not HealthData */ };

/* Takes the scanner's last token. The batch must have room for two events. */
int apple_map_token(struct apple_map *map, struct apple_scan *scan, const struct apple_token *token,
                    struct import_batch *batch) CM_MUST_CHECK;
/* True when no record is open: the place to stop and to resume. */
bool apple_map_is_between(const struct apple_map *map);
/* True when </HealthData> was seen. */
bool apple_map_is_complete(const struct apple_map *map);
/* The counts so far. */
void apple_map_counts(const struct apple_map *map, struct import_progress *progress_r);
