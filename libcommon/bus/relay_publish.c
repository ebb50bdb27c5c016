#include <inttypes.h>

#include "base/error.h"
#include "bus/relay_internal.h"
#include "sys/log.h"

/*
 * The stream from the relay's side. An entry's id is `<position>-0`; Redis refuses an id that is
 * not larger than its last one, so that sending again is harmless, and the last one tells how much
 * of the outbox the stream has.
 */

#define FLIGHT      256
#define RESEND_STEP 1000

static struct cm_metric diverged =
        CM_COUNTER("salus_bus_diverged_total", "Times a stream was ahead of its outbox");
static struct cm_metric resent =
        CM_COUNTER("salus_bus_resent_total", "Events sent again because Redis lost them");

int64_t relay_head(const struct cm_redis_reply *info)
{
        int64_t head = 0;

        if (info->kind != CM_REDIS_ARRAY)
                return 0;
        for (size_t i = 0; i + 1 < info->count; i += 2) {
                struct cm_str rest = info->items[i + 1].text, position;

                if (cm_str_equal(info->items[i].text, CM_STR("last-generated-id")) &&
                    cm_str_split(&rest, '-', &position) && !cm_str_to_int(position, &head))
                        return 0;
        }
        return head;
}

static struct cm_redis_command_line xadd(struct cm_relay *relay, const struct cm_event *event)
{
        struct cm_str *fields, *args;
        size_t count = cm_event_fields(event, &relay->arena, &fields);

        args = cm_arena_array(&relay->arena, count + 3, sizeof(*args));
        args[0] = CM_STR("XADD");
        args[1] = relay->stream;
        args[2] = cm_arena_printf(&relay->arena, "%" PRId64 "-0", event->position);
        for (size_t i = 0; i < count; i++)
                args[3 + i] = fields[i];
        return (struct cm_redis_command_line){ args, count + 3 };
}

/* Counts what is in the stream now; the rest was refused because it has been there before. */
static int check_replies(const struct cm_redis_reply *replies, size_t count, size_t *added)
{
        for (size_t i = 0; i < count; i++) {
                if (replies[i].kind != CM_REDIS_ERROR) {
                        (*added)++;
                } else if (!cm_str_starts(replies[i].text,
                                          CM_STR("ERR The ID specified in XADD"))) {
                        cm_log(CM_LOG_ERROR, "bus refuses events",
                               CM_F_STR("reply", replies[i].text));
                        return -CM_E_UNAVAILABLE;
                }
        }
        return 0;
}

int relay_publish(struct cm_relay *relay, const struct relay_batch *batch)
{
        struct cm_redis_command_line commands[FLIGHT];
        struct cm_redis_reply *replies = cm_arena_array(&relay->arena, FLIGHT, sizeof(*replies));
        size_t added = 0;

        for (size_t done = 0; done < batch->count;) {
                size_t count = batch->count - done < FLIGHT ? batch->count - done : FLIGHT;
                int r;

                for (size_t i = 0; i < count; i++)
                        commands[i] = xadd(relay, &batch->events[done + i]);
                r = cm_redis_flight(relay->config.redis, &relay->arena, commands, count, replies);
                if (r >= 0)
                        r = check_replies(replies, count, &added);
                if (r < 0)
                        return r;
                done += count;
        }
        cm_counter_add(relay->published, (int64_t)added);
        return added == batch->count ? 0 : RELAY_OUT_OF_STEP;
}

/* ---- comparing */

/* The first position that a group may need. */
static int64_t first_needed(const struct cm_relay *relay)
{
        int64_t slowest = relay->cursor.position;

        CM_LIST_EACH (node, &relay->groups) {
                const struct relay_group *group = CM_CONTAINER(node, struct relay_group, node);

                if (group->acked < slowest &&
                    cm_monotonic_us() - group->seen_us < relay->config.silent_us)
                        slowest = group->acked;
        }
        return slowest + 1 - relay->config.window;
}

static int resend_step(struct cm_relay *relay, int64_t first)
{
        struct relay_batch batch = { 0 };
        int64_t end = first + RESEND_STEP - 1, last = relay->cursor.position;
        int r = relay->store->read(relay, first, end < last ? end : last, &batch);

        if (r == 0)
                r = relay_publish(relay, &batch);
        cm_counter_add(&resent, (int64_t)batch.count);
        relay_batch_clear(&batch);
        cm_arena_reset(&relay->arena);
        return r < 0 ? r : 0;
}

/* Sends what the stream has lost, as far back as a group may need it. */
static int resend(struct cm_relay *relay, int64_t head)
{
        int64_t last = relay->cursor.position, needed = first_needed(relay), next;
        int r = relay->store->next(relay, needed > head ? needed : head + 1, &next);

        if (r == 0 && next <= last)
                cm_log(CM_LOG_WARN, "stream is behind the outbox: sending again",
                       CM_F_TEXT("stream", relay->config.service), CM_F_INT("head", head),
                       CM_F_INT("from", next), CM_F_INT("to", last));
        while (r == 0 && next <= last && !relay->is_stopping) {
                relay_limit(relay);
                r = resend_step(relay, next);
                if (r == 0)
                        r = relay->store->next(relay, next + RESEND_STEP, &next);
        }
        return r;
}

static bool entry_id(const struct cm_redis_reply *entries, struct cm_uuid *id_r)
{
        const struct cm_redis_reply *fields;

        if (entries->count != 1 || entries->items[0].count != 2)
                return false;
        fields = &entries->items[0].items[1];
        for (size_t i = 0; i + 1 < fields->count; i += 2)
                if (cm_str_equal(fields->items[i].text, CM_STR("ce_id")))
                        return cm_uuid_parse(fields->items[i + 1].text, id_r);
        return false;
}

/*
 * The stream has positions that the outbox has not given. After a crash of the database they are
 * those whose record was lost, and giving them again gives the same. Otherwise (a restored backup,
 * a foreign entry) they are somebody else's, and new events go above them.
 */
static int go_above(struct cm_relay *relay, int64_t head)
{
        struct cm_str id = cm_arena_printf(&relay->arena, "%" PRId64 "-0", head);
        struct cm_redis_reply entries = { 0 };
        struct cm_uuid there, here;
        bool found = false;
        int r = cm_redis_call(relay->config.redis, &relay->arena, &entries, CM_STR("XRANGE"),
                              relay->stream, id, id, CM_STR_NONE);

        if (r)
                return r < 0 ? r : -CM_E_UNAVAILABLE;
        r = relay->store->preview(relay, head, &here, &found);
        if (r < 0 || (found && entry_id(&entries, &there) && cm_uuid_equal(&here, &there)))
                return r;
        cm_counter_add(&diverged, 1);
        cm_log(CM_LOG_ERROR, "stream is ahead of the outbox: its positions are given up",
               CM_F_TEXT("stream", relay->config.service), CM_F_INT("head", head),
               CM_F_INT("position", relay->cursor.position));
        return relay->store->skip(relay, head);
}

int relay_compare(struct cm_relay *relay)
{
        struct cm_redis_reply info = { 0 };
        int64_t head;
        int r = cm_redis_call(relay->config.redis, &relay->arena, &info, CM_STR("XINFO"),
                              CM_STR("STREAM"), relay->stream, CM_STR_NONE);

        /* Without a stream the answer is an error, and the head 0. */
        if (r < 0)
                return r;
        if (r > 0 && !cm_str_starts(info.text, CM_STR("ERR no such key"))) {
                cm_log(CM_LOG_ERROR, "bus refuses to show its stream",
                       CM_F_STR("reply", info.text));
                return -CM_E_UNAVAILABLE;
        }
        head = relay_head(&info);
        if (head < relay->cursor.position)
                return resend(relay, head);
        return head > relay->cursor.position ? go_above(relay, head) : 0;
}
