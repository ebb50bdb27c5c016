#include "reply.h"

#ifdef CM_FAULTS
#include <signal.h>
#include <stdlib.h>
#endif
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "chat_api.h"
#include "context.h"
#include "conversation_store.h"
#include "errors.h"
#include "message_store.h"
#include "recent.h"
#include "sys/log.h"
#include "sys/metrics.h"
#include "tool_calls.h"

/*
 * Two fibers a reply: one works and may be cancelled at any wait, the other waits for it, stores
 * what came of it, and only then says the last event. Both run while the message is being stored:
 * others are asked what they know meanwhile, and that is all.
 */
#define MAX_TOOLS  64
#define MAX_ROUNDS 16
#define STORE_US   (30 * CM_SECOND) /* the store may be away for so long at the end */
#define AGAIN_US   (200 * CM_MILLISECOND)
#define LEAVE_US   (2 * CM_SECOND) /* of a worker's end, for storing what was cut off */

static struct cm_metric running = CM_GAUGE("salus_chat_replies_running", "Replies being made");
static struct cm_metric first_token = CM_HISTOGRAM("salus_chat_first_token_seconds",
                                                   "From a message to the first text of its reply");
static struct cm_metric stopping =
        CM_HISTOGRAM("salus_chat_stop_seconds",
                     "From a stop, as it came to who makes the reply, to the end of its text");
static struct cm_metric fallbacks = CM_COUNTER(
        "salus_chat_model_fallbacks_total", "Replies that rules made because the model was gone");
static struct cm_metric taken = CM_COUNTER("salus_chat_replies_taken_total",
                                           "Replies begun here that another replica had taken up");
static const struct cm_metric ended =
        CM_COUNTER("salus_chat_replies_total", "Replies that ended, by how");

enum stage { PREPARED, BEGUN, DROPPED };

struct reply {
        struct cm_list node;
        struct chat *chat;
        struct cm_arena arena;
        enum stage stage;
        struct cm_cond decided;   /* it has begun, or was dropped */
        struct cm_event_log *log; /* NULL: it has not begun */
        struct conversation_document conversation;
        struct cm_uuid conversation_id;
        struct message_document message;   /* what is answered */
        struct message_page_document page; /* with the message, or without messages */
        struct reply_context context;
        int64_t started_us;
        int result;            /* of the work */
        int touched;           /* whether the conversation knows */
        struct cm_fiber *work; /* while it runs */
        int64_t stopped_us;    /* monotonic; 0: nobody asked */
        bool is_cut;           /* the worker ends */
        bool has_started;      /* that was said when the log was claimed */

        /* What comes of it. */
        struct message_document out;
        struct cm_buf said;
        struct tool_call_document tools[MAX_TOOLS];
        int64_t prompt_tokens;
};

/* ---- saying */

static int say(struct reply *reply, const struct cm_event_type *type, const void *value)
{
        return cm_event_log_append(reply->log, type, value);
}

static int say_text(struct reply *reply, struct cm_str text)
{
        const struct reply_delta delta = { .text = text };
        int r;

        if (!text.len)
                return 0;
        r = say(reply, &reply_event_delta, &delta);
        if (r)
                return r;
        if (!reply->said.len)
                cm_histogram_observe_us(&first_token, cm_monotonic_us() - reply->started_us);
        cm_buf_add_str(&reply->said, text);
        return 0;
}

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

        return reply->has_started ? 0 : say(reply, &reply_event_started, &started);
}

/* ---- the work */

/* The message's own; else what the person has asked for; else the account's. */
static enum chat_language reply_language(const struct chat_text *text,
                                         const struct reply_context *context)
{
        const struct user_context *wishes = context->planner.wishes;
        struct cm_str wanted = cm_str_from(context->language);

        if (text->reply == CHAT_LANGUAGE_HE || text->reply == CHAT_LANGUAGE_EN)
                return text->reply;
        if (wishes && wishes->preferences.has_language == CM_PRESENT)
                wanted = wishes->preferences.language;
        return cm_str_starts(wanted, CM_STR("he")) ? CHAT_LANGUAGE_HE : CHAT_LANGUAGE_EN;
}

/* Help for where the person is, in their language, and nothing else: no model, no tools. */
static int say_help(struct reply *reply, const struct analysis *analysis)
{
        struct chat *chat = reply->chat;
        struct reply_help help = { .level = reply->message.crisis_level };
        struct reply_context context;
        int r;

        context_person(chat, &reply->conversation.user_id, reply->message.created_at, &context);
        help.country = help_country(chat->help, cm_str_from(context.time_zone),
                                    cm_str_from(context.language));
        reply->out.message_type = MESSAGE_TYPE_CRISIS_HELP;
        r = say(reply, &reply_event_help, &help);
        if (r == 0)
                r = say_text(reply, help_text(chat->help, &reply->arena, help.country,
                                              reply_language(&analysis->text, &context),
                                              &analysis->crisis));
        return r;
}

static int32_t tool_status(enum chat_result_status status)
{
        return (int32_t)status + TOOL_STATUS_DONE;
}

static int run_tool(struct reply *reply, const struct tool_scene *scene, int64_t round,
                    const struct chat_tool_call *call, struct chat_tool_result *result_r)
{
        size_t index = reply->out.tools.count;
        struct tool_call_document *kept = &reply->tools[index];
        struct reply_tool event = { .id = call->id,
                                    .name = cm_str_from(chat_tools[call->tool].name) };

        *result_r = tool_call_run(scene, call, index);
        *kept = (struct tool_call_document){
                .id = call->id,
                .round = round,
                .name = event.name,
                .arguments = call->arguments,
                .status = tool_status(result_r->status),
                .has_result = result_r->json.data ? CM_PRESENT : CM_ABSENT,
                .result = result_r->json,
        };
        reply->out.tools.items = reply->tools;
        reply->out.tools.count++;
        reply->out.has_tools = CM_PRESENT;
        if (call->tool == CHAT_TOOL_REMEMBER && result_r->status == CHAT_RESULT_DONE) {
                reply->out.has_memory_items_created = CM_PRESENT;
                reply->out.memory_items_created++;
        }
        event.status = kept->status;
        return say(reply, &reply_event_tool, &event);
}

static int run_round(struct reply *reply, const struct planner_ops *ops,
                     const struct tool_scene *scene, int64_t round, const struct planner_step *step,
                     struct planner_run *run)
{
        struct chat_tool_result *results =
                cm_arena_array(&reply->arena, step->call_count, sizeof(*results));
        int r = 0;

        if (round > MAX_ROUNDS || reply->out.tools.count + step->call_count > MAX_TOOLS)
                return -CM_E_TOO_LARGE;
        for (size_t i = 0; i < step->call_count && r == 0; i++)
                r = run_tool(reply, scene, round, &step->calls[i], &results[i]);
        if (r == 0)
                ops->answer(run, results);
        return r;
}

static void note_finish(struct reply *reply, const struct planner_ops *ops,
                        const struct planner_step *step)
{
        struct message_document *out = &reply->out;

        out->has_model_used = CM_PRESENT;
        out->model_used = cm_str_from(ops->name);
        if (step->prompt_tokens + step->completion_tokens > 0) {
                out->has_tokens_used = CM_PRESENT;
                out->tokens_used = step->prompt_tokens + step->completion_tokens;
        }
        if (!step->source_count)
                return;
        out->has_sources = CM_PRESENT;
        out->sources.count = step->source_count;
        out->sources.items =
                cm_arena_array(&reply->arena, step->source_count, sizeof(*out->sources.items));
        memcpy(out->sources.items, step->sources, step->source_count * sizeof(*step->sources));
}

static int follow_plan(struct reply *reply, struct planner *planner,
                       const struct planner_input *input, struct tool_scene *scene)
{
        const struct planner_ops *ops = planner->ops;
        struct planner_step step = { .kind = PLANNER_SAY };
        struct planner_run *run = NULL;
        int64_t round = 0;
        int r;

        scene->purpose = context_purpose(reply->chat, planner);
        r = ops->start(planner, input, &reply->arena, &run);

        while (r == 0 && step.kind != PLANNER_FINISH) {
                r = ops->next(run, &step);
                if (r == 0 && step.kind == PLANNER_SAY)
                        r = say_text(reply, step.text);
                else if (r == 0 && step.kind == PLANNER_CALL)
                        r = run_round(reply, ops, scene, ++round, &step, run);
        }
        if (r == 0)
                note_finish(reply, ops, &step);
        ops->end(&run);
        return r;
}

/* The built-in companion answers while a model is gone, and says that it does. Not when the model
 * has begun: what it said and did stands. */
static bool may_fall_back(const struct reply *reply, const struct planner *planner, int r)
{
        return planner != reply->chat->rules && (r == -CM_E_UNAVAILABLE || r == -CM_E_PROTOCOL) &&
               !reply->said.len && !reply->out.tools.count;
}

static int fall_back(struct reply *reply, const struct planner_input *input,
                     struct tool_scene *scene)
{
        int r = say_text(reply,
                         input->reply == CHAT_LANGUAGE_HE
                                 ? CM_STR("המודל לא זמין כרגע, אז עונה כאן העוזר המובנה. ")
                                 : CM_STR("The language model cannot be reached right now, so "
                                          "the built-in companion answers. "));

        cm_counter_add(&fallbacks, 1);
        return r ? r : follow_plan(reply, reply->chat->rules, input, scene);
}

static int converse(struct reply *reply, const struct analysis *analysis)
{
        struct chat *chat = reply->chat;
        struct planner_input input = { .message = &analysis->text };
        const struct reply_context *context = &reply->context;
        struct tool_scene scene = { .chat = chat,
                                    .arena = &reply->arena,
                                    .user_id = reply->conversation.user_id,
                                    .reply_id = reply->out.id,
                                    .conversation_id = reply->conversation_id,
                                    .message_id = reply->message.id,
                                    .now = reply->message.created_at,
                                    .asked = reply->message.content };
        int r = recent_load(chat, &reply->arena, &reply->conversation_id, reply->message.seq,
                            &reply->page, &input);

        if (r)
                return r;
        input.reply = reply_language(&analysis->text, context);
        input.context = context->planner;
        scene.context = &context->planner;
        scene.language = input.reply;
        scene.today = context->today;
        scene.asked_for = context_purpose(chat, context->plans);
        r = follow_plan(reply, context->plans, &input, &scene);
        return may_fall_back(reply, context->plans, r) ? fall_back(reply, &input, &scene) : r;
}

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
                              reply->message.content, reply->message.created_at, &reply->context);
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

static int answer(struct reply *reply)
{
        struct message_document scratch = { 0 };
        struct analysis analysis;

        if (!analysis_make(reply->chat, &reply->arena, reply->message.content, &analysis, &scratch))
                return -CM_E_INTERNAL; /* it was well-formed when it was stored */
        return analysis.crisis.level > CHAT_CRISIS_NONE ? say_help(reply, &analysis)
                                                        : converse(reply, &analysis);
}

static void work(void *arg)
{
        struct reply *reply = arg;
        struct cm_group asking;
        int r = 0, asked;

        reply->work = cm_fiber_self();
        cm_group_init(&asking);
        if (!is_crisis(reply)) /* help needs nothing that others know */
                r = cm_group_start(&asking, "reply context", ask, reply);
        if (r == 0)
                r = await_message(reply);
        if (r == 0)
                r = say_started(reply);
        asked = cm_group_join(&asking);
        if (r == 0)
                r = asked;
        if (r == 0)
                r = answer(reply);
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
                (void)!say(reply, &reply_event_done, &done);
                return;
        }
        if (stored < 0)
                error.code = CM_STR(CM_CODE_UNAVAILABLE);
        else if (stored > 0 || out->state == REPLY_STATE_INTERRUPTED)
                error.code = CM_STR(CM_CODE_INTERRUPTED);
        error.title = cm_str_from(cm_error_code_find(error.code.data)->title);
        (void)!say(reply, &reply_event_error, &error);
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

static void life(void *arg)
{
        struct reply *reply = arg;
        struct cm_group group;

        (void)cm_fiber_set_deadline(reply->started_us + reply->chat->settings->reply_timeout_us);
        cm_group_init(&group);
        reply->result = cm_group_start(&group, "reply work", work, reply);
        if (reply->result == 0)
                (void)cm_group_join(&group);
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

static struct reply *reply_new(struct chat *chat, const struct cm_uuid *user_id,
                               const struct message_document *message)
{
        struct reply *reply = CM_NEW(struct reply);

        cm_arena_init(&reply->arena, 16 * 1024);
        cm_cond_init(&reply->decided);
        reply->chat = chat;
        reply->started_us = cm_monotonic_us();
        reply->conversation.user_id = *user_id;
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
static void put(struct reply *reply, const struct conversation_document *conversation,
                const struct message_document *message)
{
        reply->conversation.id = cm_arena_str(&reply->arena, conversation->id);
        reply->conversation.crisis_level = conversation->crisis_level;
        (void)cm_uuid_parse(conversation->id, &reply->conversation_id);
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

int reply_prepare(struct chat *chat, const struct cm_uuid *user_id,
                  const struct message_document *message, struct reply **reply_r)
{
        struct reply *reply = reply_new(chat, user_id, message);
        int r = start_life(reply);

        *reply_r = r ? NULL : reply;
        return r;
}

struct cm_arena *reply_arena(struct reply *reply)
{
        return &reply->arena;
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

int reply_begin(struct reply **reply, const struct conversation_document *conversation,
                const struct message_document *message, const struct message_page_document *page)
{
        struct reply *it = *reply;
        int r;

#ifdef CM_FAULTS
        die_if_asked();
#endif
        put(it, conversation, message);
        it->page = *page;
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
        struct reply *reply = reply_new(chat, &conversation->user_id, message);
        struct reply_started started;
        int r;

        put(reply, conversation, message);
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
