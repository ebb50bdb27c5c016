#include "tool_calls.h"

#include "base/error.h"
#include "planners/week_rules.h"
#include "replies/context.h"
#include "rpc.h"
#include "tool_facts.h"

#define WAITS_FOR_ANSWER (12 * CM_HOUR) /* a reminder that ran is due for so long */
#define MAX_REMINDERS    100            /* that the scheduler lists at a time */
#define MAX_NOTE         2000           /* code points of a memory that are shown */

/* Reasons of versions, as the history shows them. */
static const struct cm_str corrected = CM_STR("corrected in a conversation");
static const struct cm_str taken_back = CM_STR("taken back in a conversation");

/* What became of a call: 0, CM_RPC_REFUSED or an error. */
static struct chat_tool_result failed(struct cm_arena *arena, int r,
                                      const struct cm_rpc_problem *problem)
{
        if (r == CM_RPC_REFUSED)
                return (struct chat_tool_result){
                        .status = CHAT_RESULT_REFUSED,
                        .why = cm_arena_printf(arena, "%.*s: %.*s", CM_STR_ARG(problem->code),
                                               CM_STR_ARG(problem->faults.count
                                                                  ? problem->faults.items[0].detail
                                                                  : problem->detail)),
                };
        return (struct chat_tool_result){
                .status = CHAT_RESULT_UNAVAILABLE,
                .why = cm_arena_printf(arena, "The service did not answer (%s).", cm_error_name(r)),
        };
}

static struct chat_tool_result refused(struct cm_str why)
{
        return (struct chat_tool_result){ .status = CHAT_RESULT_REFUSED, .why = why };
}

static struct chat_tool_result done(const struct tool_scene *scene,
                                    const struct chat_tool_call *call, const void *value)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };

        cm_schema_encode(chat_tools[call->tool].result, value, &json);
        return (struct chat_tool_result){ .status = CHAT_RESULT_DONE,
                                          .json = cm_arena_str(scene->arena, cm_buf_str(&json)),
                                          .decoded = value };
}

static struct cm_str key_of(const struct tool_scene *scene, size_t index)
{
        char id[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(scene->arena, "%s/%zu", cm_uuid_format(&scene->reply_id, id), index);
}

static struct cm_rpc *rpc_of(const struct tool_scene *scene)
{
        return scene->chat->worker->rpc;
}

/* ---- main-health */

static struct chat_tool_result correct(const struct tool_scene *scene,
                                       const struct chat_tool_call *call, struct cm_str key,
                                       const struct health_correct_call *request)
{
        struct record_result *result = CM_ARENA_NEW(scene->arena, struct record_result);
        struct health_correct_reply reply;
        struct cm_rpc_problem problem;
        int r = health_rpc_correct(rpc_of(scene), scene->arena, key, request, &reply, &problem);

        if (r)
                return failed(scene->arena, r, &problem);
        result->event_id = reply.id;
        return done(scene, call, result);
}

static struct chat_tool_result void_record(const struct tool_scene *scene,
                                           const struct chat_tool_call *call, struct cm_str key)
{
        const struct void_record_arguments *in = call->decoded;
        const struct health_correct_call request = { .user_id = scene->user_id,
                                                     .event_id = in->event_id,
                                                     .reason = taken_back };

        return correct(scene, call, key, &request);
}

/* The schedule whose newest time waits for an answer; NULL when there is none, or nobody says. */
static const struct schedule *waiting_reminder(const struct tool_scene *scene,
                                               const struct cm_uuid *id)
{
        const struct schedule_list_call request = { .user_id = scene->user_id,
                                                    .has_limit = CM_PRESENT,
                                                    .limit = MAX_REMINDERS };
        struct schedule_list_reply *list = CM_ARENA_NEW(scene->arena, struct schedule_list_reply);

        if (schedule_rpc_list(rpc_of(scene), scene->arena, &request, list, NULL))
                return NULL;
        for (size_t i = 0; i < list->items.count; i++)
                if (cm_uuid_equal(&list->items.items[i].id, id) &&
                    list->items.items[i].has_waiting_occurrence_id == CM_PRESENT)
                        return &list->items.items[i];
        return NULL;
}

/* A dose that answers a reminder is recorded once, whatever becomes of the answer. */
static void answer_reminder(const struct tool_scene *scene, const struct chat_tool_call *call,
                            struct health_event_input *event, struct cm_str *key)
{
        const struct record_dose_arguments *in = call->decoded;
        const struct schedule *reminder;
        char id[CM_UUID_TEXT_SIZE];

        if (call->tool != CHAT_TOOL_RECORD_DOSE || in->has_reminder_id != CM_PRESENT)
                return;
        reminder = waiting_reminder(scene, &in->reminder_id);
        if (!reminder)
                return;
        tool_fact_answer(reminder, event);
        *key = cm_arena_str(scene->arena,
                            cm_str_from(cm_uuid_format(&reminder->waiting_occurrence_id, id)));
}

static struct chat_tool_result record(const struct tool_scene *scene,
                                      const struct chat_tool_call *call, struct cm_str key)
{
        const struct cm_uuid *corrects = tool_fact_corrects(call);
        struct health_event_input event;
        struct health_record_call request = { .user_id = scene->user_id, .events = { &event, 1 } };
        struct record_result *result = CM_ARENA_NEW(scene->arena, struct record_result);
        struct health_record_reply reply;
        struct cm_rpc_problem problem;
        struct cm_str why;
        int r;

        if (tool_fact_make(scene->arena, call, scene->language, scene->now, &event, &why))
                return refused(why);
        if (corrects)
                return correct(scene, call, key,
                               &(struct health_correct_call){ .user_id = scene->user_id,
                                                              .event_id = *corrects,
                                                              .has_event = CM_PRESENT,
                                                              .event = event,
                                                              .reason = corrected });
        answer_reminder(scene, call, &event, &key);
        r = health_rpc_record(rpc_of(scene), scene->arena, key, &request, &reply, &problem);
        if (r == 0 && reply.items.count != 1)
                r = -CM_E_PROTOCOL;
        if (r)
                return failed(scene->arena, r, &problem);
        result->event_id = reply.items.items[0].id;
        return done(scene, call, result);
}

static struct chat_tool_result summary(const struct tool_scene *scene,
                                       const struct chat_tool_call *call)
{
        const struct week_summary_arguments *week = call->decoded;
        const struct day_summary_arguments *day = call->decoded;
        struct health_summary_call request = { .user_id = scene->user_id };
        struct week_summary *result = CM_ARENA_NEW(scene->arena, struct week_summary);
        struct health_summary_reply reply;
        struct cm_rpc_problem problem;
        int r;

        if (call->tool == CHAT_TOOL_WEEK_SUMMARY) {
                int64_t ago = week->has_weeks_ago == CM_PRESENT ? week->weeks_ago : 0;

                request.to = scene->today - (cm_date)(7 * ago);
                request.from = request.to - 6;
        } else {
                request.to = scene->today -
                             (cm_date)(day->has_days_ago == CM_PRESENT ? day->days_ago : 0);
                request.from = request.to;
        }
        r = health_rpc_summary(rpc_of(scene), scene->arena, &request, &reply, &problem);
        if (r)
                return failed(scene->arena, r, &problem);
        week_rules_sum(scene->arena, reply.days.items, reply.days.count, result);
        return done(scene, call, result);
}

/* ---- memory */

/* At most so much of it as a note may show, whole characters. */
static struct cm_str cut(struct cm_arena *arena, struct cm_str text)
{
        size_t left = MAX_NOTE, end = 0;

        while (end < text.len && left) {
                end++;
                while (end < text.len && ((unsigned char)text.data[end] & 0xc0) == 0x80)
                        end++;
                left--;
        }
        return cm_arena_str(arena, (struct cm_str){ text.data, end });
}

static void note_of(struct cm_arena *arena, const struct memory *memory, struct memory_note *note)
{
        note->memory_id = memory->id;
        note->text = cut(arena, memory->content);
        note->remembered_at = memory->created_at;
}

struct memory_notes *tool_notes(struct cm_arena *arena, const struct recall_answer *answer)
{
        struct memory_notes *notes = CM_ARENA_NEW(arena, struct memory_notes);
        size_t count = answer->items.count;

        notes->items.items = cm_arena_array(arena, count ? count : 1, sizeof(*notes->items.items));
        notes->items.count = count;
        for (size_t i = 0; i < count; i++) {
                note_of(arena, &answer->items.items[i].memory, &notes->items.items[i]);
                notes->items.items[i].has_score = CM_PRESENT;
                notes->items.items[i].score = answer->items.items[i].score;
        }
        return notes;
}

static struct chat_tool_result remember(const struct tool_scene *scene,
                                        const struct chat_tool_call *call, struct cm_str key)
{
        const struct remember_arguments *in = call->decoded;
        struct memory_remember_call request = {
                .user_id = scene->user_id,
                .memory = { .content = in->text,
                            .has_source = CM_PRESENT,
                            .source = { .conversation_id = scene->conversation_id,
                                        .message_id = scene->message_id } },
        };
        struct memory_note *note = CM_ARENA_NEW(scene->arena, struct memory_note);
        struct memory_remember_reply reply;
        struct cm_rpc_problem problem;
        int r = memory_rpc_remember(rpc_of(scene), scene->arena, key, &request, &reply, &problem);

        if (r)
                return failed(scene->arena, r, &problem);
        note_of(scene->arena, &reply.memory, note);
        return done(scene, call, note);
}

/* It is in the context, unless something was done since. */
static bool was_recalled(const struct tool_scene *scene, const struct recall_arguments *in,
                         size_t index)
{
        return index == 0 && !scene->context->is_memory_silent &&
               scene->purpose == scene->asked_for && in->has_limit == CM_PRESENT &&
               in->limit == CONTEXT_RECALLED && cm_str_equal(in->query, scene->asked);
}

static struct chat_tool_result recall(const struct tool_scene *scene,
                                      const struct chat_tool_call *call, size_t index)
{
        static const struct memory_notes none = { .items = { NULL, 0 } };
        const struct memory_notes *known = scene->context->memories;
        const struct recall_arguments *in = call->decoded;
        struct memory_recall_call request = {
                .user_id = scene->user_id,
                .question = { .query = in->query,
                              .has_limit = in->has_limit,
                              .limit = in->limit,
                              .has_purpose = CM_PRESENT,
                              .purpose = scene->purpose },
        };
        struct recall_answer reply;
        struct cm_rpc_problem problem;
        int r;

        if (was_recalled(scene, in, index))
                return done(scene, call, known ? known : &none);
        r = memory_rpc_recall(rpc_of(scene), scene->arena, &request, &reply, &problem);
        if (r)
                return failed(scene->arena, r, &problem);
        return done(scene, call, tool_notes(scene->arena, &reply));
}

static struct chat_tool_result forget(const struct tool_scene *scene,
                                      const struct chat_tool_call *call, struct cm_str key)
{
        const struct forget_arguments *in = call->decoded;
        const struct memory_forget_call request = { .user_id = scene->user_id,
                                                    .has_id = CM_PRESENT,
                                                    .id = in->memory_id };
        struct forget_result *result = CM_ARENA_NEW(scene->arena, struct forget_result);
        struct memory_forget_reply reply;
        struct cm_rpc_problem problem;
        int r = memory_rpc_forget(rpc_of(scene), scene->arena, key, &request, &reply, &problem);

        if (r)
                return failed(scene->arena, r, &problem);
        result->forgotten = reply.items.count > 0;
        return done(scene, call, result);
}

/* ---- scheduler */

static struct cm_str expression_text(struct cm_arena *arena, const struct schedule *schedule)
{
        switch (schedule->kind) {
        case SCHEDULE_KIND_EVERY:
                return cm_arena_printf(arena, "@every %.*s", CM_STR_ARG(schedule->expression));
        case SCHEDULE_KIND_AT:
                return cm_arena_printf(arena, "@at %.*s", CM_STR_ARG(schedule->expression));
        default:
                return schedule->expression;
        }
}

/* It is due while its newest time, not long ago, has no answer. */
static void reminder_of(struct cm_arena *arena, const struct schedule *schedule, cm_time now,
                        struct reminder *reminder)
{
        bool waits = schedule->has_waiting_occurrence_id == CM_PRESENT &&
                     schedule->has_last_run_at == CM_PRESENT &&
                     now - schedule->last_run_at < WAITS_FOR_ANSWER;

        *reminder = (struct reminder){
                .reminder_id = schedule->id,
                .text = cm_arena_str(arena, schedule->title),
                .schedule = expression_text(arena, schedule),
                .state = waits                 ? REMINDER_STATE_DUE
                         : schedule->is_active ? REMINDER_STATE_ACTIVE
                                               : REMINDER_STATE_CANCELLED,
                .has_next_at = schedule->has_next_run_at,
                .next_at = schedule->next_run_at,
                .has_medication_name = schedule->has_medication_name,
                .medication_name = cm_arena_str(arena, schedule->medication_name),
        };
}

struct reminder_list *tool_reminders(struct cm_arena *arena, const struct schedule_list_reply *list,
                                     cm_time now)
{
        struct reminder_list *reminders = CM_ARENA_NEW(arena, struct reminder_list);
        size_t count = list->items.count;

        reminders->items.items =
                cm_arena_array(arena, count ? count : 1, sizeof(*reminders->items.items));
        reminders->items.count = count;
        for (size_t i = 0; i < count; i++)
                reminder_of(arena, &list->items.items[i], now, &reminders->items.items[i]);
        return reminders;
}

/* "@every 2h" and "@at …" name their kind; anything else is cron. */
static void read_schedule(struct cm_str text, struct schedule_create_call *request)
{
        static const struct cm_str every = CM_STR("@every "), at = CM_STR("@at ");
        size_t skip = 0;

        request->kind = SCHEDULE_KIND_CRON;
        if (cm_str_starts(text, every)) {
                request->kind = SCHEDULE_KIND_EVERY;
                skip = every.len;
        } else if (cm_str_starts(text, at)) {
                request->kind = SCHEDULE_KIND_AT;
                skip = at.len;
        }
        request->expression = cm_str_trim((struct cm_str){ text.data + skip, text.len - skip });
}

/* One line of at most 200 characters; the whole text is the message. */
static struct cm_str title_of(struct cm_arena *arena, struct cm_str text)
{
        struct cm_str title = cm_arena_str(arena, text);
        char *bytes = (char *)title.data;
        size_t left = 200, end = 0;

        for (size_t i = 0; i < title.len; i++)
                if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f)
                        bytes[i] = ' ';
        while (end < title.len && left--) {
                end++;
                while (end < title.len && ((unsigned char)bytes[end] & 0xc0) == 0x80)
                        end++;
        }
        return (struct cm_str){ title.data, end };
}

static struct chat_tool_result create_reminder(const struct tool_scene *scene,
                                               const struct chat_tool_call *call, struct cm_str key)
{
        const struct create_reminder_arguments *in = call->decoded;
        struct schedule_create_call request = {
                .user_id = scene->user_id,
                .title = title_of(scene->arena, in->text),
                .has_message = CM_PRESENT,
                .message = in->text,
                .language = cm_str_from(chat_language_name(scene->language)),
        };
        struct reminder *reminder = CM_ARENA_NEW(scene->arena, struct reminder);
        struct schedule_create_reply reply;
        struct cm_rpc_problem problem;
        int r;

        read_schedule(in->schedule, &request);
        r = schedule_rpc_create(rpc_of(scene), scene->arena, key, &request, &reply, &problem);
        if (r)
                return failed(scene->arena, r, &problem);
        reminder_of(scene->arena, &reply.schedule, scene->now, reminder);
        return done(scene, call, reminder);
}

static struct chat_tool_result list_reminders(const struct tool_scene *scene,
                                              const struct chat_tool_call *call)
{
        const struct list_reminders_arguments *in = call->decoded;
        const struct schedule_list_call request = { .user_id = scene->user_id,
                                                    .has_limit = in->has_limit,
                                                    .limit = in->limit };
        struct schedule_list_reply reply;
        struct cm_rpc_problem problem;
        int r = schedule_rpc_list(rpc_of(scene), scene->arena, &request, &reply, &problem);

        if (r)
                return failed(scene->arena, r, &problem);
        return done(scene, call, tool_reminders(scene->arena, &reply, scene->now));
}

static struct chat_tool_result cancel_reminder(const struct tool_scene *scene,
                                               const struct chat_tool_call *call, struct cm_str key)
{
        const struct cancel_reminder_arguments *in = call->decoded;
        const struct schedule_cancel_call request = { .user_id = scene->user_id,
                                                      .has_id = CM_PRESENT,
                                                      .id = in->reminder_id };
        struct reminder *reminder = CM_ARENA_NEW(scene->arena, struct reminder);
        struct schedule_cancel_reply reply;
        struct cm_rpc_problem problem;
        int r = schedule_rpc_cancel(rpc_of(scene), scene->arena, key, &request, &reply, &problem);

        if (r)
                return failed(scene->arena, r, &problem);
        if (!reply.items.count)
                return refused(CM_STR("There is no such reminder."));
        reminder_of(scene->arena, &reply.items.items[0], scene->now, reminder);
        reminder->state = REMINDER_STATE_CANCELLED;
        return done(scene, call, reminder);
}

static struct chat_tool_result confirm_reminder(const struct tool_scene *scene,
                                                const struct chat_tool_call *call,
                                                struct cm_str key)
{
        const struct confirm_reminder_arguments *in = call->decoded;
        const struct reminder_confirm_call request = { .user_id = scene->user_id,
                                                       .has_schedule_id = CM_PRESENT,
                                                       .schedule_id = in->reminder_id,
                                                       .answer = OCCURRENCE_ACK_DONE };
        struct reminder *reminder = CM_ARENA_NEW(scene->arena, struct reminder);
        struct reminder_confirm_reply reply;
        struct cm_rpc_problem problem;
        int r = reminder_rpc_confirm(rpc_of(scene), scene->arena, key, &request, &reply, &problem);

        if (r)
                return failed(scene->arena, r, &problem);
        *reminder = (struct reminder){ .reminder_id = reply.schedule_id,
                                       .text = reply.title,
                                       .schedule = CM_STR(""),
                                       .state = REMINDER_STATE_CONFIRMED };
        return done(scene, call, reminder);
}

/* ---- all of them */

static struct chat_tool_result run(const struct tool_scene *scene,
                                   const struct chat_tool_call *call, size_t index)
{
        struct cm_str key = key_of(scene, index);

        switch (call->tool) {
        case CHAT_TOOL_VOID_RECORD:
                return void_record(scene, call, key);
        case CHAT_TOOL_REMEMBER:
                return remember(scene, call, key);
        case CHAT_TOOL_RECALL:
                return recall(scene, call, index);
        case CHAT_TOOL_FORGET:
                return forget(scene, call, key);
        case CHAT_TOOL_CREATE_REMINDER:
                return create_reminder(scene, call, key);
        case CHAT_TOOL_LIST_REMINDERS:
                return list_reminders(scene, call);
        case CHAT_TOOL_CANCEL_REMINDER:
                return cancel_reminder(scene, call, key);
        case CHAT_TOOL_CONFIRM_REMINDER:
                return confirm_reminder(scene, call, key);
        case CHAT_TOOL_WEEK_SUMMARY:
        case CHAT_TOOL_DAY_SUMMARY:
                return summary(scene, call);
        default:
                return record(scene, call, key);
        }
}

struct chat_tool_result tool_call_run(const struct tool_scene *scene,
                                      const struct chat_tool_call *call, size_t index)
{
        int64_t mine = cm_monotonic_us() + scene->chat->settings->tool_timeout_us;
        int64_t before = cm_fiber_deadline_us();
        struct chat_tool_result result;

        (void)cm_fiber_set_deadline(mine < before ? mine : before);
        result = run(scene, call, index);
        (void)cm_fiber_set_deadline(before);
        return result;
}
