#include "context.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "conversations/user_context.h"
#include "planners/week_rules.h"
#include "rpc.h"
#include "service/flags.h"
#include "service/user_refs.h"
#include "sys/metrics.h"
#include "tools/tool_calls.h"

#define MAX_QUERY 4096 /* code points that memory takes */

static struct cm_metric silent_health = {
        .name = "salus_chat_context_silent_total",
        .help = "Services that did not answer while a reply was prepared",
        .labels = "service=\"main-health\"",
        .kind = CM_METRIC_COUNTER,
};
static struct cm_metric silent_memory = {
        .name = "salus_chat_context_silent_total",
        .help = "Services that did not answer while a reply was prepared",
        .labels = "service=\"memory\"",
        .kind = CM_METRIC_COUNTER,
};
static struct cm_metric silent_scheduler = {
        .name = "salus_chat_context_silent_total",
        .help = "Services that did not answer while a reply was prepared",
        .labels = "service=\"scheduler\"",
        .kind = CM_METRIC_COUNTER,
};

static struct cm_metric silent_store = {
        .name = "salus_chat_context_silent_total",
        .help = "Services that did not answer while a reply was prepared",
        .labels = "service=\"chat\"",
        .kind = CM_METRIC_COUNTER,
};

struct gathering {
        struct chat *chat;
        struct cm_arena *arena;
        struct cm_uuid user_id;
        struct cm_str message;
        cm_time now;
        struct planner_context *context;
        struct planner *plans;
};

static void ask_health(void *arg)
{
        struct gathering *it = arg;
        const struct health_context_call call = { .user_id = it->user_id };
        struct week_summary *week = CM_ARENA_NEW(it->arena, struct week_summary);
        struct health_context_reply *reply = CM_ARENA_NEW(it->arena, struct health_context_reply);
        int r = health_rpc_context(it->chat->worker->rpc, it->arena, &call, reply, NULL);

        if (r) {
                cm_counter_add(&silent_health, 1);
                return;
        }
        week_rules_sum(it->arena, reply->days.items, reply->days.count, week);
        it->context->is_health_silent = false;
        it->context->health = reply->has_health_data == CM_PRESENT ? &reply->health_data : NULL;
        it->context->week = week->days_with_entries ? week : NULL;
}

int32_t context_purpose(const struct chat *chat, const struct planner *planner)
{
        return planner == chat->rules ? RECALL_PURPOSE_CONVERSATION : RECALL_PURPOSE_EXTERNAL_MODEL;
}

static void ask_memory(void *arg)
{
        struct gathering *it = arg;
        const struct memory_recall_call call = {
                .user_id = it->user_id,
                .question = { .query = it->message,
                              .has_limit = CM_PRESENT,
                              .limit = CONTEXT_RECALLED,
                              .has_purpose = CM_PRESENT,
                              .purpose = context_purpose(it->chat, it->plans) },
        };
        struct recall_answer reply;
        int r = memory_rpc_recall(it->chat->worker->rpc, it->arena, &call, &reply, NULL);

        if (r) {
                cm_counter_add(&silent_memory, 1);
                return;
        }
        it->context->is_memory_silent = false;
        it->context->memories = reply.items.count ? tool_notes(it->arena, &reply) : NULL;
}

static void ask_scheduler(void *arg)
{
        struct gathering *it = arg;
        const struct schedule_list_call call = { .user_id = it->user_id };
        struct schedule_list_reply reply;
        int r = schedule_rpc_list(it->chat->worker->rpc, it->arena, &call, &reply, NULL);

        if (r) {
                cm_counter_add(&silent_scheduler, 1);
                return;
        }
        it->context->are_reminders_silent = false;
        it->context->reminders =
                reply.items.count ? tool_reminders(it->arena, &reply, it->now) : NULL;
}

/* Nobody else is asked: it is in the service's own store. */
static void read_wishes(void *arg)
{
        struct gathering *it = arg;
        struct user_context *wishes = CM_ARENA_NEW(it->arena, struct user_context);

        if (user_context_load(it->chat, it->arena, &it->user_id, wishes)) {
                cm_counter_add(&silent_store, 1);
                return;
        }
        it->context->are_wishes_silent = false;
        it->context->wishes = wishes->version > 0 ? wishes : NULL;
}

/* An operator may let a model plan for a share of the people only (docs/administration.md). */
static struct planner *planner_for(struct chat *chat, const struct cm_uuid *user_id)
{
        struct cm_user_ref ref;

        if (chat->planner == chat->rules || cm_user_ref_get(chat->worker, user_id, &ref) ||
            cm_flag(chat->worker, &ref.tenant_id, user_id, "chat.model", true))
                return chat->planner;
        return chat->rules;
}

void context_person(struct chat *chat, const struct cm_uuid *user_id, cm_time now,
                    struct reply_context *context_r)
{
        struct cm_user_ref ref;

        *context_r = (struct reply_context){ .planner = { .now = now } };
        (void)snprintf(context_r->time_zone, sizeof(context_r->time_zone), "UTC");
        if (cm_user_ref_get(chat->worker, user_id, &ref) == 0) {
                memcpy(context_r->language, ref.language, sizeof(context_r->language));
                memcpy(context_r->time_zone, ref.time_zone, sizeof(context_r->time_zone));
        }
        context_r->planner.zone = cm_zones_get(chat->zones, cm_str_from(context_r->time_zone));
        if (!context_r->planner.zone) {
                (void)snprintf(context_r->time_zone, sizeof(context_r->time_zone), "UTC");
                context_r->planner.zone = cm_zones_get(chat->zones, CM_STR("UTC"));
        }
        context_r->planner.zone_name = cm_str_from(context_r->time_zone);
        context_r->today = cm_zone_date(context_r->planner.zone, now);
}

int context_gather(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *user_id,
                   const struct chat_text *message, cm_time now, struct reply_context *context_r)
{
        struct planner_context *context = &context_r->planner;
        struct gathering it = { .chat = chat,
                                .arena = arena,
                                .user_id = *user_id,
                                .message = message->source,
                                .now = now,
                                .context = context };
        int64_t mine = cm_monotonic_us() + chat->settings->context_timeout_us;
        int64_t before = cm_fiber_deadline_us();
        struct cm_group group;
        unsigned sources;
        int r = 0;

        context_person(chat, user_id, now, context_r);
        it.plans = context_r->plans = planner_for(chat, user_id);
        context->is_health_silent = context->is_memory_silent = true;
        context->are_reminders_silent = context->are_wishes_silent = true;
        (void)cm_fiber_set_deadline(mine < before ? mine : before);
        sources = it.plans->ops->sources(it.plans, message);
        cm_group_init(&group);
        if (sources & PLANNER_ASKS_HEALTH)
                r = cm_group_start(&group, "context health", ask_health, &it);
        if (r == 0 && sources & PLANNER_ASKS_MEMORY && cm_utf8_length(it.message) <= MAX_QUERY)
                r = cm_group_start(&group, "context memory", ask_memory, &it);
        if (r == 0 && sources & PLANNER_ASKS_REMINDERS)
                r = cm_group_start(&group, "context reminders", ask_scheduler, &it);
        if (r == 0)
                r = cm_group_start(&group, "context wishes", read_wishes, &it);
        (void)r; /* overload: they count as silent */
        r = cm_group_join(&group);
        (void)cm_fiber_set_deadline(before);
        return r == -CM_E_CANCELLED ? r : 0;
}
