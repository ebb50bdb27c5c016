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

/* Belongs to `zones` and lives as long. NULL when there is no such zone. */
const struct cm_zone *cm_zones_get(struct cm_zones *zones, struct cm_str name);
