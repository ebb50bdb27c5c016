#include "passwords.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "bcrypt.h"
#include "codec/digest.h"
#include "stored_hash.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/work.h"

/*
 * bcrypt reads 72 bytes and stops at a NUL, while people may have long passwords in any script
 * (ASVS 5.0, 6.2.8 and 6.2.9). So bcrypt gets base64url(HMAC-SHA-256(pepper, password)): always 43
 * characters, all of the password in it, and useless to guess at without the pepper. The stored
 * form is "$s1$" and the name of the pepper before bcrypt's own text. The name is a digest of the
 * pepper, so that nobody has to keep a list of them in order.
 *
 * The password is taken byte by byte as it came: 6.2.8 wants it verified exactly as received.
 * Normalising (NFKC, as NIST suggests) would make some different passwords equal and change with
 * Unicode versions.
 *
 * What a check takes must not tell whose hash is still an imported one or of an older cost. For
 * bcrypt the sum 2^c + 2^c + 2^(c+1) + … + 2^(C-1) is 2^C: a wrong password of a hash of the lower
 * cost c is followed by hashes of c to C-1 for nobody, and has then cost what one of cost C does.
 * The other schemes have no such sum; while there are such hashes, passwords_pad() says how long
 * any check has to take, and the rest of that time is slept, on no thread.
 */
#define SCHEME_TAG "$s1$"

struct pepper {
        struct cm_str text;
        char id[HASH_KEY_ID_SIZE + 1];
};

enum { NICE = 10 }; /* hashing gets what is left: a storm of sign-ins delays nobody else */

struct passwords {
        struct pepper peppers[PASSWORDS_MAX_PEPPERS];
        size_t pepper_count;
        int cost;
        size_t room;      /* hashes that run or wait */
        size_t under_way; /* of these */
        size_t places;    /* kept for some that come */
        int64_t max_memory;
        int64_t at_least_us;
        struct cm_work_lane *lane;
        char nobody[BCRYPT_SETTING_SIZE]; /* a setting, for where there is nothing to check */
};

static void key_password(struct cm_str pepper, struct cm_str password, struct cm_buf *keyed)
{
        uint8_t mac[CM_SHA256_SIZE];

        cm_hmac_sha256(pepper, password.data, password.len, mac);
        cm_base64url_encode(mac, sizeof(mac), keyed);
        cm_wipe(mac, sizeof(mac));
}

/* bcrypt of the keyed password under a setting or an earlier text. */
static bool run_bcrypt(const struct pepper *pepper, struct cm_str password, const char *setting,
                       struct cm_buf *out)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf keyed = { 0 };
        bool done;

        key_password(pepper->text, password, &keyed);
        done = bcrypt_hash(keyed.data, setting, out);
        cm_wipe(keyed.data, keyed.len);
        return done;
}

bool password_make(const struct passwords *passwords, struct cm_str password, struct cm_buf *hash)
{
        const struct pepper *pepper = &passwords->peppers[0];
        char setting[BCRYPT_SETTING_SIZE];

        if (!bcrypt_setting(passwords->cost, setting))
                return false;
        cm_buf_printf(hash, SCHEME_TAG "%s", pepper->id);
        return run_bcrypt(pepper, password, setting, hash);
}

static const struct pepper *pepper_of(const struct passwords *passwords, struct cm_str id)
{
        for (size_t i = 0; i < passwords->pepper_count; i++)
                if (cm_str_equal(id, cm_str_from(passwords->peppers[i].id)))
                        return &passwords->peppers[i];
        return NULL;
}

/* After a wrong password of a cheaper hash: what is missing, see above. */
static void even_out(const struct passwords *passwords, int cost)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf unused = { 0 };
        char setting[BCRYPT_SETTING_SIZE];

        for (; cost < passwords->cost && bcrypt_setting(cost, setting); cost++)
                (void)bcrypt_hash("", setting, &unused);
}

/* Where nothing can fit: what another check costs. */
static int compare_nobody(const struct passwords *passwords, struct cm_str password)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf unused = { 0 };

        (void)run_bcrypt(&passwords->peppers[0], password, passwords->nobody, &unused);
        return PASSWORD_WRONG;
}

static int compare_ours(const struct passwords *passwords, const struct stored_hash *hash,
                        struct cm_str password)
{
        const struct pepper *pepper = pepper_of(passwords, hash->key_id);
        CM_CLEANUP(cm_buf_deinit) struct cm_buf stored = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf computed = { 0 };

        if (!pepper) {
                cm_log(CM_LOG_ERROR, "a password was made with a pepper that is not here",
                       CM_F_STR("pepper", hash->key_id));
                return compare_nobody(passwords, password);
        }
        cm_buf_add_str(&stored, hash->bcrypt);
        if (!run_bcrypt(pepper, password, stored.data, &computed))
                return -CM_E_INTERNAL;
        if (computed.len != stored.len || !cm_equal_secret(computed.data, stored.data, stored.len))
                return PASSWORD_WRONG;
        return hash->cost == passwords->cost && pepper == &passwords->peppers[0]
                       ? 0
                       : PASSWORD_OUTDATED;
}

int password_compare(const struct passwords *passwords, struct cm_str password, struct cm_str hash)
{
        struct stored_hash stored;
        int r;

        if (!hash.data)
                return compare_nobody(passwords, password);
        r = stored_hash_parse(hash, passwords->max_memory, &stored);
        if (r)
                cm_log(CM_LOG_ERROR, "a stored password cannot be checked",
                       CM_F_TEXT("why", stored_hash_fault(r)));
        if (r || stored.scheme == HASH_NONE)
                return compare_nobody(passwords, password);
        if (stored.scheme == HASH_OURS)
                r = compare_ours(passwords, &stored, password);
        else
                r = stored_hash_fits(&stored, password) ? PASSWORD_OUTDATED : PASSWORD_WRONG;
        if (r == PASSWORD_WRONG && stored.cost)
                even_out(passwords, stored.cost);
        return r;
}

static void add_pepper(struct passwords *passwords, struct cm_str text)
{
        static const char label[] = "the name of a pepper";
        struct pepper *pepper = &passwords->peppers[passwords->pepper_count++];
        uint8_t mac[CM_SHA256_SIZE];

        pepper->text =
                (struct cm_str){ memcpy(cm_alloc(text.len + 1), text.data, text.len), text.len };
        cm_hmac_sha256(text, label, sizeof(label) - 1, mac);
        cm_hex_encode(mac, HASH_KEY_ID_SIZE / 2, pepper->id);
}

int passwords_new(const struct passwords_config *config, struct passwords **passwords_r)
{
        struct passwords *passwords = CM_NEW(struct passwords);
        int r;

        passwords->cost = config->cost;
        passwords->room = config->threads + config->max_queued;
        passwords->max_memory = config->max_memory;
        for (size_t i = 0; i < config->pepper_count; i++)
                add_pepper(passwords, config->peppers[i]);
        r = bcrypt_setting(passwords->cost, passwords->nobody) ? 0 : -CM_E_CONFIG;
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
        for (size_t i = 0; i < p->pepper_count; i++) {
                cm_wipe((char *)p->peppers[i].text.data, p->peppers[i].text.len);
                cm_free((char *)p->peppers[i].text.data);
        }
        cm_free(p);
}

/* ---- on the lane */

bool passwords_keep_place(struct passwords *passwords, struct hash_place *place_r)
{
        *place_r = (struct hash_place){ NULL };
        if (passwords->under_way + passwords->places >= passwords->room)
                return false;
        passwords->places++;
        place_r->of = passwords;
        return true;
}

void hash_place_leave(struct hash_place *place)
{
        if (place->of)
                place->of->places--;
        place->of = NULL;
}

static int run(struct passwords *passwords, cm_work_fn *fn, void *arg)
{
        int r;

        passwords->under_way++;
        r = cm_work_run(passwords->lane, fn, arg);
        passwords->under_way--;
        return r;
}

struct hash_work {
        const struct passwords *passwords;
        struct cm_str password;
        struct cm_str hash;
        struct cm_buf made;
        int64_t took_us;
};

static int make_work(void *arg)
{
        struct hash_work *work = arg;

        return password_make(work->passwords, work->password, &work->made) ? 0 : -CM_E_INTERNAL;
}

int passwords_hash(struct passwords *passwords, struct cm_arena *arena, struct cm_str password,
                   struct cm_str *hash_r)
{
        struct hash_work work = { .passwords = passwords, .password = password };
        int r = run(passwords, make_work, &work);

        if (!r)
                *hash_r = cm_arena_str(arena, cm_buf_str(&work.made));
        cm_buf_deinit(&work.made);
        return r;
}

static int compare_work(void *arg)
{
        struct hash_work *work = arg;
        int64_t start_us = cm_monotonic_us();
        int r = password_compare(work->passwords, work->password, work->hash);

        work->took_us = cm_monotonic_us() - start_us;
        return r;
}

int passwords_check(struct passwords *passwords, struct cm_str password, struct cm_str hash)
{
        struct hash_work work = { .passwords = passwords, .password = password, .hash = hash };
        int64_t at_least_us = passwords->at_least_us;
        int r = run(passwords, compare_work, &work);

        if (r >= 0 && work.took_us < at_least_us)
                (void)!cm_fiber_sleep(at_least_us - work.took_us);
        return r;
}

void passwords_pad(struct passwords *passwords, int64_t at_least_us)
{
        passwords->at_least_us = at_least_us;
}
