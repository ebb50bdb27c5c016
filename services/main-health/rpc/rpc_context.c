#include "base/error.h"
#include "days/day_summary.h"
#include "days/health_data_store.h"
#include "days/latest_vitals.h"
#include "errors.h"
#include "main_health_rpc.h"
#include "rpc_person.h"
#include "sys/fiber.h"

/* health.context and health.summary: what the companion may know of a person's record. */

#define DEFAULT_DAYS 7
#define MAX_DAYS     31

/* The events of one day out of those of many, which are sorted by day. */
static struct event_list take_day(struct event_list *rest, cm_date date)
{
        struct event_list day = { rest->items, 0 };

        while (day.count < rest->count && rest->items[day.count].local_date == date)
                day.count++;
        rest->items += day.count;
        rest->count -= day.count;
        return day;
}

static int summarize(struct health *health, struct cm_arena *arena, const struct person *person,
                     cm_date from, cm_date to, struct day_summary **days_r)
{
        struct day_summary *days = cm_arena_array(arena, (size_t)(to - from) + 1, sizeof(*days));
        struct event_list events;
        int r = event_store_days(health->events, arena, &person->id, from, to, &events);

        if (r)
                return r;
        for (cm_date date = from; date <= to; date++) {
                struct event_list day = take_day(&events, date);

                r = cm_fiber_yield(); /* a day may have thousands of events */
                if (r)
                        return r;
                day_summary_make(health, person, date, &day, arena, &days[date - from]);
        }
        *days_r = days;
        return 0;
}

/* What is read beside the days, not one after the other: a companion waits for it. */
struct beside {
        struct health *health;
        struct cm_arena *arena;
        const struct cm_uuid *user_id;
        struct user_health_data *data;
        struct latest_vitals latest;
        int data_result, latest_result;
};

static void load_data(void *arg)
{
        struct beside *it = arg;

        it->data_result = health_data_load(it->health->pg, it->arena, it->user_id, it->data);
}

static void load_latest(void *arg)
{
        struct beside *it = arg;

        it->latest_result =
                latest_vitals_load(it->health->events, it->arena, it->user_id, &it->latest);
}

static int read_all(struct beside *beside, const struct person *person, cm_date from, cm_date to,
                    struct day_summary **days_r)
{
        struct cm_group group;
        int r, joined;

        cm_group_init(&group);
        r = cm_group_start(&group, "health data", load_data, beside);
        if (r == 0)
                r = cm_group_start(&group, "latest vitals", load_latest, beside);
        if (r == 0)
                r = summarize(beside->health, beside->arena, person, from, to, days_r);
        joined = cm_group_join(&group);
        return r ?: joined ?: beside->data_result ?: beside->latest_result;
}

int health_serve_context(struct cm_rpc_request *call, const struct health_context_call *in,
                         struct health_context_reply *out)
{
        int64_t days = in->has_days == CM_PRESENT ? in->days : DEFAULT_DAYS;
        struct beside beside = { .health = call->service,
                                 .arena = call->arena,
                                 .user_id = &in->user_id,
                                 .data = &out->health_data };
        struct rpc_person person;
        int r = rpc_person_get(call, &person);

        if (r)
                return r;
        *out = (struct health_context_reply){
                .user_id = in->user_id,
                .language = person.language,
                .time_zone = person.time_zone,
                .today = person.today,
        };
        r = read_all(&beside, &person.person, person.today - (cm_date)days + 1, person.today,
                     &out->days.items);
        if (r)
                return r;
        out->has_health_data = out->health_data.version > 0 ? CM_PRESENT : CM_ABSENT;
        out->vitals.items = beside.latest.items.items;
        out->vitals.count = beside.latest.items.count;
        out->days.count = (size_t)days;
        return 0;
}

int health_serve_summary(struct cm_rpc_request *call, const struct health_summary_call *in,
                         struct health_summary_reply *out)
{
        struct health *health = call->service;
        struct cm_faults faults = { .count = 0 };
        struct rpc_person person;
        int r;

        if (in->to < in->from)
                cm_fault_add(&faults, call->arena, CM_STR("/to"), "must not be before `from`");
        else if (in->to - in->from >= MAX_DAYS)
                cm_fault_add(&faults, call->arena, CM_STR("/to"),
                             "must be at most %d days after `from`", MAX_DAYS - 1);
        if (faults.count)
                return cm_rpc_refuse_invalid(call, &faults);
        r = rpc_person_get(call, &person);
        if (r)
                return r;
        out->user_id = in->user_id;
        out->days.count = (size_t)(in->to - in->from) + 1;
        return summarize(health, call->arena, &person.person, in->from, in->to, &out->days.items);
}
