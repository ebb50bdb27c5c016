#include <string.h>

#include "base/error.h"
#include "bus/rpc_once.h"
#include "codec/text.h"
#include "errors.h"
#include "explain.h"
#include "occurrence_store.h"
#include "schedule_plan.h"
#include "schedule_store.h"
#include "scheduler_rpc.h"
#include "service/user_refs.h"

/*
 * What the companion asks for: the rules are those of the HTTP routes. A confirmed dose is not
 * recorded from here: the reply says which medication it was, and the companion, which asked,
 * records the dose at its owner under the occurrence's id as key. So the record has one way in, and
 * an answer that is lost half way is safe to repeat.
 */
enum { DEFAULT_LIMIT = 20, MAX_LIST = 100, DEFAULT_SNOOZE = 10 };

/* ---- views */

static struct cm_str language_of(struct cm_rpc_request *call)
{
        struct scheduler *scheduler = call->service;
        struct cm_user_ref ref;

        if (cm_user_ref_get(scheduler->worker, &call->user, &ref))
                return CM_STR("en");
        return cm_arena_str(call->arena, cm_str_from(ref.language));
}

/* The kind, and what is told of it beside the kind. */
static int32_t split_expression(struct cm_str *expression)
{
        static const struct {
                const char *word;
                int32_t kind;
        } words[] = { { "@every ", SCHEDULE_KIND_EVERY }, { "@at ", SCHEDULE_KIND_AT } };

        for (size_t i = 0; i < CM_COUNT(words); i++) {
                struct cm_str word = cm_str_from(words[i].word);

                if (!cm_str_starts(*expression, word))
                        continue;
                expression->data += word.len;
                expression->len -= word.len;
                return words[i].kind;
        }
        return SCHEDULE_KIND_CRON;
}

static struct cm_str explain(struct cm_arena *arena, const struct schedule_record *from,
                             struct cm_str language)
{
        struct explanation both;
        struct recurrence recurrence;
        struct cron_fault fault;

        if (recurrence_parse(from->cron_expression, schedule_rules_seed(&from->id), &recurrence,
                             &fault))
                return CM_STR_NONE;
        explain_recurrence(&recurrence, arena, &both);
        return cm_str_starts(language, CM_STR("he")) ? both.he : both.en;
}

static void view(struct cm_arena *arena, const struct stored_schedule *stored,
                 struct cm_str language, struct schedule *to)
{
        const struct schedule_record *from = &stored->view;

        *to = (struct schedule){
                .id = from->id,
                .user_id = from->user_id,
                .schedule_type = from->schedule_type,
                .expression = from->cron_expression,
                .follow_user = from->follow_user,
                .timezone = from->timezone,
                .has_timezone = CM_PRESENT,
                .title = from->name,
                .message = from->description,
                .has_message = from->has_description,
                .language = language,
                .reminder_method = from->reminder_method,
                .medication_id = from->medication_id,
                .has_medication_id = from->has_medication_id,
                .medication_name = from->medication_name,
                .has_medication_name = from->has_medication_name,
                .dose = from->dose,
                .has_dose = from->has_dose,
                .waiting_occurrence_id = stored->waiting,
                .has_waiting_occurrence_id = stored->is_waiting ? CM_PRESENT : CM_ABSENT,
                .explanation = explain(arena, from, language),
                .next_run_at = from->next_run_at,
                .has_next_run_at = from->has_next_run_at,
                .last_run_at = from->last_run_at,
                .has_last_run_at = from->has_last_run_at,
                .is_active = from->is_active,
                .created_at = from->created_at,
                .updated_at = from->updated_at,
        };
        to->kind = split_expression(&to->expression);
        to->has_explanation = to->explanation.data ? CM_PRESENT : CM_ABSENT;
}

/* ---- creating */

static struct cm_str join_expression(struct cm_arena *arena, int32_t kind, struct cm_str text)
{
        const char *word = kind == SCHEDULE_KIND_EVERY ? "@every"
                           : kind == SCHEDULE_KIND_AT  ? "@at"
                                                       : NULL;

        return word ? cm_arena_printf(arena, "%s %.*s", word, CM_STR_ARG(text)) : text;
}

static int refuse(struct cm_rpc_request *call, int outcome, const struct cron_fault *fault)
{
        struct cm_faults faults = { .count = 0 };
        char text[CRON_FAULT_TEXT_SIZE];

        switch (outcome) {
        case SCHEDULE_NEVER_FIRES:
                return cm_rpc_refuse(call, CM_CODE_NEVER_FIRES, NULL);
        case SCHEDULE_BAD_EXPRESSION:
                cm_fault_add(&faults, call->arena, CM_STR("/expression"), "%s",
                             cron_fault_format(fault, text));
                return cm_rpc_refuse_invalid(call, &faults);
        case SCHEDULE_BAD_METHOD:
                cm_fault_add(&faults, call->arena, CM_STR("/reminder_method"),
                             "only email and none are set up here");
                return cm_rpc_refuse_invalid(call, &faults);
        default:
                return outcome < 0 ? outcome : -CM_E_INTERNAL;
        }
}

static int plan(struct cm_rpc_request *call, const struct schedule_create_call *in,
                struct stored_schedule *schedule_r)
{
        const struct schedule_input input = {
                .name = in->title,
                .description = in->message,
                .has_description = in->has_message,
                .schedule_type = in->schedule_type,
                .has_schedule_type = in->has_schedule_type,
                .cron_expression = join_expression(call->arena, in->kind, in->expression),
                .timezone = in->timezone,
                .has_timezone = in->has_timezone,
                .reminder_method = in->reminder_method,
                .has_reminder_method = in->has_reminder_method,
                .medication_id = in->medication_id,
                .has_medication_id = in->has_medication_id,
        };
        struct cron_fault fault;
        int r;

        schedule_rules_create(&input, schedule_r);
        r = schedule_plan_new(call->service, call->arena, &call->user, call->now, schedule_r,
                              &fault);
        return r ? refuse(call, r, &fault) : 0;
}

int schedule_serve_create(struct cm_rpc_request *call, const struct schedule_create_call *in,
                          struct schedule_create_reply *out)
{
        struct scheduler *scheduler = call->service;
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct stored_schedule schedule;
        int r = cm_pg_begin(scheduler->pg, SCOPE_OF(&call->user), &tx);

        if (r == 0)
                r = cm_rpc_claim(call, tx);
        if (r == 0)
                r = plan(call, in, &schedule);
        if (r)
                return r;
        r = schedule_store_save(scheduler, tx, call->arena, &schedule);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        view(call->arena, &schedule, in->language, &out->schedule);
        r = cm_rpc_commit(call, &tx, out);
        scheduler_wake(scheduler);
        return r;
}

/* ---- listing */

int schedule_serve_list(struct cm_rpc_request *call, const struct schedule_list_call *in,
                        struct schedule_list_reply *out)
{
        size_t limit = in->has_limit == CM_PRESENT ? (size_t)in->limit : DEFAULT_LIMIT;
        bool all = in->has_include_inactive == CM_PRESENT && in->include_inactive;
        struct schedule_array list;
        struct cm_str language = language_of(call);
        int r = schedule_store_upcoming(call->service, call->arena, &call->user, all,
                                        (int32_t)limit, &list);

        if (r)
                return r;
        out->items.items = cm_arena_array(call->arena, list.count + 1, sizeof(*out->items.items));
        for (size_t i = 0; i < list.count; i++)
                view(call->arena, &list.items[i], language, &out->items.items[i]);
        out->items.count = list.count;
        return 0;
}

/* ---- cancelling */

static bool is_meant(struct cm_arena *arena, const struct schedule_record *schedule,
                     struct cm_str wanted)
{
        struct cm_str title = cm_text_fold(arena, schedule->name);

        return wanted.len > 0 && title.len >= wanted.len &&
               memmem(title.data, title.len, wanted.data, wanted.len) != NULL;
}

/* Of those whose title says it, the one that runs next. */
static int find_by_title(struct cm_rpc_request *call, struct cm_str query, struct cm_uuid *id_r)
{
        struct cm_str wanted = cm_text_fold(call->arena, query);
        struct schedule_array list;
        int r = schedule_store_upcoming(call->service, call->arena, &call->user, true, MAX_LIST,
                                        &list);

        for (size_t i = 0; r == 0 && i < list.count; i++)
                if (is_meant(call->arena, &list.items[i].view, wanted)) {
                        *id_r = list.items[i].view.id;
                        return 0;
                }
        return r ? r : SCHEDULE_NOT_FOUND;
}

static int cancel(struct cm_rpc_request *call, struct cm_pg_tx *tx, const struct cm_uuid *id,
                  struct schedule_cancel_reply *out)
{
        struct stored_schedule schedule;
        int r = schedule_store_lock(call->service, tx, call->arena, &call->user, id, &schedule);

        if (r)
                return r == SCHEDULE_NOT_FOUND ? 0 : r;
        r = schedule_store_delete(tx, &call->user, id);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        out->items.items = cm_arena_array(call->arena, 1, sizeof(*out->items.items));
        out->items.count = 1;
        view(call->arena, &schedule, language_of(call), &out->items.items[0]);
        out->items.items[0].is_active = false;
        out->items.items[0].has_next_run_at = CM_ABSENT;
        return 0;
}

int schedule_serve_cancel(struct cm_rpc_request *call, const struct schedule_cancel_call *in,
                          struct schedule_cancel_reply *out)
{
        struct scheduler *scheduler = call->service;
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct cm_uuid id = in->id;
        int found = 0, r;

        if ((in->has_id == CM_PRESENT) == (in->has_query == CM_PRESENT))
                return cm_rpc_refuse(call, CM_CODE_INVALID, "exactly one of id and query");
        if (in->has_query == CM_PRESENT)
                found = find_by_title(call, in->query, &id);
        if (found < 0)
                return found;
        r = cm_pg_begin(scheduler->pg, SCOPE_OF(&call->user), &tx);
        if (r == 0)
                r = cm_rpc_claim(call, tx);
        if (r == 0 && found == 0)
                r = cancel(call, tx, &id, out);
        return r ? r : cm_rpc_commit(call, &tx, out);
}

/* ---- confirming */

static int32_t state_of(const struct occurrence *occurrence)
{
        switch (occurrence->state) {
        case RUN_STATE_FIRED:
                return OCCURRENCE_STATE_ACKED; /* it has an answer now */
        case RUN_STATE_COALESCED:
                return OCCURRENCE_STATE_COALESCED;
        case RUN_STATE_MISSED:
                return OCCURRENCE_STATE_MISSED;
        case RUN_STATE_SKIPPED_OVERLAP:
                return OCCURRENCE_STATE_SKIPPED_OVERLAP;
        case RUN_STATE_SKIPPED_PAUSED:
                return OCCURRENCE_STATE_SKIPPED_PAUSED;
        default:
                return OCCURRENCE_STATE_CANCELLED;
        }
}

static int refuse_answer(struct cm_rpc_request *call, int outcome)
{
        switch (outcome) {
        case OCCURRENCE_NOT_FOUND:
                return cm_rpc_refuse(call, CM_CODE_NOT_FOUND, "no reminder waits for an answer");
        case OCCURRENCE_ANSWERED:
                return cm_rpc_refuse(call, CM_CODE_CONFLICT, "it was answered in another way");
        case OCCURRENCE_NOT_FIRED:
                return cm_rpc_refuse(call, CM_CODE_CONFLICT, "nobody was reminded of it");
        case OCCURRENCE_TOO_OFTEN:
                return cm_rpc_refuse(call, CM_CODE_CONFLICT, "it was put off too often");
        default:
                return outcome;
        }
}

int reminder_serve_confirm(struct cm_rpc_request *call, const struct reminder_confirm_call *in,
                           struct reminder_confirm_reply *out)
{
        struct scheduler *scheduler = call->service;
        int64_t minutes =
                in->has_snooze_minutes == CM_PRESENT ? in->snooze_minutes : DEFAULT_SNOOZE;
        const struct occurrence_answer answer = {
                .schedule = in->has_schedule_id == CM_PRESENT ? &in->schedule_id : NULL,
                .ack = in->answer,
                .at = call->now,
                .snoozed_until =
                        in->answer == OCCURRENCE_ACK_SNOOZED ? call->now + minutes * CM_MINUTE : 0,
        };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct occurrence occurrence;
        int r = cm_pg_begin(scheduler->pg, SCOPE_OF(&call->user), &tx);

        if (r == 0)
                r = cm_rpc_claim(call, tx);
        if (r)
                return r;
        r = occurrence_store_answer_in(tx, call->arena, &call->user,
                                       in->has_occurrence_id == CM_PRESENT ? &in->occurrence_id
                                                                           : NULL,
                                       &answer, &occurrence, &out->known);
        if (r)
                return refuse_answer(call, r);
        out->occurrence_id = occurrence.id;
        out->schedule_id = occurrence.schedule_id;
        out->title = occurrence.name;
        out->nominal_at = occurrence.nominal_at;
        out->state = state_of(&occurrence);
        out->medication_id = occurrence.medication_id;
        out->has_medication_id = occurrence.has_medication_id;
        r = cm_rpc_commit(call, &tx, out);
        scheduler_wake(scheduler);
        return r;
}
