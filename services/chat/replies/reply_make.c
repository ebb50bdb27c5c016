#include <string.h>

#include "base/error.h"
#include "chat_api.h"
#include "recent.h"
#include "reply_internal.h"
#include "sys/log.h"
#include "sys/metrics.h"
#include "tools/tool_calls.h"

/* What a reply says: help and nothing else, or what its planner says and does, round by round. */

#define MAX_ROUNDS 16

static struct cm_metric first_token = CM_HISTOGRAM("salus_chat_first_token_seconds",
                                                   "From a message to the first text of its reply");
static struct cm_metric fallbacks = CM_COUNTER(
        "salus_chat_model_fallbacks_total", "Replies that rules made because the model was gone");

int reply_say(struct reply *reply, const struct cm_event_type *type, const void *value)
{
        return cm_event_log_append(reply->log, type, value);
}

/* Whole characters of it. */
static struct cm_str what_fits(struct cm_str text, size_t room)
{
        if (text.len <= room)
                return text;
        while (room && ((unsigned char)text.data[room] & 0xc0) == 0x80)
                room--;
        return (struct cm_str){ text.data, room };
}

/* What does not fit is left out, and the reply is full. */
static int say_text(struct reply *reply, struct cm_str text)
{
        size_t room = (size_t)reply->chat->settings->chat_max_reply - reply->said.len;
        const struct reply_delta delta = { .text = what_fits(text, room) };
        int r = 0;

        if (delta.text.len)
                r = reply_say(reply, &reply_event_delta, &delta);
        if (r)
                return r;
        if (!reply->said.len && delta.text.len)
                cm_histogram_observe_us(&first_token, cm_monotonic_us() - reply->started_us);
        cm_buf_add_str(&reply->said, delta.text);
        reply->is_full = delta.text.len < text.len;
        return 0;
}

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
static int say_help(struct reply *reply)
{
        const struct analysis *analysis = &reply->analysis;
        struct chat *chat = reply->chat;
        struct reply_help help = { .level = reply->message.crisis_level };
        struct reply_context context;
        int r;

        context_person(chat, &reply->conversation.user_id, reply->message.created_at, &context);
        help.country = help_country(chat->help, cm_str_from(context.time_zone),
                                    cm_str_from(context.language));
        reply->out.message_type = MESSAGE_TYPE_CRISIS_HELP;
        r = reply_say(reply, &reply_event_help, &help);
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

static bool is_kept(const struct reply *reply, struct cm_str result)
{
        return result.data && result.len <= REPLY_MAX_RESULT &&
               reply->tool_bytes + result.len <= REPLY_MAX_TOOL_BYTES;
}

static int run_tool(struct reply *reply, const struct tool_scene *scene, int64_t round,
                    const struct chat_tool_call *call, struct chat_tool_result *result_r)
{
        size_t index = reply->out.tools.count;
        struct tool_call_document *kept = &reply->tools[index];
        struct reply_tool event = { .id = call->id,
                                    .name = cm_str_from(chat_tools[call->tool].name) };

        reply->tool_bytes += call->arguments.len;
        if (reply->tool_bytes > REPLY_MAX_TOOL_BYTES)
                return -CM_E_TOO_LARGE;
        *result_r = tool_call_run(scene, call, index);
        *kept = (struct tool_call_document){
                .id = call->id,
                .round = round,
                .name = event.name,
                .arguments = call->arguments,
                .status = tool_status(result_r->status),
                .has_result = is_kept(reply, result_r->json) ? CM_PRESENT : CM_ABSENT,
                .result = result_r->json,
        };
        if (kept->has_result == CM_PRESENT)
                reply->tool_bytes += kept->result.len;
        reply->out.tools.items = reply->tools;
        reply->out.tools.count++;
        reply->out.has_tools = CM_PRESENT;
        if (call->tool == CHAT_TOOL_REMEMBER && result_r->status == CHAT_RESULT_DONE) {
                reply->out.has_memory_items_created = CM_PRESENT;
                reply->out.memory_items_created++;
        }
        event.status = kept->status;
        return reply_say(reply, &reply_event_tool, &event);
}

static int run_round(struct reply *reply, const struct planner_ops *ops,
                     const struct tool_scene *scene, int64_t round, const struct planner_step *step,
                     struct planner_run *run)
{
        struct chat_tool_result *results =
                cm_arena_array(&reply->arena, step->call_count, sizeof(*results));
        int r = 0;

        if (round > MAX_ROUNDS || reply->out.tools.count + step->call_count > REPLY_MAX_TOOLS)
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

        while (r == 0 && step.kind != PLANNER_FINISH && !reply->is_full) {
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

static int converse(struct reply *reply)
{
        const struct analysis *analysis = &reply->analysis;
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
                            &reply->before, &input);

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

int reply_make(struct reply *reply)
{
        return reply->analysis.crisis.level > CHAT_CRISIS_NONE ? say_help(reply) : converse(reply);
}
