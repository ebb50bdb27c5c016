#include "signing_keys.h"

#include "auth_api.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "sys/log.h"

enum { TAG_BYTES = 12 };

struct signing_keys {
        struct cm_seal_keys *seal;
        struct cm_signing_key *active;
        struct cm_buf set;
        struct cm_buf tag;
        int64_t looked_us; /* monotonic: when the table was read */
};

/* A sealed key cannot be moved to another row. */
static struct cm_str seal_context(struct cm_arena *arena, struct cm_str id)
{
        return cm_arena_printf(arena, "signing_keys.sealed:%.*s", CM_STR_ARG(id));
}

int signing_keys_make(const struct signing_keys *keys, struct cm_arena *arena,
                      struct stored_key *key_r)
{
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
        return 0;
}

static int open_key(const struct signing_keys *keys, struct cm_arena *arena,
                    const struct stored_key *stored, struct cm_signing_key **key_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf pem = { 0 };
        int r = cm_unseal(keys->seal, seal_context(arena, stored->id), stored->sealed, &pem);

        if (r) {
                cm_log(CM_LOG_ERROR, "SALUS_SEAL_KEYS does not open the signing key",
                       CM_F_STR("kid", stored->id));
                return r < 0 ? r : -CM_E_CONFIG;
        }
        r = cm_signing_key_parse(cm_buf_str(&pem), key_r);
        cm_wipe(pem.data, pem.len);
        return r > 0 ? -CM_E_INTERNAL : r;
}

int signing_keys_write_set(struct cm_arena *arena, const struct key_list *list, struct cm_buf *set)
{
        struct jwk_set value = { 0 };
        struct cm_faults faults = { 0 };

        value.keys.items = cm_arena_array(arena, list->count + 1, sizeof(*value.keys.items));
        value.keys.count = list->count;
        for (size_t i = 0; i < list->count; i++) {
                if (cm_schema_decode(&jwk_schema, list->keys[i].jwk, arena, &value.keys.items[i],
                                     &faults))
                        return -CM_E_DATABASE;
        }
        cm_schema_encode(&jwk_set_schema, &value, set);
        return 0;
}

/* ---- what a worker holds */

static bool signs_with(const struct signing_keys *keys, const struct stored_key *stored)
{
        return keys->active &&
               cm_str_equal(cm_str_from(cm_signing_key_id(keys->active)), stored->id);
}

static int adopt_active(struct signing_keys *keys, struct cm_arena *arena,
                        const struct key_list *list)
{
        const struct stored_key *stored = key_rules_find(list, KEY_ACTIVE);
        struct cm_signing_key *key = NULL;
        int r;

        if (!stored)
                return -CM_E_DATABASE;
        if (signs_with(keys, stored))
                return 0;
        r = open_key(keys, arena, stored, &key);
        if (r)
                return r;
        cm_signing_key_free(&keys->active);
        keys->active = key;
        return SIGNING_KEYS_CHANGED;
}

static int adopt_set(struct signing_keys *keys, struct cm_arena *arena, const struct key_list *list)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf set = { 0 };
        uint8_t digest[CM_SHA256_SIZE];
        int r = signing_keys_write_set(arena, list, &set);

        if (r || cm_str_equal(cm_buf_str(&set), cm_buf_str(&keys->set)))
                return r;
        cm_buf_reset(&keys->set);
        cm_buf_add_str(&keys->set, cm_buf_str(&set));
        cm_sha256(set.data, set.len, digest);
        cm_buf_reset(&keys->tag);
        cm_base64url_encode(digest, TAG_BYTES, &keys->tag);
        return SIGNING_KEYS_CHANGED;
}

int signing_keys_adopt(struct signing_keys *keys, struct cm_arena *arena,
                       const struct key_list *list)
{
        int active = adopt_active(keys, arena, list), set;

        if (active < 0)
                return active;
        set = adopt_set(keys, arena, list);
        if (set < 0)
                return set;
        keys->looked_us = cm_monotonic_us();
        return active || set ? SIGNING_KEYS_CHANGED : 0;
}

int signing_keys_new(const char *seal_keys, struct signing_keys **keys_r)
{
        struct signing_keys *keys = CM_NEW(struct signing_keys);
        int r = cm_seal_keys_parse(cm_str_from(seal_keys), &keys->seal);

        if (r)
                signing_keys_free(&keys);
        *keys_r = keys;
        return r ? -CM_E_CONFIG : 0;
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

const struct cm_signing_key *signing_keys_active(const struct signing_keys *keys,
                                                 int64_t at_most_us)
{
        return cm_monotonic_us() - keys->looked_us <= at_most_us ? keys->active : NULL;
}

struct cm_str signing_keys_set(const struct signing_keys *keys)
{
        return cm_buf_str(&keys->set);
}

struct cm_str signing_keys_tag(const struct signing_keys *keys)
{
        return cm_buf_str(&keys->tag);
}
