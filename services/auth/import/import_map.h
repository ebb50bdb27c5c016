#pragma once
#include "auth_api.h"
#include "base/arena.h"
#include "import_source.h"

/*
 * What becomes of an account of another system: rows of supabase's auth.users, users of a realm of
 * Keycloak. Kept are id, address, phone, names, picture, language, time zone, since when, whether
 * it is active, whether address and phone were confirmed, and the hash of the password. Pure.
 */
struct import_defaults {
        struct cm_str language;
        struct cm_str time_zone;
        struct cm_uuid tenant_id;
        int64_t hash_memory; /* what a check of a hash may take */
        cm_time now;
};

struct imported_account {
        struct user user;
        struct cm_str email_key;
        struct cm_str password_hash; /* as stored_hash.h has it */
        cm_time verified_at;         /* when the address was confirmed; 0: never, or not known */
};

/*
 * 0, or 1 with why the record is not taken in *reason_r (static text). What does not fit but could
 * be done without (a name with a line break, a language that is none) is left out. In the arena or
 * views into `json`.
 */
int import_map(enum import_shape shape, struct cm_str json, const struct import_defaults *defaults,
               struct cm_arena *arena, struct imported_account *account_r,
               const char **reason_r) CM_MUST_CHECK;
