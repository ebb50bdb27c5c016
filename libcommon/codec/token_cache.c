#include <sodium.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/token.h"

/*
 * The key of an entry is a digest of the whole token, so what is found was verified bit by bit.
 * Revocation goes by the ids inside the token, never by its bytes: an ECDSA signature has two
 * forms.
 */
#define DIGEST_SIZE 32

struct entry {
        struct cm_list recent; /* most recently used last */
        unsigned char digest[DIGEST_SIZE];
        int64_t confirmed; /* the generation in which it was looked up elsewhere */
        struct cm_claims claims;
};

struct cm_token_cache {
        struct cm_map *entries; /* digest: struct entry */
        struct cm_map *revoked; /* id: cm_time, allocated */
        struct cm_list recent;
        size_t max_tokens;
        size_t sweep_at; /* number of revocations at which the ended ones are taken out */
        int64_t generation;
};

#define FIRST_SWEEP 1024

struct cm_token_cache *cm_token_cache_new(size_t max_tokens)
{
        struct cm_token_cache *cache = CM_NEW(struct cm_token_cache);

        cache->entries = cm_map_new();
        cache->revoked = cm_map_new();
        cm_list_init(&cache->recent);
        cache->max_tokens = max_tokens;
        cache->sweep_at = FIRST_SWEEP;
        cache->generation = 1;
        return cache;
}

static struct cm_str digest_key(const unsigned char digest[DIGEST_SIZE])
{
        return (struct cm_str){ (const char *)digest, DIGEST_SIZE };
}

static struct cm_str id_key(const struct cm_uuid *id)
{
        return (struct cm_str){ (const char *)id->bytes, sizeof(id->bytes) };
}

static void remove_entry(struct cm_token_cache *cache, struct entry *entry)
{
        (void)cm_map_remove(cache->entries, digest_key(entry->digest));
        cm_list_remove(&entry->recent);
        cm_free(entry);
}

void cm_token_cache_clear(struct cm_token_cache *cache)
{
        CM_LIST_EACH_SAFE (node, &cache->recent)
                remove_entry(cache, CM_CONTAINER(node, struct entry, recent));
}

void cm_token_cache_free(struct cm_token_cache **cache)
{
        if (!*cache)
                return;
        cm_token_cache_clear(*cache);
        cm_map_free(&(*cache)->entries, NULL);
        cm_map_free(&(*cache)->revoked, cm_free);
        cm_free(*cache);
        *cache = NULL;
}

static struct entry *find(const struct cm_token_cache *cache, struct cm_str token,
                          unsigned char digest_r[DIGEST_SIZE])
{
        (void)crypto_generichash(digest_r, DIGEST_SIZE, (const unsigned char *)token.data,
                                 token.len, NULL, 0);
        return cm_map_get(cache->entries, digest_key(digest_r));
}

static void add_entry(struct cm_token_cache *cache, const unsigned char digest[DIGEST_SIZE],
                      struct entry *entry)
{
        if (cm_map_count(cache->entries) >= cache->max_tokens)
                remove_entry(cache, CM_CONTAINER(cache->recent.next, struct entry, recent));
        memcpy(entry->digest, digest, DIGEST_SIZE);
        (void)cm_map_put(cache->entries, digest_key(digest), entry);
        cm_list_append(&cache->recent, &entry->recent);
}

/* Takes the revocations out that have outlived their tokens. */
static void sweep(struct cm_token_cache *cache, cm_time now)
{
        struct cm_map *left = cm_map_new();
        size_t position = 0;
        struct cm_str key;
        void *value;

        while (cm_map_next(cache->revoked, &position, &key, &value)) {
                if (now < *(cm_time *)value)
                        (void)cm_map_put(left, key, value);
                else
                        cm_free(value);
        }
        cm_map_free(&cache->revoked, NULL);
        cache->revoked = left;
        cache->sweep_at = 2 * cm_map_count(left) + FIRST_SWEEP;
}

static bool is_revoked(struct cm_token_cache *cache, const struct cm_claims *claims, cm_time now)
{
        const struct cm_uuid *ids[] = { &claims->jti, &claims->sid };

        if (cm_map_count(cache->revoked) == 0)
                return false;
        if (cm_map_count(cache->revoked) >= cache->sweep_at)
                sweep(cache, now);
        for (size_t i = 0; i < CM_COUNT(ids); i++) {
                const cm_time *until = cm_map_get(cache->revoked, id_key(ids[i]));

                if (until && now < *until)
                        return true;
        }
        return false;
}

static int verify_new(struct cm_token_cache *cache, const struct cm_key_set *keys,
                      const struct cm_token_policy *policy, struct cm_str token,
                      const unsigned char digest[DIGEST_SIZE], cm_time now, struct entry **entry_r)
{
        struct entry *entry = CM_NEW(struct entry);
        int r = cm_token_verify(keys, policy, token, now, &entry->claims);

        if (r) {
                cm_free(entry);
                return r;
        }
        add_entry(cache, digest, entry);
        *entry_r = entry;
        return 0;
}

int cm_token_cache_verify(struct cm_token_cache *cache, const struct cm_key_set *keys,
                          const struct cm_token_policy *policy, struct cm_str token, cm_time now,
                          const struct cm_claims **claims_r)
{
        unsigned char digest[DIGEST_SIZE];
        struct entry *entry = find(cache, token, digest);

        if (!entry) {
                int r = verify_new(cache, keys, policy, token, digest, now, &entry);

                if (r)
                        return r;
        } else if (now >= entry->claims.expires_at + policy->leeway_us) {
                remove_entry(cache, entry);
                return CM_TOKEN_EXPIRED;
        }
        if (is_revoked(cache, &entry->claims, now))
                return CM_TOKEN_REVOKED;
        cm_list_remove(&entry->recent);
        cm_list_append(&cache->recent, &entry->recent);
        *claims_r = &entry->claims;
        return 0;
}

bool cm_token_cache_is_confirmed(const struct cm_token_cache *cache, const struct cm_claims *claims)
{
        const struct entry *entry = CM_CONTAINER(claims, struct entry, claims);

        return entry->confirmed == cache->generation;
}

void cm_token_cache_confirm(struct cm_token_cache *cache, struct cm_str token)
{
        unsigned char digest[DIGEST_SIZE];
        struct entry *entry = find(cache, token, digest);

        if (entry)
                entry->confirmed = cache->generation;
}

void cm_token_cache_unconfirm(struct cm_token_cache *cache)
{
        cache->generation++;
}

void cm_token_cache_revoke(struct cm_token_cache *cache, const struct cm_uuid *id, cm_time until)
{
        cm_time *value = CM_NEW(cm_time);
        cm_time *before = cm_map_get(cache->revoked, id_key(id));

        *value = before && *before > until ? *before : until;
        cm_free(cm_map_put(cache->revoked, id_key(id), value));
}
