#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>

#include "base/error.h"
#include "bus/consumer.h"
#include "bus/outbox_document.h"
#include "bus/relay.h"
#include "schemas.h"
#include "store/test_mongo.h"
#include "store/test_redis.h"
#include "sys/log.h"

/*
 * A consumer that keeps documents, behind a relay of documents. The facts are inbox streams' ranges
 * (a schema with two numbers that is at hand): `first` says whose, `last` says how many. The effect
 * is the sum of what came, by person, made idempotent by the number in the filter.
 */
static const struct cm_collection things = { .name = "things", .schema = &outbox_group_schema };
static const struct cm_collection sums = { .name = "sums", .schema = &outbox_group_schema };
static const struct cm_collection inbox = { .name = "inbox", .schema = &inbox_entry_schema };
static const struct cm_collection streams = { .name = "inbox_streams",
                                              .schema = &inbox_stream_schema };
static const char *const collections[] = { "things", NULL };

static struct test_mongo server;
static struct test_redis bus;
static struct cm_loop *loop;
static struct cm_mongo *mongo;
static struct cm_redis *redis;
static struct cm_relay *relay;
static struct cm_consumer *consumer;
static struct cm_arena arena;

static int handled; /* in this process */
static int failures;
static bool refuses;

static int64_t value_of(const struct cm_collection *collection, const char *name)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str id = cm_str_from(name);
        struct outbox_group found;
        int r;

        CM_FILTER_IS(&filter, outbox_group, id, &id);
        r = cm_mongo_find(mongo, collection, id, &filter, &arena, &found);
        assert_true(r == 0 || r == CM_MONGO_NO_MATCH);
        return r ? 0 : found.position;
}

static int64_t count_inbox(void)
{
        int64_t count;

        assert_int_equal(cm_mongo_count(mongo, &inbox, CM_STR("x"), NULL, &count), 0);
        return count;
}

static int64_t position_of_stream(void)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str id = CM_STR("things");
        struct inbox_stream found;

        CM_FILTER_IS(&filter, inbox_stream, id, &id);
        if (cm_mongo_find(mongo, &streams, id, &filter, &arena, &found))
                return -1;
        return found.position;
}

/* ---- the effect */

static int handle(struct cm_delivery *delivery, const void *fact)
{
        const struct position_range *range = fact;
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct outbox_group first = { .id = CM_STR("sum") };
        int r;

        assert_null(delivery->tx);
        assert_ptr_equal(delivery->mongo, mongo);
        if (refuses)
                return 1;
        if (failures && failures--)
                return -CM_E_INTERNAL;
        handled++;
        CM_FILTER_IS(&filter, outbox_group, id, &first.id);
        cm_update_insert(&update, &outbox_group_schema, &first);
        r = cm_mongo_update(mongo, &sums, first.id, &filter, &update, CM_MONGO_UPSERT);
        if (r < 0)
                return r;
        cm_update_deinit(&update);
        CM_FILTER_COMPARE(&filter, outbox_group, position, CM_COMPARE_LESS, &range->last);
        CM_UPDATE_SET(&update, outbox_group, position, &range->last);
        r = cm_mongo_update(mongo, &sums, first.id, &filter, &update, CM_MONGO_UPDATE);
        return r > 0 ? 0 : r;
}

static const struct cm_subscription subscriptions[] = {
        { "things", "thing.changed.v1", &position_range_schema, handle, NULL },
        { 0 },
};

/* Whose facts are handled late, and without an entry in the inbox. */
#define DELAY_US (300 * CM_MILLISECOND)
static int batches;
static cm_time youngest_age;

static int handle_late(struct cm_delivery *deliveries, const void *const *facts CM_UNUSED,
                       size_t count)
{
        cm_time now = cm_now(&cm_clock_system);

        batches++;
        handled += (int)count;
        for (size_t i = 0; i < count; i++)
                if (now - deliveries[i].event->time < youngest_age)
                        youngest_age = now - deliveries[i].event->time;
        return 0;
}

static int handle_late_one(struct cm_delivery *delivery, const void *fact)
{
        return handle_late(delivery, &fact, 1);
}

static const struct cm_subscription late_subscriptions[] = {
        { "things", "thing.changed.v1", &position_range_schema, handle_late_one, handle_late,
          .is_repeatable = true, .delay_us = DELAY_US },
        { 0 },
};

static void start_reading(const struct cm_subscription *subscribed, enum cm_consumer_fault fault)
{
        const struct cm_consumer_config config = { .group = "reader",
                                                   .subscriptions = subscribed,
                                                   .inbox = &cm_inbox_documents,
                                                   .mongo = mongo,
                                                   .redis = redis,
                                                   .redis_url = bus.url,
                                                   .lease_us = 300 * CM_MILLISECOND,
                                                   .fault = fault };

        assert_int_equal(cm_consumer_start(loop, &config, &consumer), 0);
}

static void start_consumer(enum cm_consumer_fault fault)
{
        start_reading(subscriptions, fault);
}

static void start_relay(void)
{
        const struct cm_relay_config config = { .service = "things",
                                                .outbox = &cm_outbox_documents,
                                                .mongo = mongo,
                                                .collections = collections,
                                                .lease_us = 1500 * CM_MILLISECOND,
                                                .redis = redis };

        assert_int_equal(cm_relay_start(loop, &config, &relay), 0);
}

/* ---- the cause */

static void change(int64_t number)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        cm_time now = cm_now(&cm_clock_system);
        struct cm_event event = {
                .id = cm_uuid7(now),
                .source = CM_STR("/salus/things"),
                .type = CM_STR("thing.changed.v1"),
                .time = now,
                .subject = { { 1 } },
                .data = cm_arena_printf(&arena, "{\"first\":1,\"last\":%" PRId64 "}", number),
        };
        struct outbox_group thing = { .id = CM_STR("thing") };

        CM_FILTER_IS(&filter, outbox_group, id, &thing.id);
        CM_UPDATE_SET(&update, outbox_group, position, &number);
        CM_UPDATE_SET(&update, outbox_group, seen_at, &now);
        cm_outbox_push(&update, &arena, &event, 1);
        assert_int_equal(
                cm_mongo_update(mongo, &things, thing.id, &filter, &update, CM_MONGO_UPSERT), 0);
        cm_relay_wake_document(relay, "things", thing.id);
}

static void await_sum(int64_t sum)
{
        while (value_of(&sums, "sum") != sum) {
                cm_log_flush();
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        }
}

static void await_position(int64_t position)
{
        while (position_of_stream() != position) {
                cm_log_flush();
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        }
}

static int64_t number_of(const char *first, const char *second)
{
        struct cm_redis_reply reply;

        assert_int_equal(cm_redis_call(redis, &arena, &reply, cm_str_from(first),
                                       cm_str_from(second), CM_STR_NONE),
                         0);
        return reply.integer;
}

static void stop_all(void)
{
        cm_consumer_stop(&consumer);
        cm_relay_stop(&relay);
}

/* ---- tests */

static void each_event_has_its_effect_once(void)
{
        test_mongo_await(mongo, true);
        start_relay();
        start_consumer(CM_FAULT_NONE);
        for (int64_t i = 1; i <= 50; i++)
                change(i);
        await_sum(50);
        await_position(50);
        assert_int_equal(handled, 50);
        assert_int_equal(count_inbox(), 50);
        stop_all();
}

/* The stream and the group are gone: both come back, and nobody does again what was done. */
static void a_lost_stream_repeats_nothing(void)
{
        struct cm_redis_reply reply;

        handled = 0;
        assert_int_equal(cm_redis_call(redis, &arena, &reply, CM_STR("FLUSHALL"), CM_STR_NONE), 0);
        test_mongo_await(mongo, true);
        start_relay();
        start_consumer(CM_FAULT_NONE);
        change(51);
        await_sum(51);
        await_position(51);
        assert_int_equal(handled, 1);
        stop_all();
}

static void a_failed_effect_is_tried_again(void)
{
        handled = 0;
        failures = 2;
        test_mongo_await(mongo, true);
        start_relay();
        start_consumer(CM_FAULT_NONE);
        change(52);
        await_sum(52);
        await_position(52);
        assert_int_equal(handled, 1);
        assert_int_equal(count_inbox(), 52);
        stop_all();
}

static void what_makes_no_sense_goes_aside(void)
{
        refuses = true;
        test_mongo_await(mongo, true);
        start_relay();
        start_consumer(CM_FAULT_NONE);
        change(53);
        while (number_of("XLEN", "s1:dead:reader") != 1)
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        await_position(53);
        refuses = false;
        stop_all();
}

/* They gather until the youngest is old enough, are acknowledged, and leave nothing behind. */
static void delayed_facts_gather(void)
{
        int64_t before, entries;

        test_mongo_await(mongo, true);
        before = position_of_stream();
        entries = count_inbox();
        handled = batches = 0;
        youngest_age = CM_MINUTE;
        start_relay();
        start_reading(late_subscriptions, CM_FAULT_NONE);
        for (int64_t i = 1; i <= 20; i++)
                change(100 + i);
        await_position(before + 20);
        assert_in_range(handled, 20, 21); /* one that a dead process left may come along */
        assert_in_range(batches, 1, 5);
        assert_true(youngest_age >= DELAY_US);
        assert_int_equal(count_inbox(), entries);
        stop_all();
}

/* What was held when the consumer ended was done then, or comes again: nothing is lost. */
static void a_stop_loses_no_delayed_fact(void)
{
        int64_t before, length;

        test_mongo_await(mongo, true);
        before = position_of_stream();
        handled = 0;
        start_relay();
        start_reading(late_subscriptions, CM_FAULT_NONE);
        length = number_of("XLEN", "s1:events:things");
        change(121);
        while (number_of("XLEN", "s1:events:things") == length)
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        cm_consumer_stop(&consumer);
        start_reading(late_subscriptions, CM_FAULT_NONE);
        change(122);
        await_position(before + 2);
        assert_int_equal(handled, 2);
        stop_all();
}

/* ---- a process that dies at the worst places */

static void open_here(void)
{
        const struct cm_redis_config config = { .url = bus.url };

        loop = test_loop_new();
        mongo = test_mongo_connect(&server);
        cm_arena_init(&arena, 65536);
        assert_int_equal(cm_redis_new(loop, &config, &redis), 0);
}

static void in_process(void (*fn)(void))
{
        open_here();
        test_run(loop, fn);
        cm_redis_free(&redis);
        cm_mongo_free(&mongo);
        cm_arena_deinit(&arena);
        test_loop_free(&loop);
}

static enum cm_consumer_fault child_fault;

static void consume_and_die(void)
{
        test_mongo_await(mongo, true);
        start_consumer(child_fault);
        for (;;)
                assert_int_equal(cm_fiber_sleep(CM_SECOND), 0);
}

static void die_at(enum cm_consumer_fault fault)
{
        pid_t pid;
        int status;

        child_fault = fault;
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                open_here();
                test_run(loop, consume_and_die);
                _exit(1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int64_t next_number = 60;

static void publish_one(void)
{
        int64_t before, length;

        test_mongo_await(mongo, true);
        before = number_of("XLEN", "s1:events:things");
        start_relay();
        change(next_number);
        do {
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
                length = number_of("XLEN", "s1:events:things");
        } while (length == before);
        cm_relay_stop(&relay);
}

static void take_over(void)
{
        handled = 0;
        test_mongo_await(mongo, true);
        start_consumer(CM_FAULT_NONE);
        await_sum(next_number);
        while (number_of("XLEN", "s1:dead:reader") != 1 || position_of_stream() < next_number - 6)
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        cm_consumer_stop(&consumer);
}

/* After the effect, before the inbox: the effect is repeated, and changes nothing. */
static void test_death_before_the_inbox_repeats_the_effect(void **state CM_UNUSED)
{
        in_process(publish_one);
        die_at(CM_FAULT_DIE_BEFORE_COMMIT);
        in_process(take_over);
        assert_int_equal(handled, 1);
}

/* After the inbox: it is known. */
static void test_death_before_the_acknowledgement_repeats_nothing(void **state CM_UNUSED)
{
        next_number++;
        in_process(publish_one);
        die_at(CM_FAULT_DIE_BEFORE_ACK);
        in_process(take_over);
        assert_int_equal(handled, 0);
}

#define IN_FIBER(name)                                                                             \
        static void test_##name(void **state CM_UNUSED)                                            \
        {                                                                                          \
                in_process(name);                                                                  \
        }
IN_FIBER(each_event_has_its_effect_once)
IN_FIBER(a_lost_stream_repeats_nothing)
IN_FIBER(a_failed_effect_is_tried_again)
IN_FIBER(what_makes_no_sense_goes_aside)
IN_FIBER(delayed_facts_gather)
IN_FIBER(a_stop_loses_no_delayed_fact)

static int setup(void **state CM_UNUSED)
{
        test_redis_start(&bus);
        if (test_mongo_start(&server))
                return 0;
        puts("no server of documents: make mongo-stand-in");
        return 1;
}

static int teardown(void **state CM_UNUSED)
{
        test_mongo_stop(&server);
        test_redis_stop(&bus);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_event_has_its_effect_once),
                cmocka_unit_test(test_a_lost_stream_repeats_nothing),
                cmocka_unit_test(test_a_failed_effect_is_tried_again),
                cmocka_unit_test(test_what_makes_no_sense_goes_aside),
                cmocka_unit_test(test_death_before_the_inbox_repeats_the_effect),
                cmocka_unit_test(test_death_before_the_acknowledgement_repeats_nothing),
                cmocka_unit_test(test_delayed_facts_gather),
                cmocka_unit_test(test_a_stop_loses_no_delayed_fact),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
