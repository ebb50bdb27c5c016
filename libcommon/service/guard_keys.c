#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/token.h"
#include "keys.h"
#include "service/guard_internal.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * The keys come from Redis, where auth publishes them: at the start, when auth signals a change,
 * every five minutes, and when somebody shows a key that we do not know. A set that was once read
 * stays in use for a day when Redis is gone; then it is too old to be trusted.
 *
 * Revocations come by signal. What was revoked before this worker listened is found by looking each
 * token up once; after a connection that was lost, once more.
 */
#define MAX_TOKENS      20000
#define LEEWAY_US       (5 * CM_SECOND)
#define REFRESH_US      (5 * CM_MINUTE)
#define RETRY_FIRST_US  (5 * CM_MILLISECOND)
#define RETRY_MAX_US    (2 * CM_SECOND)
#define UNKNOWN_KEY_US  (30 * CM_SECOND)
#define TRUSTED_US      CM_DAY
#define LOOK_TIMEOUT_US (500 * CM_MILLISECOND)

struct guard {
        struct worker *worker;
        struct cm_key_set *keys;
        struct cm_buf jwks; /* the text of `keys` */
        int64_t loaded_us;  /* monotonic */
        bool fixed;         /* the service gave them itself */
        bool loading;
        bool stale;
        bool unread; /* the last load failed */
        bool stopping;
        struct cm_cond wake;   /* of the fiber */
        struct cm_cond loaded; /* those who wait for a load under way */
        int64_t unknown_next_us;
        struct cm_token_cache *tokens;
        struct cm_token_policy policy;
};

static struct cm_metric key_loads =
        CM_COUNTER("salus_guard_key_changes_total", "Changes of the set of token keys");
static struct cm_metric unconfirmed = CM_COUNTER(
        "salus_guard_unconfirmed_total", "Tokens accepted without a look at Redis, which was gone");

struct guard *guard_new(struct worker *worker)
{
        const struct cm_service_settings *settings = worker->daemon->settings;
        struct guard *guard = CM_NEW(struct guard);

        guard->worker = worker;
        guard->tokens = cm_token_cache_new(MAX_TOKENS);
        guard->policy = (struct cm_token_policy){ .issuer = settings->token_issuer,
                                                  .audience = settings->token_audience,
                                                  .leeway_us = LEEWAY_US };
        cm_cond_init(&guard->wake);
        cm_cond_init(&guard->loaded);
        return guard;
}

void guard_free(struct guard **guard)
{
        if (!*guard)
                return;
        cm_key_set_free(&(*guard)->keys);
        cm_token_cache_free(&(*guard)->tokens);
        cm_buf_deinit(&(*guard)->jwks);
        guard_limit_forget((*guard)->worker);
        cm_free(*guard);
        *guard = NULL;
}

/* ---- keys */

static int use_keys(struct guard *guard, struct cm_str jwks)
{
        struct cm_key_set *keys = NULL;
        int r;

        guard->loaded_us = cm_monotonic_us();
        if (guard->keys && cm_str_equal(jwks, cm_buf_str(&guard->jwks)))
                return 0;
        r = cm_key_set_parse(jwks, &keys);
        if (r)
                return r;
        cm_key_set_free(&guard->keys);
        guard->keys = keys;
        cm_buf_reset(&guard->jwks);
        cm_buf_add_str(&guard->jwks, jwks);
        cm_token_cache_clear(guard->tokens);
        cm_counter_add(&key_loads, 1);
        atomic_store(&guard->worker->has_keys, true);
        return 0;
}

int guard_set_keys(struct guard *guard, struct cm_str jwks)
{
        guard->fixed = true;
        return use_keys(guard, jwks);
}

int cm_worker_set_keys(struct cm_worker *worker, struct cm_str jwks)
{
        return guard_set_keys(worker_of(worker)->guard, jwks);
}

enum { KEYS_MISSING = 1 };

static int fetch_keys(struct guard *guard)
{
        struct cm_redis_reply reply;
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 4096);
        r = cm_redis_call(guard->worker->public.bus, &arena, &reply, CM_STR("GET"),
                          CM_STR(KEY_AUTH_JWKS), CM_STR_NONE);
        if (r == 0 && reply.kind != CM_REDIS_TEXT)
                r = KEYS_MISSING;
        if (r == 0)
                r = use_keys(guard, reply.text);
        if (r == -CM_E_MALFORMED)
                cm_log(CM_LOG_ERROR, "the published token keys are not usable");
        cm_arena_deinit(&arena);
        return r;
}

/* One load at a time; who comes while one is under way waits for it. */
static int load_keys(struct guard *guard)
{
        int r;

        if (guard->fixed) {
                guard->stale = false;
                return 0;
        }
        if (guard->loading)
                return cm_cond_wait(&guard->loaded);
        guard->loading = true;
        guard->stale = false;
        r = fetch_keys(guard);
        guard->unread = r != 0;
        guard->loading = false;
        cm_cond_broadcast(&guard->loaded);
        return r;
}

static void wait_for_wake(struct guard *guard, int64_t at_most_us)
{
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + at_most_us);

        if (cm_cond_wait(&guard->wake))
                (void)0; /* the time has come */
        (void)cm_fiber_set_deadline(before);
}

static void keys_fiber(void *arg)
{
        struct guard *guard = arg;
        int64_t retry_us = RETRY_FIRST_US;

        while (!guard->stopping) {
                if (load_keys(guard) == 0) {
                        retry_us = RETRY_FIRST_US;
                        if (!guard->stale)
                                wait_for_wake(guard, REFRESH_US);
                } else {
                        wait_for_wake(guard, retry_us);
                        retry_us = retry_us * 2 < RETRY_MAX_US ? retry_us * 2 : RETRY_MAX_US;
                }
        }
}

int guard_keys_reload_for_unknown(struct guard *guard)
{
        int64_t now = cm_monotonic_us();

        if (guard->fixed)
                return GUARD_KEYS_NOT_DUE;
        if (guard->loading || now >= guard->unknown_next_us) {
                guard->unknown_next_us = now + UNKNOWN_KEY_US;
                return load_keys(guard) ? -CM_E_UNAVAILABLE : 0;
        }
        return guard->unread || !cm_redis_is_ready(guard->worker->public.bus) ? -CM_E_UNAVAILABLE
                                                                              : GUARD_KEYS_NOT_DUE;
}

int guard_keys_verify(struct guard *guard, struct cm_str token, cm_time now,
                      const struct cm_claims **claims_r)
{
        if (!guard->keys || (!guard->fixed && cm_monotonic_us() - guard->loaded_us > TRUSTED_US))
                return -CM_E_UNAVAILABLE;
        return cm_token_cache_verify(guard->tokens, guard->keys, &guard->policy, token, now,
                                     claims_r);
}

/* ---- revocation */

bool guard_is_confirmed(const struct guard *guard, const struct cm_claims *claims)
{
        return cm_token_cache_is_confirmed(guard->tokens, claims);
}

static int look_up(struct guard *guard, const struct cm_claims *claims, struct cm_arena *arena,
                   struct cm_redis_reply *reply_r)
{
        int64_t limit = cm_monotonic_us() + LOOK_TIMEOUT_US, before = cm_fiber_deadline_us();
        char jti[CM_UUID_TEXT_SIZE], sid[CM_UUID_TEXT_SIZE];
        int r;

        (void)cm_fiber_set_deadline(limit < before ? limit : before);
        r = cm_redis_call(
                guard->worker->public.bus, arena, reply_r, CM_STR("EXISTS"),
                key_auth_tokens_revoked(arena, cm_str_from(cm_uuid_format(&claims->jti, jti))),
                key_auth_tokens_revoked(arena, cm_str_from(cm_uuid_format(&claims->sid, sid))),
                CM_STR_NONE);
        (void)cm_fiber_set_deadline(before);
        return r;
}

int guard_confirm(struct guard *guard, struct cm_str token, const struct cm_claims *claims,
                  struct cm_arena *arena)
{
        struct cm_redis_reply reply = { 0 };
        int r = look_up(guard, claims, arena, &reply);

        if (r == -CM_E_CANCELLED)
                return r;
        if (r || reply.kind != CM_REDIS_INTEGER) {
                cm_counter_add(&unconfirmed, 1);
                return 0;
        }
        if (reply.integer > 0) {
                cm_token_cache_revoke(guard->tokens, &claims->jti, claims->expires_at + CM_MINUTE);
                return CM_TOKEN_REVOKED;
        }
        cm_token_cache_confirm(guard->tokens, token);
        return 0;
}

/* "<id of a token or session> <end, in unix seconds>" */
static void on_revoked(void *arg, struct cm_str channel CM_UNUSED, struct cm_str message)
{
        struct guard *guard = arg;
        struct cm_str id_text;
        struct cm_uuid id;
        int64_t until_s;

        if (!message.data) { /* some may have been missed */
                cm_token_cache_unconfirm(guard->tokens);
                return;
        }
        if (!cm_str_split(&message, ' ', &id_text) || !cm_uuid_parse(id_text, &id) ||
            !message.data || !cm_str_to_int(message, &until_s) || until_s < 0 ||
            until_s > INT64_MAX / CM_SECOND - 60) {
                cm_log(CM_LOG_WARN, "a revocation that nobody understands");
                cm_token_cache_unconfirm(guard->tokens);
                return;
        }
        cm_token_cache_revoke(guard->tokens, &id, until_s * CM_SECOND + CM_MINUTE);
}

static void on_keys(void *arg, struct cm_str channel CM_UNUSED, struct cm_str message CM_UNUSED)
{
        struct guard *guard = arg;

        guard->stale = true;
        cm_cond_signal(&guard->wake);
}

int guard_start(struct guard *guard, struct cm_group *group)
{
        struct cm_redis *signals = guard->worker->signals;
        int r = cm_redis_subscribe(signals, CM_STR(KEY_SIGNAL_AUTH_REVOKED), on_revoked, guard);

        if (!r)
                r = cm_redis_subscribe(signals, CM_STR(KEY_SIGNAL_AUTH_KEYS), on_keys, guard);
        if (!r)
                r = cm_group_start(group, "token keys", keys_fiber, guard);
        return r;
}

void guard_stop(struct guard *guard)
{
        guard->stopping = true;
        cm_cond_broadcast(&guard->wake);
}
