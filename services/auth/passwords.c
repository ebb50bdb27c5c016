#include "passwords.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "codec/digest.h"
#include "sys/work.h"

/*
 * bcrypt reads 72 bytes and stops at a NUL, while people may have long passwords in any script
 * (ASVS 5.0, 6.2.8 and 6.2.9). So bcrypt gets base64url(HMAC-SHA-256(pepper, password)): always 43
 * characters, all of the password in it, and useless to guess at without the pepper. The stored
 * form is "$s1" before bcrypt's own text; the tag leaves room for imported plain bcrypt and for the
 * next scheme.
 *
 * The password is taken byte by byte as it came: 6.2.8 wants it verified exactly as received.
 * Normalising (NFKC, as NIST suggests) would make some different passwords equal and change with
 * Unicode versions.
 */
#define SCHEME_TAG "$s1"

enum { NICE = 10 }; /* hashing gets what is left: a storm of sign-ins delays nobody else */

struct passwords {
        struct cm_str pepper;
        int cost;
        struct cm_work_lane *lane;
        char *nobody; /* a stored form that no password matches */
};

static void key_password(struct cm_str pepper, struct cm_str password, struct cm_buf *keyed)
{
        uint8_t mac[CM_SHA256_SIZE];

        cm_hmac_sha256(pepper, password.data, password.len, mac);
        cm_base64url_encode(mac, sizeof(mac), keyed);
        cm_wipe(mac, sizeof(mac));
}

/* bcrypt of the keyed password under a setting ("$2b$12$" and salt; what follows is ignored). */
static bool run_bcrypt(struct cm_str pepper, struct cm_str password, const char *setting,
                       struct cm_buf *out)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf keyed = { 0 };
        void *data = NULL;
        int size = 0;
        const char *text;

        key_password(pepper, password, &keyed);
        text = crypt_ra(keyed.data, setting, &data, &size);
        if (text)
                cm_buf_add(out, text, strlen(text));
        if (data)
                cm_wipe(data, (size_t)size);
        free(data);
        cm_wipe(keyed.data, keyed.len);
        return text != NULL;
}

static bool make_setting(int cost, char out[CRYPT_GENSALT_OUTPUT_SIZE])
{
        char salt[16];

        cm_random(salt, sizeof(salt));
        return crypt_gensalt_rn("$2b$", (unsigned long)cost, salt, sizeof(salt), out,
                                CRYPT_GENSALT_OUTPUT_SIZE);
}

bool password_make(struct cm_str pepper, int cost, struct cm_str password, struct cm_buf *hash)
{
        char setting[CRYPT_GENSALT_OUTPUT_SIZE];

        if (!make_setting(cost, setting))
                return false;
        cm_buf_add_str(hash, CM_STR(SCHEME_TAG));
        return run_bcrypt(pepper, password, setting, hash);
}

/* The cost that a stored form was made with ("$s1$2b$12$…"), or 0. */
static int cost_of(struct cm_str hash)
{
        struct cm_str prefix = CM_STR(SCHEME_TAG "$2b$");
        int64_t cost;

        if (!cm_str_starts(hash, prefix) || hash.len < prefix.len + 2)
                return 0;
        if (!cm_str_to_int((struct cm_str){ hash.data + prefix.len, 2 }, &cost))
                return 0;
        return (int)cost;
}

int password_compare(struct cm_str pepper, int cost, struct cm_str password, struct cm_str hash)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf stored = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf computed = { 0 };
        int stored_cost = cost_of(hash);

        if (!stored_cost)
                return -CM_E_INTERNAL;
        cm_buf_add_str(&stored, hash);
        cm_buf_add_str(&computed, CM_STR(SCHEME_TAG));
        if (!run_bcrypt(pepper, password, stored.data + sizeof(SCHEME_TAG) - 1, &computed))
                return -CM_E_INTERNAL;
        if (computed.len != stored.len || !cm_equal_secret(computed.data, stored.data, stored.len))
                return PASSWORD_WRONG;
        return stored_cost == cost ? 0 : PASSWORD_OUTDATED;
}

/* Costs as much to check as any other, without a hash to be made for it at the start. */
static char *hash_of_nobody(int cost)
{
        static const char rest[] = "0000000000000000000000000000000"; /* 31, as bcrypt's digest */
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        char setting[CRYPT_GENSALT_OUTPUT_SIZE];

        if (!make_setting(cost, setting))
                return NULL;
        cm_buf_printf(&text, "%s%s%s", SCHEME_TAG, setting, rest);
        return cm_strdup(text.data);
}

int passwords_new(const struct passwords_config *config, struct passwords **passwords_r)
{
        struct passwords *passwords = CM_NEW(struct passwords);
        int r;

        passwords->cost = config->cost;
        passwords->pepper = (struct cm_str){ cm_strdup(config->pepper.data), config->pepper.len };
        passwords->nobody = hash_of_nobody(config->cost);
        r = passwords->nobody ? 0 : -CM_E_CONFIG;
        if (!r)
                r = cm_work_lane_new_nice("hash", config->threads, config->max_queued, NICE,
                                          &passwords->lane);
        if (r)
                passwords_free(&passwords);
        *passwords_r = passwords;
        return r;
}

void passwords_free(struct passwords **passwords)
{
        struct passwords *p = *passwords;

        *passwords = NULL;
        if (!p)
                return;
        cm_work_lane_free(&p->lane);
        cm_wipe((char *)p->pepper.data, p->pepper.len);
        cm_free((char *)p->pepper.data);
        cm_free(p->nobody);
        cm_free(p);
}

struct hash_work {
        const struct passwords *passwords;
        struct cm_str password;
        struct cm_str hash;
        struct cm_buf made;
};

static int make_work(void *arg)
{
        struct hash_work *work = arg;
        const struct passwords *passwords = work->passwords;

        if (!password_make(passwords->pepper, passwords->cost, work->password, &work->made))
                return -CM_E_INTERNAL;
        return 0;
}

int passwords_hash(struct passwords *passwords, struct cm_arena *arena, struct cm_str password,
                   struct cm_str *hash_r)
{
        struct hash_work work = { .passwords = passwords, .password = password };
        int r = cm_work_run(passwords->lane, make_work, &work);

        if (!r)
                *hash_r = cm_arena_str(arena, cm_buf_str(&work.made));
        cm_buf_deinit(&work.made);
        return r;
}

static int compare_work(void *arg)
{
        struct hash_work *work = arg;
        const struct passwords *passwords = work->passwords;

        return password_compare(passwords->pepper, passwords->cost, work->password, work->hash);
}

int passwords_check(struct passwords *passwords, struct cm_str password, struct cm_str hash)
{
        struct hash_work work = {
                .passwords = passwords,
                .password = password,
                .hash = hash.data ? hash : cm_str_from(passwords->nobody),
        };
        int r = cm_work_run(passwords->lane, compare_work, &work);

        return r < 0 || hash.data ? r : PASSWORD_WRONG;
}
