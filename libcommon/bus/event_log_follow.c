#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "bus/event_log_internal.h"
#include "keys.h"

/*
 * Readers. One of a log of this worker reads its memory. Any other reads the copy: what came since
 * the last entry that it has, whenever it is told that there is more, and now and then without
 * being told; then it also looks whether the producer still lives.
 *
 * A copy has no gap, so an id that is not the next one means that Redis has lost the log and the
 * producer is writing it anew: then nothing is given out before the id is reached again.
 */
#define BATCH        "128"
#define BATCH_SIZE   128
#define ENTRY_FIELDS 6

/* ---- what is read from Redis */

/* {id, {t, type, d, data, by, holder}} */
static bool take_entry(const struct cm_redis_reply *entry, struct cm_stream_event *event_r)
{
        struct cm_str id, rest;

        if (entry->kind != CM_REDIS_ARRAY || entry->count != 2 ||
            entry->items[1].kind != CM_REDIS_ARRAY || entry->items[1].count != ENTRY_FIELDS)
                return false;
        rest = entry->items[0].text;
        if (!cm_str_split(&rest, '-', &id) || !cm_stream_event_id_parse(id, &event_r->id))
                return false;
        event_r->type = entry->items[1].items[1].text;
        event_r->data = entry->items[1].items[3].text;
        return true;
}

static int take_batch(struct cm_event_follower *follower, const struct cm_redis_reply *reply)
{
        int64_t last = follower->last_id;

        if (reply->kind != CM_REDIS_ARRAY || reply->count > BATCH_SIZE)
                return -CM_E_PROTOCOL;
        follower->batch =
                cm_arena_array(&follower->arena, reply->count + 1, sizeof(*follower->batch));
        follower->batch_count = follower->batch_next = 0;
        for (size_t i = 0; i < reply->count; i++) {
                struct cm_stream_event *event = &follower->batch[i];

                if (!take_entry(&reply->items[i], event))
                        return -CM_E_PROTOCOL;
                if (event->id != last + 1 && event->id != CM_STREAM_INTERRUPTED_ID)
                        break;
                last = event->id;
                follower->batch_count++;
        }
        if (reply->count == BATCH_SIZE)
                follower->hinted = true;
        return 0;
}

static int read_batch(struct cm_event_follower *follower)
{
        struct cm_event_logs *logs = follower->logs;
        struct cm_redis_reply reply;
        int r;

        cm_arena_reset(&follower->arena);
        follower->batch_count = follower->batch_next = 0;
        follower->hinted = false;
        r = cm_redis_call(
                logs->config.redis, &follower->arena, &reply, CM_STR("XRANGE"),
                key_event_log(&follower->arena, cm_str_from(logs->config.service), &follower->id),
                cm_arena_printf(&follower->arena, "(%" PRId64 "-0", follower->last_id), CM_STR("+"),
                CM_STR("COUNT"), CM_STR(BATCH), CM_STR_NONE);
        if (r == CM_REDIS_REFUSED)
                return -CM_E_UNAVAILABLE;
        return r < 0 ? r : take_batch(follower, &reply);
}

/* Says that it is there, and ends the log when its producer is dead. */
static int look_after(struct cm_event_follower *follower, bool *ended_r)
{
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 1024);
        log_watch(follower, &arena);
        r = log_take_over(follower->logs, &follower->id, &arena, ended_r);
        cm_arena_deinit(&arena);
        follower->hinted = true;
        return r;
}

int cm_event_log_end_orphan(struct cm_event_logs *logs, const struct cm_uuid *id, bool *ended_r)
{
        char text[CM_UUID_TEXT_SIZE];
        struct cm_arena arena;
        int r;

        *ended_r = false;
        if (cm_map_get(logs->by_id, cm_str_from(cm_uuid_format(id, text))))
                return 0;
        cm_arena_init(&arena, 1024);
        r = log_take_over(logs, id, &arena, ended_r);
        cm_arena_deinit(&arena);
        return r;
}

/* ---- next */

static int next_local(struct cm_event_follower *follower, struct cm_stream_event *event_r)
{
        const struct cm_event_log *log = follower->log;
        size_t visible = log_visible(log), index = (size_t)follower->last_id;

        if (log->broken && index >= visible)
                index = visible - 1; /* the end comes behind ids that were never given */
        if (index >= visible || log_entry_id(log, index) <= follower->last_id)
                return log->ended && !log->held ? CM_EVENT_LOG_NONE : CM_EVENT_LOG_NOT_YET;
        *event_r = (struct cm_stream_event){ .id = log_entry_id(log, index),
                                             .type = cm_str_from(log->entries[index].type),
                                             .data = log->entries[index].data };
        return 0;
}

static bool batch_is_empty(const struct cm_event_follower *follower)
{
        return follower->batch_next == follower->batch_count;
}

static int next_remote(struct cm_event_follower *follower, struct cm_stream_event *event_r)
{
        bool ended = false;
        int r = 0;

        if (batch_is_empty(follower) && cm_monotonic_us() - follower->watched_us > WATCH_US)
                r = look_after(follower, &ended);
        while (r == 0 && batch_is_empty(follower) && follower->hinted)
                r = read_batch(follower);
        if (r == CM_EVENT_LOG_NONE || r == -CM_E_CANCELLED)
                return r;
        if (r < 0 || batch_is_empty(follower))
                return r == 0 && ended ? CM_EVENT_LOG_NONE : CM_EVENT_LOG_NOT_YET;
        *event_r = follower->batch[follower->batch_next++];
        return 0;
}

int cm_event_follower_next(struct cm_event_follower *follower, struct cm_stream_event *event_r)
{
        int r = follower->log ? next_local(follower, event_r) : next_remote(follower, event_r);

        if (r == 0)
                follower->last_id = event_r->id;
        return r;
}

/* ---- life */

static int find_remote(struct cm_event_follower *follower)
{
        struct cm_event_logs *logs = follower->logs;
        const struct cm_str service = cm_str_from(logs->config.service);
        struct cm_arena *arena = &follower->arena;
        struct cm_stream_event newest;
        struct cm_redis_reply replies[2];
        const struct cm_str last[] = {
                CM_STR("XREVRANGE"), key_event_log(arena, service, &follower->id),
                CM_STR("+"),         CM_STR("-"),
                CM_STR("COUNT"),     CM_STR("1")
        };
        const struct cm_str lease[] = { CM_STR("EXISTS"),
                                        key_event_log_lease(arena, service, &follower->id) };
        const struct cm_redis_command_line lines[] = { { last, 6 }, { lease, 2 } };
        int r = cm_redis_flight(logs->config.redis, arena, lines, 2, replies);

        if (r == CM_REDIS_REFUSED)
                return -CM_E_UNAVAILABLE;
        if (r < 0)
                return r;
        if (replies[0].kind != CM_REDIS_ARRAY || replies[1].kind != CM_REDIS_INTEGER)
                return -CM_E_PROTOCOL;
        if (!replies[0].count)
                return replies[1].integer ? 0 : CM_EVENT_LOG_NONE;
        if (!take_entry(&replies[0].items[0], &newest))
                return -CM_E_PROTOCOL;
        if (cm_stream_event_is_last(newest.type))
                follower->end_id = newest.id;
        return 0;
}

static int attach(struct cm_event_follower *follower)
{
        struct cm_event_logs *logs = follower->logs;
        struct cm_event_log *log = cm_map_get(logs->by_id, cm_str_from(follower->id_text));
        int r;

        if (log) {
                follower->log = log;
                if (log->ended && !log->held)
                        follower->end_id = log_entry_id(log, log->count - 1);
                cm_list_append(&log->followers, &follower->link);
                return 0;
        }
        r = find_remote(follower);
        if (r)
                return r;
        follower->hinted = true;
        cm_list_append(&logs->remote, &follower->link);
        if (!follower->end_id)
                log_watch(follower, &follower->arena);
        return 0;
}

int cm_event_follower_new(struct cm_event_logs *logs, const struct cm_uuid *id, int64_t last_id,
                          struct cm_event_follower **follower_r)
{
        struct cm_event_follower *follower = CM_NEW(struct cm_event_follower);
        int r;

        follower->logs = logs;
        follower->id = *id;
        cm_uuid_format(id, follower->id_text);
        follower->last_id = last_id;
        cm_list_init(&follower->link);
        cm_arena_init(&follower->arena, 4096);
        r = attach(follower);
        if (r)
                cm_event_follower_free(&follower);
        *follower_r = follower;
        return r;
}

void cm_event_follower_listen(struct cm_event_follower *follower, struct cm_bell *bell)
{
        follower->bell = bell;
        cm_bell_ring(bell, CM_EVENT_LOG_NEWS);
}

const struct cm_uuid *cm_event_follower_id(const struct cm_event_follower *follower)
{
        return &follower->id;
}

bool cm_event_follower_is_behind_end(const struct cm_event_follower *follower)
{
        return follower->end_id && follower->last_id >= follower->end_id;
}

void cm_event_follower_free(struct cm_event_follower **follower)
{
        struct cm_event_follower *it = *follower;

        if (!it)
                return;
        *follower = NULL;
        cm_list_remove(&it->link);
        if (it->log)
                log_settle(it->log);
        cm_arena_deinit(&it->arena);
        cm_free(it);
}
