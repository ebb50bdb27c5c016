#include "schedule_rules.h"

#include <string.h>

enum { MINUTE_S = 60, HOUR_S = 3600, DEFAULT_CATCHUP = 10 };

int64_t schedule_rules_max_lateness_s(int32_t schedule_type, int32_t reminder_method)
{
        switch (schedule_type) {
        case SCHEDULE_TYPE_CHAT_CHECKUP:
                return 2 * HOUR_S;
        case SCHEDULE_TYPE_VOICE_CALL:
                return 10 * MINUTE_S;
        default:
                return reminder_method == REMINDER_METHOD_CALL ? 15 * MINUTE_S : HOUR_S;
        }
}

static int32_t or_else(uint8_t has, int32_t value, int32_t otherwise)
{
        return has == CM_PRESENT ? value : otherwise;
}

static int32_t usual_method(int32_t schedule_type)
{
        switch (schedule_type) {
        case SCHEDULE_TYPE_CHAT_CHECKUP:
                return REMINDER_METHOD_NONE; /* the companion takes it from the bus */
        case SCHEDULE_TYPE_VOICE_CALL:
                return REMINDER_METHOD_CALL;
        default:
                return REMINDER_METHOD_EMAIL;
        }
}

static void set_rules(const struct schedule_input *input, struct schedule_record *view)
{
        view->schedule_type =
                or_else(input->has_schedule_type, input->schedule_type, SCHEDULE_TYPE_REMINDER);
        view->reminder_method = or_else(input->has_reminder_method, input->reminder_method,
                                        usual_method(view->schedule_type));
        view->dst_gap = or_else(input->has_dst_gap, input->dst_gap, DST_GAP_FIRE_AFTER);
        view->dst_overlap = or_else(input->has_dst_overlap, input->dst_overlap, DST_OVERLAP_FIRST);
        view->misfire = or_else(input->has_misfire, input->misfire, MISFIRE_FIRE_ONCE);
        view->overlap_policy =
                or_else(input->has_overlap_policy, input->overlap_policy, OVERLAP_POLICY_SKIP);
        view->catchup_limit =
                input->has_catchup_limit == CM_PRESENT ? input->catchup_limit : DEFAULT_CATCHUP;
        view->jitter_s = input->has_jitter_s == CM_PRESENT ? input->jitter_s : 0;
        view->has_max_lateness_s = CM_PRESENT;
        view->max_lateness_s =
                input->has_max_lateness_s == CM_PRESENT
                        ? input->max_lateness_s
                        : schedule_rules_max_lateness_s(view->schedule_type, view->reminder_method);
}

void schedule_rules_create(const struct schedule_input *input, struct stored_schedule *schedule_r)
{
        struct schedule_record *view = &schedule_r->view;

        *schedule_r = (struct stored_schedule){ 0 };
        set_rules(input, view);
        view->name = input->name;
        view->cron_expression = input->cron_expression;
        view->follow_user = input->has_timezone != CM_PRESENT;
        view->timezone = input->timezone;
        view->description = input->description;
        view->has_description = input->has_description;
        view->email = input->email;
        view->has_email = input->has_email;
        view->phone_number = input->phone_number;
        view->has_phone_number = input->has_phone_number;
        view->assistant_id = input->assistant_id;
        view->has_assistant_id = input->has_assistant_id;
        view->medication_name = input->medication_name;
        view->has_medication_name = input->has_medication_name;
        view->medication_id = input->medication_id;
        view->has_medication_id = input->has_medication_id;
        view->dose = input->dose;
        view->has_dose = input->has_dose;
        view->custom_metadata = input->custom_metadata;
        view->has_custom_metadata = input->has_custom_metadata;
        view->context_summary = input->context_summary;
        view->has_context_summary = input->has_context_summary;
        view->is_active = true;
        view->version = 1;
}

/* A member of a merge patch: absent leaves it, null clears it. */
#define MERGE(member)                                                                              \
        do {                                                                                       \
                if (patch->has_##member != CM_ABSENT) {                                            \
                        view->member = patch->member;                                              \
                        view->has_##member =                                                       \
                                patch->has_##member == CM_PRESENT ? CM_PRESENT : CM_ABSENT;        \
                }                                                                                  \
        } while (0)
#define REPLACE(member)                                                                            \
        do {                                                                                       \
                if (patch->has_##member == CM_PRESENT)                                             \
                        view->member = patch->member;                                              \
        } while (0)

static void merge_texts(struct schedule_record *view, const struct schedule_patch *patch)
{
        MERGE(description);
        MERGE(email);
        MERGE(phone_number);
        MERGE(assistant_id);
        MERGE(medication_name);
        MERGE(custom_metadata);
        MERGE(context_summary);
}

void schedule_rules_change(struct stored_schedule *schedule, const struct schedule_patch *patch,
                           bool *anew_r)
{
        struct schedule_record *view = &schedule->view;

        REPLACE(name);
        REPLACE(cron_expression);
        REPLACE(dst_gap);
        REPLACE(dst_overlap);
        REPLACE(misfire);
        REPLACE(catchup_limit);
        REPLACE(overlap_policy);
        REPLACE(jitter_s);
        REPLACE(reminder_method);
        if (patch->has_max_lateness_s == CM_PRESENT) {
                view->max_lateness_s = patch->max_lateness_s;
                view->has_max_lateness_s = CM_PRESENT;
        }
        merge_texts(view, patch);
        if (patch->has_timezone != CM_ABSENT) {
                view->follow_user = patch->has_timezone == CM_NULL;
                if (!view->follow_user)
                        view->timezone = patch->timezone;
        }
        *anew_r = patch->has_cron_expression || patch->has_timezone || patch->has_dst_gap ||
                  patch->has_dst_overlap || patch->has_jitter_s;
}

/* E.164: a plus sign and 7 to 15 digits. */
static bool is_phone_number(struct cm_str text)
{
        if (text.len < 8 || text.len > 16 || text.data[0] != '+' || text.data[1] == '0')
                return false;
        for (size_t i = 1; i < text.len; i++)
                if (text.data[i] < '0' || text.data[i] > '9')
                        return false;
        return true;
}

int schedule_rules_check(const struct schedule_record *schedule)
{
        if (schedule->reminder_method != REMINDER_METHOD_EMAIL &&
            schedule->reminder_method != REMINDER_METHOD_NONE)
                return SCHEDULE_BAD_METHOD;
        if (schedule->has_phone_number == CM_PRESENT && !is_phone_number(schedule->phone_number))
                return SCHEDULE_BAD_PHONE;
        return 0;
}

uint64_t schedule_rules_seed(const struct cm_uuid *id)
{
        uint64_t seed;

        memcpy(&seed, id->bytes + 8, sizeof(seed)); /* the random half of a UUIDv7 */
        return seed;
}

struct recurrence_place schedule_rules_place(const struct stored_schedule *schedule,
                                             const struct cm_zone *zone)
{
        return (struct recurrence_place){
                .zone = zone,
                .policy = { (enum cron_gap)(schedule->view.dst_gap - DST_GAP_FIRE_AFTER),
                            (enum cron_overlap)(schedule->view.dst_overlap - DST_OVERLAP_FIRST) },
                .anchor = schedule->anchor_at,
        };
}

int schedule_rules_next(struct stored_schedule *schedule, const struct cm_zone *zone, cm_time after,
                        struct cron_fault *fault_r)
{
        struct recurrence_place place = schedule_rules_place(schedule, zone);
        uint64_t seed = schedule_rules_seed(&schedule->view.id);
        struct due_case due = { .place = &place,
                                .seed = seed,
                                .jitter_us = schedule->view.jitter_s * CM_SECOND };
        struct recurrence recurrence;
        struct cron_firing firing;

        if (recurrence_parse(schedule->view.cron_expression, seed, &recurrence, fault_r))
                return SCHEDULE_BAD_EXPRESSION;
        schedule->has_next = recurrence_next(&recurrence, &place, after, &firing);
        schedule->view.has_next_run_at = schedule->has_next ? CM_PRESENT : CM_ABSENT;
        if (!schedule->has_next)
                return SCHEDULE_NEVER_FIRES;
        due.recurrence = &recurrence;
        schedule->next_nominal = firing.at;
        schedule->view.next_run_at = due_rules_run_at(&due, firing.at);
        return 0;
}
