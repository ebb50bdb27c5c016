
#ifdef CM_FAULTS
#include <signal.h>
#include <stdlib.h>
#endif
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "chat_api.h"
#include "conversations/conversation_store.h"
#include "conversations/message_store.h"
#include "conversations/reply_place_store.h"
#include "errors.h"
#include "reply_internal.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * Two fibers a reply: one works and may be cancelled at any wait, the other waits for it, stores
 * what came of it, and only then says the last event. Both run while the message is being stored:
 * others are asked what they know meanwhile, and that is all.
 */
#define STORE_US (30 * CM_SECOND) /* the store may be away for so long at the end */
#define AGAIN_US (200 * CM_MILLISECOND)
#define LEAVE_US (2 * CM_SECOND) /* of a worker's end, for storing what was cut off */

static struct cm_metric running = CM_GAUGE("salus_chat_replies_running", "Replies being made");
static struct cm_metric stopping =
        CM_HISTOGRAM("salus_chat_stop_seconds",
                     "From a stop, as it came to who makes the reply, to the end of its text");
static struct cm_metric taken = CM_COUNTER("salus_chat_replies_taken_total",
                                           "Replies begun here that another replica had taken up");
static const struct cm_metric ended =
        CM_COUNTER("salus_chat_replies_total", "Replies that ended, by how");

static struct reply_started started_of(const struct reply *reply)
{
        return (struct reply_started){ .reply_id = reply->out.id,
                                       .conversation_id = reply->conversation_id,
                                       .message_id = reply->message.id,
                                       .seq = reply->out.seq };
}

static int say_started(struct reply *reply)
{
        const struct reply_started started = started_of(reply);

        return reply->has_started ? 0 : reply_say(reply, &reply_event_started, &started);
}

/* ---- the work */

static int32_t state_of(const struct reply *reply, int r)
{
        if (r == 0)
                return REPLY_STATE_COMPLETE;
        if (reply->is_cut || r == CM_EVENT_LOG_LOST)
                return REPLY_STATE_INTERRUPTED;
        return cm_event_log_is_stopped(reply->log) ? REPLY_STATE_STOPPED : REPLY_STATE_FAILED;
}

static bool is_crisis(const struct reply *reply)
{
        return reply->message.crisis_level > CRISIS_LEVEL_NONE;
}

static void ask(void *arg)
{
        struct reply *reply = arg;

        /* Only a cancel ends it early, and that ends the work as well. */
        (void)!context_gather(reply->chat, &reply->arena, &reply->conversation.user_id,
                              &reply->analysis.text, reply->message.created_at, &reply->context);
}

/* While the message is being stored. What this does not find is read later. */
static void look_back(void *arg)
{
        struct reply *reply = arg;

        if (message_store_last(reply->chat, &reply->arena, &reply->conversation_id,
                               reply->conversation.message_count,
                               reply->chat->settings->chat_recent, &reply->before))
                reply->before = (struct cm_items){ 0 };
}

/* What a reply rests on. Help needs nothing of it. */
static int ask_all(struct reply *reply, struct cm_group *asking)
{
        struct message_document scratch = { 0 };
        int r = 0;

        cm_group_init(asking);
        if (!analysis_make(reply->chat, &reply->arena, reply->message.content, &reply->analysis,
                           &scratch))
                return -CM_E_INTERNAL; /* it was well-formed when it came */
        if (is_crisis(reply))
                return 0;
        if (reply->conversation.message_count && reply->chat->settings->chat_recent)
                r = cm_group_start(asking, "reply look back", look_back, reply);
        return r ? r : cm_group_start(asking, "reply context", ask, reply);
}

/* Until the message is stored. Nothing is said before. */
static int await_message(struct reply *reply)
{
        int r = 0;

        while (reply->stage == PREPARED && r == 0)
                r = cm_cond_wait(&reply->decided);
        if (reply->stage == DROPPED || reply->is_cut ||
            (reply->log && cm_event_log_is_stopped(reply->log)))
                cm_fiber_cancel(reply->work);
        return reply->stage == DROPPED ? -CM_E_CANCELLED : r;
}

/* Where it is, for those who come back to it. */
static void place(void *arg)
{
        struct reply *reply = arg;
        const struct reply_document place = { .user_id = reply->conversation.user_id,
                                              .conversation_id = reply->conversation_id,
                                              .seq = reply->out.seq };

        reply->placed = reply_place_insert(reply->chat, &reply->arena, &reply->out.id, &place);
}

static void work(void *arg)
{
        struct reply *reply = arg;
        struct cm_group asking;
        int r, asked;

        reply->work = cm_fiber_self();
        r = ask_all(reply, &asking);
        if (r == 0)
                r = await_message(reply);
        if (r == 0)
                r = say_started(reply);
        asked = cm_group_join(&asking);
        if (r == 0)
                r = asked;
        if (r == 0)
                r = reply_make(reply);
        reply->work = NULL;
        if (reply->stopped_us)
                cm_histogram_observe_us(&stopping, cm_monotonic_us() - reply->stopped_us);
        reply->result = r;
}

static void interrupt(struct reply *reply)
{
        if (reply->work)
                cm_fiber_cancel(reply->work);
}

static void on_stop(void *arg)
{
        struct reply *reply = arg;

        reply->stopped_us = cm_monotonic_us();
        interrupt(reply);
}

/* ---- the end */

/* Until it is stored: the store may be away for a moment. */
static int store(struct reply *reply)
{
        struct message_document *out = &reply->out;
        int64_t until = cm_monotonic_us() + STORE_US;
        int r;

        out->content = cm_buf_str(&reply->said);
        if (!out->content.data)
                out->content = CM_STR("");
        out->updated_at = cm_now(&cm_clock_system);
        out->has_response_time_ms = CM_PRESENT;
        out->response_time_ms = (cm_monotonic_us() - reply->started_us) / CM_MILLISECOND;
        for (;;) {
                (void)cm_fiber_set_deadline(until);
                r = message_store_finish(reply->chat, &reply->arena, &reply->conversation_id,
                                         &reply->conversation.user_id, out);
                if (r >= 0 || cm_monotonic_us() + AGAIN_US > until || cm_fiber_sleep(AGAIN_US))
                        return r;
        }
}

static void say_end(struct reply *reply, int stored)
{
        const struct message_document *out = &reply->out;
        const struct reply_done done = {
                .message_id = out->id,
                .conversation_id = reply->conversation_id,
                .seq = out->seq,
                .state = out->state,
                .has_sources = out->has_sources,
                .sources = { out->sources.items, out->sources.count },
        };
        struct stream_error error = { .code = CM_STR(CM_CODE_INTERNAL) };

        if (stored == 0 &&
            (out->state == REPLY_STATE_COMPLETE || out->state == REPLY_STATE_STOPPED)) {
                (void)!reply_say(reply, &reply_event_done, &done);
                return;
        }
        if (stored < 0)
                error.code = CM_STR(CM_CODE_UNAVAILABLE);
        else if (stored > 0 || out->state == REPLY_STATE_INTERRUPTED)
                error.code = CM_STR(CM_CODE_INTERRUPTED);
        error.title = cm_str_from(cm_error_code_find(error.code.data)->title);
        (void)!reply_say(reply, &reply_event_error, &error);
}

static void count_end(const struct reply *reply, int stored)
{
        char labels[64];
        const char *state = cm_schema_enum_name(&reply_state_schema, reply->out.state);

        (void)snprintf(labels, sizeof(labels), "state=\"%s\"", stored < 0 ? "not_stored" : state);
        cm_counter_add(cm_metric_labeled(&ended, labels), 1);
}

static void reply_free(struct reply *reply)
{
        struct chat *chat = reply->chat;

        cm_list_remove(&reply->node);
        chat->reply_count--;
        cm_gauge_add(&running, -1);
        cm_cond_broadcast(&chat->ended);
        cm_buf_deinit(&reply->said);
        cm_arena_deinit(&reply->arena);
        cm_free(reply);
}

/* The next message finds what it needs in the conversation: before the end is said. */
static void touch(void *arg)
{
        struct reply *reply = arg;

        reply->touched =
                conversation_store_touch(reply->chat, &reply->conversation, reply->out.seq + 1,
                                         reply->message.crisis_level, reply->message.created_at);
}

/* Stored, then said. */
static void end(struct reply *reply)
{
        struct cm_group group;
        int stored;

        reply->out.state = state_of(reply, reply->result);
        if (reply->out.state == REPLY_STATE_FAILED)
                cm_log(CM_LOG_ERROR, "a reply failed", CM_F_ERROR(reply->result));
        (void)cm_fiber_set_deadline(cm_monotonic_us() + STORE_US);
        cm_group_init(&group);
        reply->touched = cm_group_start(&group, "conversation of a reply", touch, reply);
        stored = store(reply);
        (void)cm_group_join(&group);
        if (reply->touched) /* the store was away, and may be back */
                touch(reply);
        if (reply->placed)
                place(reply);
        say_end(reply, stored);
        count_end(reply, stored);
}

/* Who prepared it decides, whatever became of the work: soon, because a write has an end. */
static void await_decision(struct reply *reply)
{
        cm_fiber_shield();
        (void)cm_fiber_set_deadline(CM_NEVER);
        while (reply->stage == PREPARED)
                (void)!cm_cond_wait(&reply->decided);
}

/* Stores where it is while the work goes on. */
static void work_and_place(struct reply *reply)
{
        struct cm_group group;

        cm_group_init(&group);
        reply->result = cm_group_start(&group, "reply work", work, reply);
        if (reply->result)
                return;
        while (reply->stage == PREPARED && cm_cond_wait(&reply->decided) == 0)
                ;
        if (reply->stage == BEGUN && reply->placed)
                place(reply);
        (void)cm_group_join(&group);
}

static void life(void *arg)
{
        struct reply *reply = arg;

        (void)cm_fiber_set_deadline(reply->started_us + reply->chat->settings->reply_timeout_us);
        work_and_place(reply);
        await_decision(reply);
        if (reply->stage == BEGUN && cm_event_log_is_taken(reply->log))
                cm_counter_add(&taken, 1); /* its place is another's to fill */
        else if (reply->stage == BEGUN)
                end(reply);
        cm_event_log_close(&reply->log);
        reply_free(reply);
}

/* ---- starting and ending */

bool reply_may_start(const struct chat *chat)
{
        return !chat->is_ending && chat->reply_count < (size_t)chat->settings->max_replies;
}

/* One that is only prepared may come to nothing. */
static bool is_of(const struct reply *reply, const struct cm_uuid *user_id)
{
        return reply->stage == BEGUN && cm_uuid_equal(&reply->conversation.user_id, user_id);
}

bool reply_is_person_busy(const struct chat *chat, const struct cm_uuid *user_id)
{
        const struct cm_list *node = chat->replies.next;
        int count = 0;

        for (; node != &chat->replies; node = node->next)
                count += is_of(CM_CONTAINER(node, struct reply, node), user_id);
        return count >= chat->settings->max_replies_person;
}

static struct reply *reply_new(struct chat *chat, const struct conversation_document *conversation,
                               const struct message_document *message)
{
        struct reply *reply = CM_NEW(struct reply);

        cm_arena_init(&reply->arena, 16 * 1024);
        cm_cond_init(&reply->decided);
        reply->chat = chat;
        reply->started_us = cm_monotonic_us();
        reply->conversation.id = cm_arena_str(&reply->arena, conversation->id);
        reply->conversation.user_id = conversation->user_id;
        reply->conversation.crisis_level = conversation->crisis_level;
        reply->conversation.message_count = conversation->message_count;
        (void)cm_uuid_parse(conversation->id, &reply->conversation_id);
        reply->message = (struct message_document){
                .content = cm_arena_str(&reply->arena, message->content),
                .crisis_level = message->crisis_level,
                .created_at = message->created_at,
        };
        cm_list_append(&chat->replies, &reply->node);
        chat->reply_count++;
        cm_gauge_add(&running, 1);
        return reply;
}

/* Which message it answers, and where. */
static void put(struct reply *reply, const struct message_document *message)
{
        reply->message.id = message->id;
        reply->message.seq = message->seq;
        reply->out = (struct message_document){
                .id = message->reply_id,
                .seq = message->seq + 1,
                .role = MESSAGE_ROLE_ASSISTANT,
                .message_type = MESSAGE_TYPE_TEXT,
                .language = cm_arena_str(&reply->arena, message->language),
                .has_state = CM_PRESENT,
                .created_at = message->created_at,
        };
}

/* It lives, or it is freed. */
static int start_life(struct reply *reply)
{
        int64_t before = cm_fiber_set_deadline(CM_NEVER); /* it outlives who asked */
        int r = cm_fiber_start("reply", life, reply, CM_NEVER);

        (void)cm_fiber_set_deadline(before);
        if (r == 0)
                return 0;
        cm_event_log_close(&reply->log);
        reply_free(reply);
        return r;
}

static void decide(struct reply *reply, enum stage stage)
{
        reply->stage = stage;
        cm_cond_broadcast(&reply->decided);
        if (stage == BEGUN)
                cm_event_log_on_stop(reply->log, on_stop, reply);
        else
                interrupt(reply);
}

int reply_prepare(struct chat *chat, const struct conversation_document *conversation,
                  const struct message_document *message, int64_t came_us, struct reply **reply_r)
{
        struct reply *reply = reply_new(chat, conversation, message);
        int r;

        reply->started_us = came_us;
        r = start_life(reply);
        *reply_r = r ? NULL : reply;
        return r;
}

void reply_drop(struct reply **reply)
{
        if (*reply)
                decide(*reply, DROPPED);
        *reply = NULL;
}

#ifdef CM_FAULTS
/* The message is stored, and nobody begins its reply. */
static void die_if_asked(void)
{
        if (cm_str_equal(cm_str_from(getenv("TEST_FAULT")), CM_STR("die-before-reply")))
                (void)raise(SIGKILL);
}
#endif

int reply_begin(struct reply **reply, const struct message_document *message, bool is_placed)
{
        struct reply *it = *reply;
        int r;

#ifdef CM_FAULTS
        die_if_asked();
#endif
        put(it, message);
        it->placed = is_placed ? 0 : 1;
        r = cm_event_log_open(it->chat->logs, &message->reply_id, &it->log);
        if (r)
                return r;
        decide(it, BEGUN);
        *reply = NULL;
        return 0;
}

int reply_take_up(struct chat *chat, const struct conversation_document *conversation,
                  const struct message_document *message)
{
        struct reply *reply = reply_new(chat, conversation, message);
        struct reply_started started;
        int r;

        put(reply, message);
        reply->conversation.message_count = message->seq;
        started = started_of(reply);
        reply->has_started = true;
        r = cm_event_log_claim(chat->logs, &message->reply_id, &reply_event_started, &started,
                               &reply->log);
        if (r) {
                reply_free(reply);
                return r;
        }
        decide(reply, BEGUN);
        return start_life(reply);
}

static void await_replies(struct chat *chat, int64_t until)
{
        int64_t before = cm_fiber_set_deadline(until);

        while (chat->reply_count && cm_cond_wait(&chat->ended) == 0)
                ;
        (void)cm_fiber_set_deadline(before);
}

void replies_end(struct chat *chat)
{
        int64_t deadline = cm_fiber_deadline_us();

        chat->is_ending = true;
        await_replies(chat,
                      deadline == CM_NEVER ? cm_monotonic_us() + LEAVE_US : deadline - LEAVE_US);
        for (struct cm_list *node = chat->replies.next; node != &chat->replies; node = node->next) {
                struct reply *reply = CM_CONTAINER(node, struct reply, node);

                reply->is_cut = true;
                interrupt(reply);
        }
        await_replies(chat, deadline);
}
