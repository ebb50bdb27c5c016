#include "announcements.h"

#include "admin/flag_signals.h"
#include "base/error.h"
#include "keys.h"
#include "keys/key_keeper.h"
#include "sessions/session_rules.h"
#include "sessions/session_store.h"
#include "sys/fiber.h"
#include "sys/log.h"

/* Clocks of other machines may be behind by so much. */
#define LEEWAY_US          CM_MINUTE
#define ATTEMPT_TIMEOUT_US (30 * CM_SECOND)
#define RETRY_US           CM_SECOND
#define STOP_TIMEOUT_US    CM_SECOND

static int64_t revocation_life_us(const struct auth *auth)
{
        return auth->settings->access_token_life_us + LEEWAY_US;
}

/* 0, or an error; a refusal by Redis is one too. */
static int tell(struct auth *auth, struct cm_arena *arena,
                const struct cm_redis_command_line commands[2])
{
        struct cm_redis_reply replies[2] = { 0 };
        int r = cm_redis_flight(auth->worker->bus, arena, commands, 2, replies);

        for (int i = 0; !r && i < 2; i++) {
                if (replies[i].kind != CM_REDIS_ERROR)
                        continue;
                cm_log(CM_LOG_ERROR, "Redis refuses an announcement",
                       CM_F_STR("reply", replies[i].text));
                r = -CM_E_UNAVAILABLE;
        }
        return r;
}

static int announce_session(struct auth *auth, struct cm_arena *arena,
                            const struct cm_uuid *session_id, cm_time until)
{
        char id[CM_UUID_TEXT_SIZE];
        int64_t left_s = session_rules_seconds_left(cm_now(&cm_clock_system), until) + 1;
        struct cm_str until_s = cm_arena_printf(arena, "%lld", (long long)(until / CM_SECOND));
        struct cm_str message =
                cm_arena_printf(arena, "%s %s", cm_uuid_format(session_id, id), until_s.data);
        const struct cm_str set[] = { CM_STR("SET"),
                                      key_auth_tokens_revoked(arena, cm_str_from(id)), until_s,
                                      CM_STR("EX"),
                                      cm_arena_printf(arena, "%lld", (long long)left_s) };
        const struct cm_str signal[] = { CM_STR("PUBLISH"), CM_STR(KEY_SIGNAL_AUTH_REVOKED),
                                         message };
        const struct cm_redis_command_line commands[] = { { set, 5 }, { signal, 3 } };

        return tell(auth, arena, commands);
}

/* The keys come last: where they are, the ended sessions are too. */
static int announce_all(struct auth *auth, struct cm_arena *arena)
{
        const struct key_rotation rotation =
                key_keeper_rotation(auth->settings, auth->worker, auth->keys);
        int64_t life_us = revocation_life_us(auth);
        struct ended_sessions ended = { 0 };
        int r;

        r = session_store_ended(auth->worker->pg, arena, life_us, &ended);
        for (size_t i = 0; !r && i < ended.count; i++)
                r = announce_session(auth, arena, &ended.items[i].id,
                                     ended.items[i].ended_at + life_us);
        if (!r)
                r = flag_signals_send(auth, arena, NULL);
        return r ? r : key_rotation_publish(&rotation, arena);
}

/* As long as Redis is there it is tried again; when Redis goes, its return starts the next try. */
static void announce_fiber(void *arg)
{
        struct auth *auth = arg;
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 4096);
        do {
                auth->announce_again = false;
                cm_fiber_set_deadline(cm_monotonic_us() + ATTEMPT_TIMEOUT_US);
                cm_arena_reset(&arena);
                r = announce_all(auth, &arena);
                if (r)
                        cm_log(CM_LOG_WARN, "keys and ended sessions are not announced yet",
                               CM_F_ERROR(r));
        } while ((r || auth->announce_again) && cm_redis_is_ready(auth->worker->bus) &&
                 (!r || !cm_fiber_sleep(RETRY_US)));
        cm_arena_deinit(&arena);
        auth->announcing_all = false;
}

static void announce(struct auth *auth)
{
        int r;

        auth->announce_again = true;
        if (auth->announcing_all)
                return;
        r = cm_group_start(&auth->announcing, "announce", announce_fiber, auth);
        auth->announcing_all = r == 0;
        if (r)
                cm_log(CM_LOG_ERROR, "nothing announced: no fiber", CM_F_ERROR(r));
}

void announcements_repeat(struct auth *auth)
{
        if (cm_redis_is_ready(auth->worker->bus))
                announce(auth);
}

void announce_ended_sessions(struct auth *auth, struct cm_arena *arena,
                             const struct ended_sessions *ended)
{
        int64_t life_us = revocation_life_us(auth);
        int r = 0;

        for (size_t i = 0; !r && i < ended->count; i++)
                r = announce_session(auth, arena, &ended->items[i].id,
                                     ended->items[i].ended_at + life_us);
        if (!r)
                return;
        cm_log(CM_LOG_WARN, "ends of sessions are not announced yet", CM_F_ERROR(r));
        announcements_repeat(auth);
}

/* The hook stays with the connection; the worker's object may be gone before it. */
static void on_connect(void *arg)
{
        const struct cm_worker *worker = arg;

        if (worker->object)
                announce(worker->object);
}

void announcements_start(struct auth *auth)
{
        cm_redis_on_connect(auth->worker->bus, on_connect, auth->worker);
        if (cm_redis_is_ready(auth->worker->bus))
                announce(auth);
}

void announcements_stop(struct auth *auth)
{
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + STOP_TIMEOUT_US);

        auth->worker->object = NULL;
        if (cm_group_join(&auth->announcing))
                cm_log(CM_LOG_WARN, "announcements were cut off");
        cm_fiber_set_deadline(before);
}
