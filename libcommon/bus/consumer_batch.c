#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "bus/consumer_internal.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * From entries to effects. All of a batch goes in one transaction: inbox rows, effects, positions.
 * When anything in it fails, it is taken back and each entry gets a transaction of its own, so that
 * one cannot hold the others.
 *
 * Which failure is whose: a database that is not there is nobody's fault, so the batch is kept and
 * tried again, without counting. A handler that fails leaves its entry pending; it comes back when
 * its lease is over, and its deliveries are what counts as attempts.
 */

static struct cm_metric duplicates =
        CM_COUNTER("salus_bus_duplicates_total", "Events that the inbox knew already");
static struct cm_metric redelivered =
        CM_COUNTER("salus_bus_redelivered_total", "Entries that were delivered before");
static struct cm_metric failures =
        CM_COUNTER("salus_bus_handler_failures_total", "Handlers that failed");
static struct cm_metric handler_time =
        CM_HISTOGRAM("salus_bus_handler_seconds", "Time of one event's handler");
static struct cm_metric delivery_time =
        CM_HISTOGRAM("salus_bus_delivery_seconds", "Time from an event's cause to its handler");
static struct cm_metric voided =
        CM_COUNTER("salus_bus_void_total", "Positions without an event, after a gap");

/* Faults that tests ask for. */
static void die(const struct cm_consumer *consumer, enum cm_consumer_fault fault)
{
#ifdef CM_FAULTS
        if (consumer->config.fault == fault)
                kill(getpid(), SIGKILL);
#else
        (void)consumer;
        (void)fault;
#endif
}

static void hang(struct cm_consumer *consumer)
{
#ifdef CM_FAULTS
        int64_t end = cm_monotonic_us() + 10 * consumer->config.lease_us;
        enum cm_consumer_fault fault = consumer->config.fault;

        while (!consumer->is_stopping &&
               (fault == CM_FAULT_HANG || (fault == CM_FAULT_SLOW && cm_monotonic_us() < end)))
                (void)!cm_fiber_sleep(10 * CM_MILLISECOND);
        if (fault == CM_FAULT_SLOW)
                consumer->config.fault = CM_FAULT_NONE;
#else
        (void)consumer;
#endif
}

static void crash(const struct cm_consumer *consumer, const struct cm_event *event)
{
#ifdef CM_FAULTS
        CM_ASSERT(consumer->config.fault != CM_FAULT_CRASH || !cm_uuid_is_nil(&event->subject));
#else
        (void)consumer;
        (void)event;
#endif
}

static bool is_machinery(int r)
{
        return r == -CM_E_UNAVAILABLE || r == -CM_E_UNCERTAIN || r == -CM_E_DEADLINE ||
               r == -CM_E_CANCELLED || r == -CM_E_OVERLOAD;
}

/* Outcomes of the inbox' own statements (a deadlock, a refusal) are the database's, not the
 * event's. */
static int own(int r)
{
        return r > 0 ? -CM_E_UNAVAILABLE : r;
}

/* Outcome of run(): a handler said no, see its result. */
enum { RUN_FAILED = 1 };

/* ---- one event */

static void enter_context(const struct cm_event *event, const char *operation)
{
        struct cm_context *context = cm_fiber_context();

        *context = (struct cm_context){ .operation = operation, .tenant_id = event->tenant };
        context->has_user = !cm_uuid_is_nil(&event->subject);
        context->user_id = event->subject;
        if (event->traceparent.len < sizeof(context->traceparent))
                memcpy(context->traceparent, event->traceparent.data ? event->traceparent.data : "",
                       event->traceparent.len);
}

static struct cm_delivery deliver(struct cm_consumer *consumer, struct cm_pg_tx *tx,
                                  const struct consumer_entry *entry)
{
        cm_time age = cm_now(&cm_clock_system) - entry->event.time;

        crash(consumer, &entry->event);
        cm_histogram_observe_us(&delivery_time, age > 0 ? age : 0);
        return (struct cm_delivery){ .event = &entry->event,
                                     .tx = tx,
                                     .mongo = consumer->config.mongo,
                                     .arena = &consumer->attempt,
                                     .service = consumer->config.service,
                                     .attempt = entry->attempt };
}

static int handle_one(struct cm_consumer *consumer, struct cm_pg_tx *tx,
                      struct consumer_entry *entry)
{
        struct cm_delivery delivery = deliver(consumer, tx, entry);

        enter_context(&entry->event, entry->subscription->type);
        return entry->subscription->handle(&delivery, entry->fact);
}

static int handle_batch(struct cm_consumer *consumer, struct cm_pg_tx *tx,
                        struct consumer_entry *const *entries, size_t count)
{
        struct cm_delivery *deliveries =
                cm_arena_array(&consumer->attempt, count, sizeof(*deliveries));
        const void **facts = cm_arena_array(&consumer->attempt, count, sizeof(*facts));

        for (size_t i = 0; i < count; i++) {
                deliveries[i] = deliver(consumer, tx, entries[i]);
                facts[i] = entries[i]->fact;
        }
        *cm_fiber_context() = (struct cm_context){ .operation = "event batch" };
        return entries[0]->subscription->handle_batch(deliveries, facts, count);
}

/* What the handlers say of `count` entries that go together. */
static int handle(struct cm_consumer *consumer, struct cm_pg_tx *tx,
                  struct consumer_entry *const *entries, size_t count)
{
        struct cm_context outside = *cm_fiber_context();
        int64_t start = cm_monotonic_us(), took;
        int r = count == 1 ? handle_one(consumer, tx, entries[0])
                           : handle_batch(consumer, tx, entries, count);

        took = cm_monotonic_us() - start;
        for (size_t i = 0; i < count; i++)
                cm_histogram_observe_us(&handler_time, took / (int64_t)count);
        *cm_fiber_context() = outside;
        return r;
}

/* ---- one transaction */

static size_t collect_users(const struct consumer_entry *entries, size_t count,
                            struct cm_uuid *users)
{
        size_t found = 0;

        for (size_t i = 0; i < count; i++) {
                bool is_known = entries[i].fate != ENTRY_EFFECT ||
                                cm_uuid_is_nil(&entries[i].event.subject);

                for (size_t j = 0; j < found && !is_known; j++)
                        is_known = cm_uuid_equal(&users[j], &entries[i].event.subject);
                if (!is_known)
                        users[found++] = entries[i].event.subject;
        }
        return found;
}

/* How many of these go together: the first, and those that its batch handler takes as well. */
static size_t length_of_run(struct consumer_entry *const *entries, size_t count)
{
        cm_event_batch_handler *shared = entries[0]->subscription->handle_batch;
        size_t length = 1;

        while (shared && length < count && entries[length]->subscription->handle_batch == shared)
                length++;
        return length;
}

struct turn {
        const struct cm_subscription *first; /* of those with the same handler */
        struct consumer_entry *entry;
};

/* By handler, then by subject, and what is about one in the order of the stream: two replicas that
 * write about the same people then wait for each other in one order, and never in a circle. */
static int compare_turns(const void *a, const void *b)
{
        const struct turn *left = a, *right = b;
        int order;

        if (left->first != right->first)
                return left->first < right->first ? -1 : 1;
        order = memcmp(&left->entry->event.subject, &right->entry->event.subject,
                       sizeof(struct cm_uuid));
        return order ? order : left->entry < right->entry ? -1 : left->entry > right->entry;
}

static bool share_handler(const struct cm_subscription *a, const struct cm_subscription *b)
{
        return a->handle == b->handle && a->handle_batch == b->handle_batch;
}

static void put_in_turn(struct cm_consumer *consumer, struct consumer_entry **entries, size_t count)
{
        struct turn *turns = cm_arena_array(&consumer->attempt, count, sizeof(*turns));

        for (size_t i = 0; i < count; i++) {
                turns[i] = (struct turn){ consumer->config.subscriptions, entries[i] };
                while (!share_handler(turns[i].first, entries[i]->subscription))
                        turns[i].first++;
        }
        qsort(turns, count, sizeof(*turns), compare_turns);
        for (size_t i = 0; i < count; i++)
                entries[i] = turns[i].entry;
}

static int run_handlers(struct cm_consumer *consumer, struct cm_pg_tx *tx,
                        struct consumer_entry *entries, size_t count, int *said_r)
{
        struct consumer_entry **news = cm_arena_array(&consumer->attempt, count, sizeof(*news));
        size_t found = 0;

        for (size_t i = 0; i < count; i++)
                if (entries[i].fate == ENTRY_EFFECT && entries[i].is_new)
                        news[found++] = &entries[i];
        if (found)
                put_in_turn(consumer, news, found);
        for (size_t i = 0, length; i < found; i += length) {
                cm_progress_step(consumer->config.progress);
                length = length_of_run(news + i, found - i);
                *said_r = handle(consumer, tx, news + i, length);
                if (*said_r)
                        return is_machinery(*said_r) ? *said_r : RUN_FAILED;
        }
        return 0;
}

/* 0; RUN_FAILED with what the handler said; or an error of machinery. */
static int run(struct cm_consumer *consumer, struct consumer_entry *entries, size_t count,
               int *said_r)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct cm_pg_scope scope = { .role = "service" };
        struct cm_uuid *users;
        int r;

        cm_progress_step(consumer->config.progress);
        cm_arena_reset(&consumer->attempt);
        users = cm_arena_array(&consumer->attempt, count, sizeof(*users));
        scope.count = collect_users(entries, count, users);
        scope.users = users;
        consumer_limit(consumer->config.lease_us * 10);
        r = own(consumer->config.inbox->begin(consumer, &scope, entries, count, &tx));
        if (r)
                return r;
        consumer_limit(CM_NEVER); /* a handler takes what it needs; the heartbeat goes on */
        hang(consumer);
        r = run_handlers(consumer, tx, entries, count, said_r);
        if (r)
                return r;
        consumer_limit(consumer->config.lease_us * 10);
        die(consumer, CM_FAULT_DIE_BEFORE_COMMIT);
        return own(consumer->config.inbox->commit(consumer, &tx, entries, count));
}

/* ---- what failed, one by one */

static void give_up(struct cm_consumer *consumer, struct consumer_entry *entry, int r)
{
        cm_counter_add(&failures, 1);
        cm_log(CM_LOG_WARN, "event not handled", CM_F_STR("type", entry->event.type),
               CM_F_UUID("event", entry->event.id), CM_F_INT("attempt", entry->attempt),
               CM_F_INT("result", r));
        if (r > 0)
                consumer_entry_kill(entry, "refused",
                                    cm_arena_printf(&consumer->arena, "outcome %d", r));
        else if (entry->attempt >= consumer->config.max_attempts)
                consumer_entry_kill(entry, "attempts", cm_str_from(cm_error_name(r)));
        else
                entry->fate = ENTRY_LATER;
}

static int run_one(struct cm_consumer *consumer, struct consumer_entry *entry)
{
        int said, r = run(consumer, entry, 1, &said);

        if (r != RUN_FAILED)
                return r;
        give_up(consumer, entry, said);
        return entry->fate == ENTRY_DEAD ? run(consumer, entry, 1, &said) : 0;
}

static void count_up(const struct consumer_entry *entries, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                const struct consumer_entry *entry = &entries[i];

                if (entry->attempt > 1)
                        cm_counter_add(&redelivered, 1);
                if (entry->fate == ENTRY_EFFECT && !entry->is_new)
                        cm_counter_add(&duplicates, 1);
                if (entry->fate == ENTRY_VOID && entry->first_position)
                        cm_counter_add(&voided, entry->last_position - entry->first_position + 1);
                if (entry->stream)
                        entry->stream->has_moved = true;
        }
}

static void finish(struct cm_consumer *consumer, struct consumer_entry *entries, size_t count)
{
        die(consumer, CM_FAULT_DIE_BEFORE_ACK);
        count_up(entries, count);
        consumer_group_finish(consumer, entries, count);
}

int consumer_work(struct cm_consumer *consumer, struct consumer_entry *entries, size_t count)
{
        int said, r = run(consumer, entries, count, &said);

        if (r == 0)
                finish(consumer, entries, count);
        if (r != RUN_FAILED)
                return r;
        for (size_t i = 0; i < count; i++) {
                r = run_one(consumer, &entries[i]);
                if (r)
                        return r;
                finish(consumer, &entries[i], 1);
        }
        return 0;
}
