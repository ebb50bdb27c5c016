#include "signing_keys.h"

#include "auth_api.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/seal.h"
#include "key_store.h"
#include "sys/log.h"

enum { TAG_BYTES = 12 };

struct signing_keys {
        struct cm_seal_keys *seal;
        struct cm_signing_key *active;
        struct cm_buf set;
        struct cm_buf tag;
};

/* A sealed key cannot be moved to another row. */
static struct cm_str seal_context(struct cm_arena *arena, struct cm_str id)
{
        return cm_arena_printf(arena, "signing_keys.sealed:%.*s", CM_STR_ARG(id));
}

static int make_key(void *arg, struct cm_arena *arena, struct stored_key *key_r)
{
        const struct signing_keys *keys = arg;
        CM_CLEANUP(cm_signing_key_free) struct cm_signing_key *key = NULL;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf pem = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf sealed = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf jwk = { 0 };
        int r = cm_signing_key_generate(&key);

        if (r)
                return r;
        key_r->id = cm_arena_str(arena, cm_str_from(cm_signing_key_id(key)));
        cm_signing_key_pem(key, &pem);
        cm_seal(keys->seal, seal_context(arena, key_r->id), cm_buf_str(&pem), &sealed);
        cm_wipe(pem.data, pem.len);
        cm_signing_key_jwk(key, &jwk);
        key_r->sealed = cm_arena_str(arena, cm_buf_str(&sealed));
        key_r->jwk = cm_arena_str(arena, cm_buf_str(&jwk));
        cm_log(CM_LOG_INFO, "made the first signing key", CM_F_STR("kid", key_r->id));
        return 0;
}

static int open_key(struct signing_keys *keys, struct cm_arena *arena,
                    const struct stored_key *stored)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf pem = { 0 };
        int r = cm_unseal(keys->seal, seal_context(arena, stored->id), stored->sealed, &pem);

        if (r) {
                cm_log(CM_LOG_ERROR, "SALUS_SEAL_KEYS does not open the signing key",
                       CM_F_STR("kid", stored->id));
                return r < 0 ? r : -CM_E_CONFIG;
        }
        r = cm_signing_key_parse(cm_buf_str(&pem), &keys->active);
        cm_wipe(pem.data, pem.len);
        return r > 0 ? -CM_E_INTERNAL : r;
}

static int write_set(struct signing_keys *keys, struct cm_arena *arena,
                     const struct stored_key *stored, size_t count)
{
        struct jwk_set set = { 0 };
        struct cm_faults faults = { 0 };
        uint8_t digest[CM_SHA256_SIZE];

        set.keys.items = cm_arena_array(arena, count, sizeof(*set.keys.items));
        set.keys.count = count;
        for (size_t i = 0; i < count; i++) {
                if (cm_schema_decode(&jwk_schema, stored[i].jwk, arena, &set.keys.items[i],
                                     &faults))
                        return -CM_E_DATABASE;
        }
        cm_schema_encode(&jwk_set_schema, &set, &keys->set);
        cm_sha256(keys->set.data, keys->set.len, digest);
        cm_base64url_encode(digest, TAG_BYTES, &keys->tag);
        return 0;
}

static int load(struct signing_keys *keys, struct cm_pg *pg, struct cm_arena *arena)
{
        struct stored_key *stored = NULL;
        size_t count = 0;
        int r;

        r = key_store_ensure_active(pg, arena, make_key, keys);
        if (!r)
                r = key_store_list(pg, arena, &stored, &count);
        for (size_t i = 0; !r && i < count; i++) {
                if (stored[i].state == KEY_ACTIVE)
                        r = open_key(keys, arena, &stored[i]);
        }
        if (!r && !keys->active)
                r = -CM_E_DATABASE;
        return r ? r : write_set(keys, arena, stored, count);
}

int signing_keys_load(struct cm_pg *pg, const char *seal_keys, struct signing_keys **keys_r)
{
        struct signing_keys *keys = CM_NEW(struct signing_keys);
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 4096);
        r = cm_seal_keys_parse(cm_str_from(seal_keys), &keys->seal);
        if (!r)
                r = load(keys, pg, &arena);
        cm_arena_deinit(&arena);
        if (r)
                signing_keys_free(&keys);
        *keys_r = keys;
        return r > 0 ? -CM_E_CONFIG : r;
}

void signing_keys_free(struct signing_keys **keys)
{
        struct signing_keys *k = *keys;

        *keys = NULL;
        if (!k)
                return;
        cm_signing_key_free(&k->active);
        cm_seal_keys_free(&k->seal);
        cm_buf_deinit(&k->set);
        cm_buf_deinit(&k->tag);
        cm_free(k);
}

const struct cm_signing_key *signing_keys_active(const struct signing_keys *keys)
{
        return keys->active;
}

struct cm_str signing_keys_set(const struct signing_keys *keys)
{
        return cm_buf_str(&keys->set);
}

struct cm_str signing_keys_tag(const struct signing_keys *keys)
{
        return cm_buf_str(&keys->tag);
}
