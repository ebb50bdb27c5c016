#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/error.h"
#include "bus/consumer.h"
#include "bus/outbox.h"
#include "bus/relay.h"
#include "store/migrate.h"
#include "store/test_redis.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * Outbox, relay, stream, group, inbox, effect, all of them real: what is written in one transaction
 * has its effect once, whatever happens between. TEST_POSTGRES is a conninfo of a superuser.
 */

#define STREAM "s1:events:auth"
#define AGAIN  "s1:redelivery:main-health"

static struct test_redis server;
static struct cm_loop *loop;
static struct cm_pg *pg;
static struct cm_redis *redis;
static struct cm_relay *relay;
static struct cm_consumer *consumer;
static struct cm_arena arena;
static char up[16384], down[4096];
static struct cm_migration migration = { 1, "bus", up, down };
static const struct cm_migrations migrations = { &migration, 1 };

/* ---- a fact and its effect */

struct counted {
        int64_t n;
};

static const struct cm_schema number_schema = { .name = "n",
                                                .type = CM_TYPE_INTEGER,
                                                .size = sizeof(int64_t) };
static const struct cm_member members[] = {
        { .name = "n", .schema = &number_schema, .offset = 0, .has_offset = CM_NO_OFFSET },
};
static const struct cm_schema counted_schema = { .name = "Counted",
                                                 .type = CM_TYPE_OBJECT,
                                                 .size = sizeof(struct counted),
                                                 .members = members,
                                                 .member_count = 1 };

static int refuse_n = -1, fail_n = -1, fail_times;

static const struct cm_pg_statement have_effect = {
        .name = "effect",
        .sql = "INSERT INTO effects (event_id, n) VALUES ($1::uuid, $2::int8)",
        .writes = true,
};

static int64_t handled[4096]; /* n of each fact, in the order of the handlers */
static size_t handled_count, largest_batch;

static int judge(const struct counted *counted)
{
        if (handled_count < CM_COUNT(handled))
                handled[handled_count++] = counted->n;
        if (counted->n == refuse_n)
                return 77;
        return counted->n == fail_n && fail_times-- > 0 ? -CM_E_INTERNAL : 0;
}

static int on_counted(struct cm_delivery *delivery, const void *fact)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct counted *counted = fact;

        cm_pg_put_uuid(&params, &delivery->event->id);
        cm_pg_put_int8(&params, counted->n);
        assert_int_equal(cm_pg_tx_query(delivery->tx, &have_effect, &params, &result), 0);
        return judge(counted);
}

static const struct cm_pg_statement have_effects = {
        .name = "effects",
        .sql = "INSERT INTO effects (event_id, n) SELECT * FROM unnest($1::uuid[], $2::int8[])",
        .writes = true,
};

static int on_counted_batch(struct cm_delivery *deliveries, const void *const *facts, size_t count)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r = 0;

        assert_true(count > 1);
        largest_batch = count > largest_batch ? count : largest_batch;
        cm_pg_array_begin(&params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_uuid(&params, &deliveries[i].event->id);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_INT8_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(&params, ((const struct counted *)facts[i])->n);
        cm_pg_array_end(&params);
        assert_int_equal(cm_pg_tx_query(deliveries->tx, &have_effects, &params, NULL), 0);
        for (size_t i = 0; i < count && r == 0; i++)
                r = judge(facts[i]);
        return r;
}

static const struct cm_subscription subscriptions[] = {
        { "auth", "test.counted.v1", &counted_schema, on_counted, on_counted_batch },
        { "auth", "test.alone.v1", &counted_schema, on_counted },
        { 0 },
};

/* ---- set-up */

static void read_file(const char *path, char *into, size_t size)
{
        FILE *file = fopen(path, "r");
        size_t used = strlen(into);

        assert_non_null(file);
        used += fread(into + used, 1, size - used - 1, file);
        into[used] = '\0';
        fclose(file);
}

static bool can_run(void)
{
        return getenv("TEST_POSTGRES") && test_redis_is_installed();
}

static int prepare(void **state CM_UNUSED)
{
        if (!can_run())
                return 0;
        read_file("libcommon/bus/outbox.up.sql", up, sizeof(up));
        read_file("libcommon/bus/inbox.up.sql", up, sizeof(up));
        strcat(up, "CREATE TABLE effects (event_id uuid NOT NULL, n bigint NOT NULL);");
        strcat(down, "DROP TABLE effects;");
        read_file("libcommon/bus/inbox.down.sql", down, sizeof(down));
        read_file("libcommon/bus/outbox.down.sql", down, sizeof(down));
        return 0;
}

static void ignore_warning(enum cm_log_level level CM_UNUSED, struct cm_str line,
                           void *arg CM_UNUSED)
{
        if (getenv("VERBOSE"))
                fprintf(stderr, "%.*s", CM_STR_ARG(line));
}

static int set_up(void **state CM_UNUSED)
{
        const struct cm_pg_config config = { .conninfo = getenv("TEST_POSTGRES"),
                                             .connections = 1,
                                             .tx_connections = 2 };

        if (!can_run())
                return 0;
        refuse_n = fail_n = -1;
        handled_count = largest_batch = 0;
        cm_log_set_level(CM_LOG_WARN);
        cm_log_set_hook(ignore_warning, NULL);
        test_redis_start(&server);
        loop = test_loop_new();
        cm_arena_init(&arena, 65536);
        if (cm_migrate_up(config.conninfo, &migrations) || cm_pg_new(loop, &config, &pg))
                return -1;
        return cm_redis_new(loop, &(struct cm_redis_config){ .url = server.url }, &redis);
}

static int tear_down(void **state CM_UNUSED)
{
        if (!can_run())
                return 0;
        cm_pg_free(&pg);
        cm_redis_free(&redis);
        cm_arena_deinit(&arena);
        test_loop_free(&loop);
        test_redis_stop(&server);
        return cm_migrate_down(getenv("TEST_POSTGRES"), &migrations, 1);
}

static void in_fiber(void (*fn)(void))
{
        if (!can_run())
                skip();
        test_run(loop, fn);
}

static void start_relay(void)
{
        const struct cm_relay_config config = {
                .service = "auth", .conninfo = getenv("TEST_POSTGRES"), .redis = redis, .window = 10
        };

        assert_int_equal(cm_relay_start(loop, &config, &relay), 0);
}

static void start_consumer(void)
{
        const struct cm_consumer_config config = { .group = "main-health",
                                                   .subscriptions = subscriptions,
                                                   .pg = pg,
                                                   .redis = redis,
                                                   .redis_url = server.url,
                                                   .lease_us = 400 * CM_MILLISECOND,
                                                   .max_attempts = 3 };

        assert_int_equal(cm_consumer_start(loop, &config, &consumer), 0);
}

static void start_both(void)
{
        while (!cm_pg_is_ready(pg) || !cm_redis_is_ready(redis))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        start_relay();
        start_consumer();
}

static void stop_both(void)
{
        cm_consumer_stop(&consumer);
        cm_relay_stop(&relay);
        assert_int_equal(cm_fiber_sleep(20 * CM_MILLISECOND),
                         0); /* rollbacks that nobody waited for */
}

/* ---- words of the tests */

static int64_t number(const char *sql)
{
        const struct cm_pg_statement statement = { .name = sql, .sql = sql };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        assert_int_equal(cm_pg_query(pg, NULL, &statement, NULL, &result), 0);
        assert_int_equal(result.rows, 1);
        return cm_pg_int(&result, 0, 0);
}

static int64_t ask(const char *command, const char *key, const char *third, const char *fourth)
{
        struct cm_redis_reply reply;
        int r = cm_redis_call(redis, &arena, &reply, cm_str_from(command), cm_str_from(key),
                              cm_str_from(third), cm_str_from(fourth), CM_STR_NONE);

        return r == 0 && reply.kind == CM_REDIS_INTEGER ? reply.integer : r;
}

/* Whom the events are about by turns, in the order of their ids; each is about somebody else when
 * it is false. */
static bool about_two;
static const struct cm_uuid two_people[] = { { .bytes = { 1 } }, { .bytes = { 2 } } };

static struct cm_event make(int64_t n)
{
        struct cm_event event = { .id = cm_uuid7(cm_now(&cm_clock_system)),
                                  .source = CM_STR("/salus/auth"),
                                  .type = CM_STR("test.counted.v1"),
                                  .time = cm_now(&cm_clock_system),
                                  .data = cm_arena_printf(&arena, "{\"n\":%" PRId64 "}", n) };

        event.subject = about_two ? two_people[n % 2] : event.id;
        return event;
}

static void say_events(const struct cm_event *events, size_t count)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        cm_outbox_params(events, count, &params);
        assert_int_equal(cm_pg_query(pg, NULL, &cm_outbox_insert, &params, &result), 0);
}

/* Facts from first to last, in rows of up to `in_row`. */
static void say(int64_t first, int64_t last, size_t in_row)
{
        while (first <= last) {
                struct cm_event events[100];
                size_t count = 0;

                while (first <= last && count < in_row)
                        events[count++] = make(first++);
                say_events(events, count);
        }
}

/* The value on the line that begins with `name`; 0 when there is none yet. */
static int64_t counter(const char *name)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        struct cm_str rest, line;

        cm_metrics_write(&text);
        rest = cm_buf_str(&text);
        while (cm_str_split(&rest, '\n', &line))
                if (cm_str_starts(line, cm_str_from(name)) && line.data[strlen(name)] == ' ')
                        return atoll(line.data + strlen(name));
        return 0;
}

/* Waits until the facts 1 to `count` have had their effect and all is acknowledged. */
static void expect_effects(int64_t count)
{
        int64_t limit = cm_monotonic_us() + 20 * CM_SECOND;

        while (number("SELECT count(DISTINCT n) FROM effects") < count && cm_monotonic_us() < limit)
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        assert_int_equal(number("SELECT count(DISTINCT n) FROM effects"), count);
        assert_int_equal(number("SELECT count(*) FROM effects"), count);
        assert_int_equal(number("SELECT count(*) FROM inbox"), count);
}

static void expect_position(int64_t position)
{
        int64_t limit = cm_monotonic_us() + 10 * CM_SECOND;

        while (number("SELECT position FROM inbox_stream") != position && cm_monotonic_us() < limit)
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        assert_int_equal(number("SELECT position FROM inbox_stream"), position);
}

static void expect_dead(int64_t count)
{
        int64_t limit = cm_monotonic_us() + 20 * CM_SECOND;

        while (ask("XLEN", "s1:dead:main-health", NULL, NULL) < count && cm_monotonic_us() < limit)
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        assert_int_equal(ask("XLEN", "s1:dead:main-health", NULL, NULL), count);
}

/* ---- the tests */

static void every_fact_has_one_effect_fiber(void)
{
        start_both();
        say(1, 1, 1);
        expect_effects(1);
        say(2, 500, 7);
        expect_effects(500);
        expect_position(500);
        assert_int_equal(number("SELECT max(first_position + events) FROM outbox_range"), 501);
        assert_int_equal(number("SELECT count(*) FROM inbox_range"), 0);
        stop_both();
}

static void every_fact_has_one_effect(void **state CM_UNUSED)
{
        in_fiber(every_fact_has_one_effect_fiber);
}

/* By the stream of the group, as an operator or a gap would. */
static void send_again(const struct cm_event *event)
{
        struct cm_str *fields, args[40] = { CM_STR("XADD"), CM_STR(AGAIN), CM_STR("*"),
                                            CM_STR("salus_stream"), CM_STR("auth") };
        size_t count = cm_event_fields(event, &arena, &fields);
        struct cm_redis_reply reply;

        memcpy(&args[5], fields, count * sizeof(*fields));
        assert_int_equal(cm_redis_command(redis, &arena, args, count + 5, &reply), 0);
}

static void a_duplicate_has_no_effect_fiber(void)
{
        struct cm_event event = make(1);
        int64_t before = counter("salus_bus_duplicates_total");

        start_both();
        say_events(&event, 1);
        expect_effects(1);
        send_again(&event);
        while (counter("salus_bus_duplicates_total") == before)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        expect_effects(1);
        assert_int_equal(ask("XLEN", AGAIN, NULL, NULL), 0);
        stop_both();
}

static void a_duplicate_has_no_effect(void **state CM_UNUSED)
{
        in_fiber(a_duplicate_has_no_effect_fiber);
}

static void what_redis_lost_comes_back_fiber(void)
{
        start_both();
        say(1, 100, 10);
        expect_effects(100);
        cm_consumer_stop(&consumer);
        say(101, 200, 10);
        while (ask("XLEN", STREAM, NULL, NULL) < 100)
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        assert_int_equal(ask("FLUSHALL", NULL, NULL, NULL), 0);
        start_consumer();
        expect_effects(200);
        say(201, 300, 10);
        expect_effects(300);
        expect_position(300);
        stop_both();
}

static void what_redis_lost_comes_back(void **state CM_UNUSED)
{
        in_fiber(what_redis_lost_comes_back_fiber);
}

static void an_empty_redis_under_load_fiber(void)
{
        start_both();
        for (int64_t n = 1; n <= 2000; n += 50) {
                say(n, n + 49, 10);
                if (n == 501 || n == 1501)
                        assert_int_equal(ask("FLUSHALL", NULL, NULL, NULL), 0);
        }
        expect_effects(2000);
        expect_position(2000);
        stop_both();
}

static void an_empty_redis_under_load(void **state CM_UNUSED)
{
        in_fiber(an_empty_redis_under_load_fiber);
}

static void a_killed_redis_under_load_fiber(void)
{
        start_both();
        say(1, 100, 10);
        test_redis_kill(&server);
        say(101, 200, 10);
        test_redis_boot(&server);
        say(201, 300, 10);
        expect_effects(300);
        stop_both();
}

static void a_killed_redis_under_load(void **state CM_UNUSED)
{
        in_fiber(a_killed_redis_under_load_fiber);
}

static void a_group_that_is_gone_is_made_again_fiber(void)
{
        start_both();
        say(1, 50, 10);
        expect_effects(50);
        assert_int_equal(ask("XGROUP", "DESTROY", STREAM, "main-health"), 1);
        say(51, 100, 10);
        expect_effects(100);
        assert_int_equal(ask("DEL", STREAM, NULL, NULL), 1);
        say(101, 150, 10);
        expect_effects(150);
        stop_both();
}

static void a_group_that_is_gone_is_made_again(void **state CM_UNUSED)
{
        in_fiber(a_group_that_is_gone_is_made_again_fiber);
}

static void a_gap_is_filled_by_the_owner_fiber(void)
{
        int64_t before = counter("salus_bus_gap_total");

        start_both();
        say(1, 100, 10);
        expect_effects(100);
        cm_consumer_stop(&consumer);
        say(101, 2000, 10);
        while (ask("XLEN", STREAM, NULL, NULL) < 1900)
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        assert_true(ask("XTRIM", STREAM, "MAXLEN", "100") > 0);
        start_consumer();
        expect_effects(2000);
        expect_position(2000);
        assert_int_equal(counter("salus_bus_gap_total") - before, 1);
        stop_both();
}

static void a_gap_is_filled_by_the_owner(void **state CM_UNUSED)
{
        in_fiber(a_gap_is_filled_by_the_owner_fiber);
}

static void a_late_transaction_is_not_skipped_fiber(void)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        struct cm_pg_tx *tx = NULL;
        struct cm_event early = make(1);

        start_both();
        cm_outbox_params(&early, 1, &params);
        assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
        assert_int_equal(cm_pg_tx_query(tx, &cm_outbox_insert, &params, &result), 0);
        say(2, 50, 10);
        assert_int_equal(cm_fiber_sleep(200 * CM_MILLISECOND), 0);
        assert_int_equal(number("SELECT count(*) FROM effects"), 0);
        assert_int_equal(cm_pg_commit(&tx), 0);
        expect_effects(50);
        stop_both();
}

static void a_late_transaction_is_not_skipped(void **state CM_UNUSED)
{
        in_fiber(a_late_transaction_is_not_skipped_fiber);
}

static void poison_is_set_aside_fiber(void)
{
        struct cm_event bad = make(4);
        struct cm_redis_reply reply;

        start_both();
        refuse_n = 2;
        fail_n = 3;
        fail_times = 1000;
        say(1, 3, 3);
        bad.data = CM_STR("{\"n\":\"four\"}");
        say_events(&bad, 1);
        assert_int_equal(cm_redis_call(redis, &arena, &reply, CM_STR("XADD"), CM_STR(AGAIN),
                                       CM_STR("*"), CM_STR("junk"), CM_STR("\0\xff"), CM_STR_NONE),
                         0);
        expect_dead(4);
        assert_int_equal(counter("salus_bus_dead_letters_total{reason=\"refused\"}"), 1);
        assert_int_equal(counter("salus_bus_dead_letters_total{reason=\"attempts\"}"), 1);
        assert_int_equal(counter("salus_bus_dead_letters_total{reason=\"schema\"}"), 1);
        assert_int_equal(counter("salus_bus_dead_letters_total{reason=\"invalid\"}"), 1);
        expect_effects(1);
        expect_position(4);
        stop_both();
}

static void poison_is_set_aside(void **state CM_UNUSED)
{
        in_fiber(poison_is_set_aside_fiber);
}

/* By person, so that replicas lock in one order, and of one person in the order of the stream. */
static void facts_of_one_read_go_together_fiber(void)
{
        struct cm_event alone;

        about_two = true;
        alone = make(51);
        alone.type = CM_STR("test.alone.v1");
        start_both();
        expect_effects(0);
        cm_consumer_stop(&consumer);
        say(1, 50, 10);
        say_events(&alone, 1);
        say(52, 100, 10);
        while (ask("XLEN", STREAM, NULL, NULL) < 100)
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        start_consumer();
        expect_effects(100);
        assert_int_equal(largest_batch, 99); /* all but the one of another handler */
        assert_int_equal(handled_count, 100);
        for (size_t i = 0; i < 50; i++)
                assert_int_equal(handled[i], 2 * (int64_t)i + 2);
        for (size_t i = 0; i < 49; i++)
                assert_int_equal(handled[50 + i], 2 * (int64_t)(i < 25 ? i : i + 1) + 1);
        assert_int_equal(handled[99], 51);
        about_two = false;
        stop_both();
}

static void facts_of_one_read_go_together(void **state CM_UNUSED)
{
        in_fiber(facts_of_one_read_go_together_fiber);
}

/* One of many refuses: it alone is set aside, and what was done with it is done again without. */
static void poison_in_a_batch_is_found_fiber(void)
{
        start_both();
        cm_consumer_stop(&consumer);
        refuse_n = 60;
        say(1, 60, 10);
        while (ask("XLEN", STREAM, NULL, NULL) < 60)
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        start_consumer();
        expect_dead(1);
        expect_effects(59);
        expect_position(60);
        assert_int_equal(largest_batch, 60);
        stop_both();
}

static void poison_in_a_batch_is_found(void **state CM_UNUSED)
{
        in_fiber(poison_in_a_batch_is_found_fiber);
}

#ifdef CM_FAULTS
static void a_step_that_does_not_end_shows_fiber(void)
{
        struct cm_progress progress = { 0 };
        struct cm_consumer_config config = { .group = "main-health",
                                             .subscriptions = subscriptions,
                                             .pg = pg,
                                             .redis = redis,
                                             .redis_url = server.url,
                                             .lease_us = 400 * CM_MILLISECOND,
                                             .progress = &progress,
                                             .fault = CM_FAULT_HANG };

        while (!cm_pg_is_ready(pg) || !cm_redis_is_ready(redis))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        start_relay();
        assert_int_equal(cm_consumer_start(loop, &config, &consumer), 0);
        say(1, 1, 1);
        while (cm_progress_age_us(&progress) < CM_SECOND) /* a read ends sooner */
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        stop_both(); /* it is let go */
        assert_int_equal(cm_progress_age_us(&progress), 0);
}

static void a_step_that_does_not_end_shows(void **state CM_UNUSED)
{
        in_fiber(a_step_that_does_not_end_shows_fiber);
}
#endif

static void a_failure_that_passes_is_tried_again_fiber(void)
{
        start_both();
        fail_n = 5;
        fail_times = 3; /* in the batch, alone, and once more after its lease */
        say(1, 20, 20);
        expect_effects(20);
        assert_int_equal(ask("XLEN", "s1:dead:main-health", NULL, NULL), 0);
        stop_both();
}

static void a_failure_that_passes_is_tried_again(void **state CM_UNUSED)
{
        in_fiber(a_failure_that_passes_is_tried_again_fiber);
}

static void one_relay_leads_and_another_follows_fiber(void)
{
        struct cm_relay *first;

        start_both();
        say(1, 10, 1);
        expect_effects(10);
        first = relay;
        start_relay();
        say(11, 20, 1);
        cm_relay_wake(relay);
        expect_effects(20);
        cm_relay_stop(&first);
        say(21, 30, 1);
        expect_effects(30);
        assert_int_equal(number("SELECT term FROM outbox_relay"), 2);
        stop_both();
}

static void one_relay_leads_and_another_follows(void **state CM_UNUSED)
{
        in_fiber(one_relay_leads_and_another_follows_fiber);
}

static void a_foreign_entry_is_stepped_over_fiber(void)
{
        struct cm_redis_reply reply;

        start_both();
        say(1, 10, 5);
        expect_effects(10);
        assert_int_equal(cm_redis_call(redis, &arena, &reply, CM_STR("XADD"), CM_STR(STREAM),
                                       CM_STR("1000-0"), CM_STR("junk"), CM_STR("junk"),
                                       CM_STR_NONE),
                         0);
        say(11, 20, 5);
        expect_effects(20);
        assert_true(number("SELECT max(first_position + events) FROM outbox_range") >= 1001);
        expect_position(number("SELECT max(first_position + events) - 1 FROM outbox_range"));
        expect_dead(1);
        stop_both();
}

static void a_foreign_entry_is_stepped_over(void **state CM_UNUSED)
{
        in_fiber(a_foreign_entry_is_stepped_over_fiber);
}

static void after_a_restored_backup_all_is_sent_again_fiber(void)
{
        start_both();
        say(1, 30, 10);
        expect_effects(30);
        cm_relay_stop(&relay);
        assert_int_equal(number("SELECT outbox_restored()"), 1000000031);
        start_relay();
        say(31, 40, 10);
        expect_effects(40);
        stop_both();
}

static void after_a_restored_backup_all_is_sent_again(void **state CM_UNUSED)
{
        in_fiber(after_a_restored_backup_all_is_sent_again_fiber);
}

static void an_evicting_redis_is_refused_fiber(void)
{
        assert_int_equal(cm_bus_check(redis), 0);
        assert_int_equal(ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), 0);
        assert_int_equal(cm_bus_check(redis), -CM_E_CONFIG);
}

static void an_evicting_redis_is_refused(void **state CM_UNUSED)
{
        in_fiber(an_evicting_redis_is_refused_fiber);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(every_fact_has_one_effect),
                TEST(a_duplicate_has_no_effect),
                TEST(what_redis_lost_comes_back),
                TEST(an_empty_redis_under_load),
                TEST(a_killed_redis_under_load),
                TEST(a_group_that_is_gone_is_made_again),
                TEST(a_gap_is_filled_by_the_owner),
                TEST(a_late_transaction_is_not_skipped),
                TEST(poison_is_set_aside),
                TEST(facts_of_one_read_go_together),
                TEST(poison_in_a_batch_is_found),
#ifdef CM_FAULTS
                TEST(a_step_that_does_not_end_shows),
#endif
                TEST(a_failure_that_passes_is_tried_again),
                TEST(one_relay_leads_and_another_follows),
                TEST(a_foreign_entry_is_stepped_over),
                TEST(after_a_restored_backup_all_is_sent_again),
                TEST(an_evicting_redis_is_refused),
        };

        return cmocka_run_group_tests(tests, prepare, NULL);
}
