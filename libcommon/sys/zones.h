#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "base/zone.h"

/*
 * The machine's time zones by name, loaded when first asked for and kept. A name is an IANA zone or
 * link ("Asia/Jerusalem", case-sensitive) or an offset ("+05:30", "-03:00", at most 18 hours). One
 * thread: each worker has its own. Loading reads one small local file and does not suspend.
 */
struct cm_zones;

/* `folder` holds the compiled files; NULL: /usr/share/zoneinfo. */
struct cm_zones *cm_zones_new(const char *folder);
void cm_zones_free(struct cm_zones **zones);

/* Belongs to `zones` and lives as long, or until cm_zones_reload(). NULL when there is no such
 * zone.
 */
const struct cm_zone *cm_zones_get(struct cm_zones *zones, struct cm_str name);
/* The same, with a hash of the file's bytes: another hash, other rules (0: an offset). */
const struct cm_zone *cm_zones_get_hashed(struct cm_zones *zones, struct cm_str name,
                                          int64_t *hash_r);

enum { CM_ZONES_VERSION_SIZE = 16 };
/* The database's version ("2026f"), from its tzdata.zi; "unknown" without one. Returns `out`. */
const char *cm_zones_version(const struct cm_zones *zones, char out[CM_ZONES_VERSION_SIZE]);

/* Reads again what was read before, after the files have changed; zones that were got before may be
 * gone then. One whose file is gone or broken stays as it was. Returns how many have other rules.
 */
size_t cm_zones_reload(struct cm_zones *zones);
