#pragma once
#include "service/user_refs.h"

/* The worker's cache, for worker.c and its test. */
struct user_ref_cache;
struct user_ref_cache *user_ref_cache_new(void);
void user_ref_cache_free(struct user_ref_cache **cache);
/* From now on nothing older than this version is kept or found. */
void user_ref_cache_expect(struct user_ref_cache *cache, const struct cm_uuid *user_id,
                           int64_t version);
/* True when there is a fresh answer; *known_r false: nobody of that id a moment ago. */
bool user_ref_cache_find(struct user_ref_cache *cache, const struct cm_uuid *user_id,
                         int64_t now_us, bool *known_r, struct cm_user_ref *ref_r);
/* What the table says; NULL: nothing. */
void user_ref_cache_keep(struct user_ref_cache *cache, const struct cm_uuid *user_id,
                         int64_t now_us, const struct cm_user_ref *ref);

void user_ref_copy_text(char *out, size_t size, struct cm_str text);

/* user_refs_documents.c: the table as the collection `user_refs`. Suspend. */
struct user_ref;
int user_ref_document_find(struct cm_mongo *mongo, const struct cm_uuid *user_id,
                           struct cm_user_ref *ref_r) CM_MUST_CHECK;
/* All in one call; an older version than the stored one changes nothing. */
int user_ref_documents_put(struct cm_mongo *mongo, struct cm_arena *arena,
                           const struct user_ref *const *users, size_t count) CM_MUST_CHECK;
