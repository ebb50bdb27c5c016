#include "key_keeper.h"

#include "announcements.h"
#include "base/error.h"
#include "key_store.h"
#include "keys.h"
#include "sys/log.h"

#define LOOK_US         CM_SECOND
#define TURN_TIMEOUT_US (10 * CM_SECOND)
#define STEPS_A_TURN    4 /* more wait for the next look */

struct key_rotation key_keeper_rotation(const struct auth_settings *settings,
                                        const struct cm_worker *worker,
                                        const struct signing_keys *keys)
{
        return (struct key_rotation){
                .pg = worker->pg,
                .bus = worker->bus,
                .signals = worker->signals,
                .keys = keys,
                .schedule = { .period_us = settings->key_rotation_period_us,
                              .announce_us = settings->key_announce_us,
                              .grace_us = settings->key_grace_us },
        };
}

const struct cm_signing_key *key_keeper_active(const struct auth *auth)
{
        const struct auth_settings *settings = auth->settings;

        return signing_keys_active(auth->keys,
                                   settings->key_grace_us - settings->access_token_life_us);
}

static int refuse_settings(const char *what)
{
        cm_log(CM_LOG_ERROR, "settings of signing keys do not fit each other",
               CM_F_TEXT("rule", what));
        return -CM_E_CONFIG;
}

static int check_settings(const struct auth_settings *settings)
{
        if (settings->key_announce_us < settings->key_cache_us)
                return refuse_settings("SALUS_KEY_ANNOUNCE must be at least SALUS_KEY_CACHE");
        if (settings->key_rotation_period_us <= settings->key_announce_us)
                return refuse_settings("SALUS_KEY_ROTATION_PERIOD must be more than "
                                       "SALUS_KEY_ANNOUNCE");
        if (settings->key_grace_us < settings->access_token_life_us + 2 * LOOK_US)
                return refuse_settings("SALUS_KEY_GRACE must be at least 2 s more than "
                                       "SALUS_ACCESS_TOKEN_LIFE");
        return 0;
}

/* ---- what the table says */

/* SIGNING_KEYS_CHANGED when something did. */
static int adopt(struct auth *auth, struct cm_arena *arena, const struct key_list *list)
{
        int r = signing_keys_adopt(auth->keys, arena, list);

        if (r != SIGNING_KEYS_CHANGED)
                return r;
        r = cm_worker_set_keys(auth->worker, signing_keys_set(auth->keys));
        return r ? r : SIGNING_KEYS_CHANGED;
}

static int load(struct auth *auth, struct cm_arena *arena, const struct key_rotation *rotation)
{
        struct key_list list;
        int r = key_store_list(rotation->pg, arena, &list);

        if (!r && !key_rules_find(&list, KEY_ACTIVE)) {
                r = key_rotation_step(rotation, arena, false);
                if (!r)
                        r = key_store_list(rotation->pg, arena, &list);
        }
        if (!r)
                r = adopt(auth, arena, &list);
        return r < 0 ? r : 0;
}

int key_keeper_load(struct auth *auth)
{
        struct key_rotation rotation;
        struct cm_arena arena;
        int r = check_settings(auth->settings);

        if (!r)
                r = signing_keys_new(auth->settings->seal_keys, &auth->keys);
        if (r)
                return r;
        cm_arena_init(&arena, 4096);
        rotation = key_keeper_rotation(auth->settings, auth->worker, auth->keys);
        r = load(auth, &arena, &rotation);
        cm_arena_deinit(&arena);
        return r;
}

/* ---- what Redis says */

/* 0: it has the set of this worker by now. */
static int look_at_redis(struct auth *auth, struct cm_arena *arena,
                         const struct key_rotation *rotation)
{
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(rotation->bus, arena, &reply, CM_STR("GET"), CM_STR(KEY_AUTH_JWKS),
                              CM_STR_NONE);

        if (r)
                return r;
        if (reply.kind == CM_REDIS_TEXT && cm_str_equal(reply.text, signing_keys_set(auth->keys)))
                return 0;
        if (reply.kind == CM_REDIS_NIL)
                announcements_repeat(auth);
        return key_rotation_publish(rotation, arena);
}

/* An announced key that Redis had before this worker wrote it down. */
static bool is_untold(const struct key_list *list)
{
        const struct stored_key *announced = key_rules_find(list, KEY_ANNOUNCED);

        return announced && !announced->announced_at;
}

/* ---- turns */

/* Positive when a step was done and there may be another one. */
static int one_pass(struct auth *auth, struct cm_arena *arena)
{
        const struct key_rotation rotation =
                key_keeper_rotation(auth->settings, auth->worker, auth->keys);
        const struct stored_key *which;
        struct key_list list;
        bool told = false;
        int r = key_store_list(rotation.pg, arena, &list);

        if (!r)
                r = adopt(auth, arena, &list);
        if (r < 0)
                return r;
        if (cm_redis_is_ready(rotation.bus)) {
                told = look_at_redis(auth, arena, &rotation) == 0;
                if (told && is_untold(&list))
                        told = key_rotation_publish(&rotation, arena) == 0;
        }
        if (auth->worker->index > 0 ||
            key_rules_next(&list, &rotation.schedule, told, &which) == KEY_STEP_NONE)
                return 0;
        r = key_rotation_step(&rotation, arena, told);
        return r ? r : 1;
}

static void turn(struct auth *auth, struct cm_arena *arena)
{
        int r = 1;

        (void)cm_fiber_set_deadline(cm_monotonic_us() + TURN_TIMEOUT_US);
        for (int n = 0; r > 0 && n <= STEPS_A_TURN; n++) {
                cm_arena_reset(arena);
                r = one_pass(auth, arena);
        }
        if (r < 0 && r != -CM_E_CANCELLED && cm_pg_is_ready(auth->worker->pg))
                cm_log(CM_LOG_WARN, "signing keys could not be looked after", CM_F_ERROR(r));
}

/* False when it is time to end. */
static bool wait_for_news(struct auth *auth)
{
        int r = 0;

        (void)cm_fiber_set_deadline(cm_monotonic_us() + LOOK_US);
        if (!auth->keys_have_news)
                r = cm_cond_wait(&auth->keys_news);
        auth->keys_have_news = false;
        return r != -CM_E_CANCELLED;
}

static void keeper_fiber(void *arg)
{
        struct auth *auth = arg;
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        do
                turn(auth, &arena);
        while (wait_for_news(auth));
        cm_arena_deinit(&arena);
}

/* The listener stays with the connection; the worker's object may be gone before it. */
static void on_news(void *arg, struct cm_str words CM_UNUSED)
{
        const struct cm_worker *worker = arg;
        struct auth *auth = worker->object;

        if (!auth)
                return;
        auth->keys_have_news = true;
        cm_cond_signal(&auth->keys_news);
}

void key_keeper_start(struct auth *auth)
{
        if (cm_signals_listen(auth->worker->signals, CM_STR("auth.keys"), on_news, auth->worker))
                cm_log(CM_LOG_ERROR, "changes of keys are not heard of");
        if (cm_group_start(&auth->keeping_keys, "signing keys", keeper_fiber, auth))
                cm_log(CM_LOG_ERROR, "signing keys are not looked after: no fiber");
}

void key_keeper_stop(struct auth *auth)
{
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us());

        (void)!cm_group_join(&auth->keeping_keys); /* it ends by being cancelled */
        (void)cm_fiber_set_deadline(before);
}
