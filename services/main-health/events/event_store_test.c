#include "event_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "main_health_api.h"
#include "main_health_migrations.h"
#include "store/migrate.h"
#include "sys/fiber.h"
#include "sys/log.h"

/* Against a real server, as the service's own role: TEST_POSTGRES is a conninfo of a superuser. */

static struct cm_loop *loop;
static struct cm_pg *owner, *pg;
static struct event_store *store;
static struct cm_arena arena;

static const struct cm_uuid alice = { { 0xa } }, bob = { { 0xb } };

static void wait_until_ready(struct cm_pg *which)
{
        while (!cm_pg_is_ready(which))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static void main_fiber(void *arg)
{
        cm_fiber_fn *fn = *(cm_fiber_fn **)arg;

        wait_until_ready(owner);
        if (pg)
                wait_until_ready(pg);
        fn(NULL);
        assert_int_equal(cm_fiber_sleep(20 * CM_MILLISECOND), 0);
        cm_loop_stop(loop);
}

static void start_main(void *arg)
{
        assert_int_equal(cm_fiber_start("test", main_fiber, arg, CM_NEVER), 0);
}

static void run(cm_fiber_fn *fn)
{
        cm_loop_defer(loop, start_main, &fn);
        cm_loop_run(loop);
}

static void execute(const char *sql)
{
        struct cm_pg_tx *tx = NULL;

        assert_int_equal(cm_pg_begin(owner, NULL, &tx), 0);
        assert_int_equal(cm_pg_tx_exec(tx, sql), 0);
        assert_int_equal(cm_pg_commit(&tx), 0);
}

static int64_t number(const char *sql)
{
        const struct cm_pg_statement statement = { .name = sql, .sql = sql };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        assert_int_equal(cm_pg_query(owner, NULL, &statement, NULL, &result), 0);
        return cm_pg_int(&result, 0, 0);
}

static void prepare_database(void *arg CM_UNUSED)
{
        execute("DROP SCHEMA public CASCADE");
        execute("CREATE SCHEMA public");
        execute("GRANT USAGE ON SCHEMA public TO PUBLIC");
        execute("DO $$ BEGIN CREATE ROLE salus_health LOGIN; EXCEPTION WHEN duplicate_object THEN "
                "NULL; END $$");
}

static void told(void *arg CM_UNUSED)
{
}

static void make_store(void *arg CM_UNUSED)
{
        execute("GRANT SELECT, INSERT, DELETE ON outbox TO salus_health");
        assert_int_equal(event_store_new(pg, told, NULL, &store), 0);
}

static int set_up(void **state CM_UNUSED)
{
        const struct cm_fiber_pool_config fibers = { 65536, 600, 64 };
        const char *conninfo = getenv("TEST_POSTGRES");
        struct cm_pg_config config = { .conninfo = conninfo,
                                       .connections = 2,
                                       .tx_connections = 2 };
        static char as_service[512]; /* the pool keeps it */

        assert_non_null(conninfo);
        cm_log_set_level(CM_LOG_ERROR);
        cm_arena_init(&arena, 65536);
        assert_int_equal(cm_loop_new(&loop), 0);
        assert_int_equal(cm_fiber_pool_init(loop, &fibers), 0);
        assert_int_equal(cm_pg_new(loop, &config, &owner), 0);
        run(prepare_database);
        assert_int_equal(cm_migrate_up(conninfo, &main_health_migrations), 0);
        snprintf(as_service, sizeof(as_service), "%s user=salus_health", conninfo);
        config.conninfo = as_service;
        assert_int_equal(cm_pg_new(loop, &config, &pg), 0);
        run(make_store);
        return 0;
}

static int tear_down(void **state CM_UNUSED)
{
        event_store_free(&store);
        cm_pg_free(&pg);
        cm_pg_free(&owner);
        cm_fiber_pool_deinit(loop);
        cm_loop_free(&loop);
        cm_arena_deinit(&arena);
        return 0;
}

/* ---- events to store */

static struct recorded_event event_of(const struct cm_uuid *user, int minute)
{
        return (struct recorded_event){
                .user_id = *user,
                .id = cm_uuid7(1000 * CM_SECOND),
                .version = 1,
                .status = HEALTH_EVENT_STATUS_RECORDED,
                .event_type = HEALTH_EVENT_TYPE_VITAL,
                .event_subtype = VITAL_SUBTYPE_WEIGHT,
                .occurred_at = minute * CM_MINUTE,
                .ended_at = EVENT_NO_END,
                .created_at = 1000 * CM_SECOND,
                .local_date = 0,
                .zone = CM_STR("Asia/Jerusalem"),
                .source = CM_STR("manual"),
                .event_data = CM_STR("{\"value\":71.2345678901234,\"unit\":\"kg\"}"),
        };
}

static void append(struct recorded_event *event)
{
        assert_int_equal(event_store_append(store, &arena, event), 0);
}

static struct event_list list_of(const struct cm_uuid *user, bool voided)
{
        struct event_query query = { .user = *user,
                                     .from = EVENT_EARLIEST,
                                     .before = EVENT_LATEST,
                                     .include_voided = voided,
                                     .limit = 100 };
        struct event_list list;

        assert_int_equal(event_store_list(store, &arena, &query, &list), 0);
        return list;
}

/* ---- tests */

static void what_is_stored_comes_back(void *arg CM_UNUSED)
{
        struct recorded_event event = event_of(&alice, 5), back;

        event.flags = 2;
        event.ended_at = 6 * CM_MINUTE;
        append(&event);
        assert_int_equal(event_store_read(store, &arena, &alice, &event.id, &back), 0);
        assert_memory_equal(&back.id, &event.id, sizeof(event.id));
        assert_int_equal(back.version, 1);
        assert_int_equal(back.flags, 2);
        assert_int_equal(back.occurred_at, event.occurred_at);
        assert_int_equal(back.ended_at, event.ended_at);
        assert_int_equal(back.created_at, event.created_at);
        assert_true(cm_str_equal(back.zone, event.zone));
        assert_non_null(strstr(back.event_data.data, "71.2345678901234"));
        assert_null(back.reason.data);
        assert_int_equal(event_store_read(store, &arena, &bob, &event.id, &back), EVENT_NOT_FOUND);
        assert_int_equal(number("SELECT count(*) FROM outbox WHERE event_count = 1"), 1);
        assert_int_equal(number("SELECT (split_part(split_part(payload, E'\\n', 1), E'\\t', "
                                "8)::jsonb->>'count')::int8 "
                                "FROM outbox"),
                         1);
}

static void keys(void *arg CM_UNUSED)
{
        struct recorded_event first = event_of(&alice, 1), again = event_of(&alice, 1),
                              other = event_of(&alice, 2), of_bob = event_of(&bob, 1);

        first.key = again.key = other.key = of_bob.key = CM_STR("key-1");
        first.body = again.body = of_bob.body = CM_STR("body");
        other.body = CM_STR("another");
        append(&first);
        assert_int_equal(event_store_append(store, &arena, &again), EVENT_STORED_BEFORE);
        assert_memory_equal(&again.id, &first.id, sizeof(first.id));
        assert_int_equal(event_store_append(store, &arena, &other), EVENT_KEY_REUSED);
        append(&of_bob);
        assert_int_equal(list_of(&alice, false).count, 1);
        assert_int_equal(number("SELECT sum(event_count) FROM outbox"), 2);
}

enum { RACERS = 64 };
static struct recorded_event racing[RACERS];
static int results[RACERS];

static void race(void *arg)
{
        struct recorded_event *event = arg;

        results[event - racing] = event_store_append(store, &arena, event);
}

static void one_key_raced(void *arg CM_UNUSED)
{
        struct cm_group group;
        int fresh = 0;

        cm_group_init(&group);
        for (int i = 0; i < RACERS; i++) {
                racing[i] = event_of(&alice, i);
                racing[i].key = CM_STR("raced");
                racing[i].body = CM_STR("body");
                assert_int_equal(cm_group_start(&group, "racer", race, &racing[i]), 0);
        }
        assert_int_equal(cm_group_join(&group), 0);
        for (int i = 0; i < RACERS; i++) {
                fresh += results[i] == 0;
                assert_true(results[i] == 0 || results[i] == EVENT_STORED_BEFORE);
                assert_memory_equal(&racing[i].id, &racing[0].id, sizeof(racing[0].id));
        }
        assert_int_equal(fresh, 1);
        assert_int_equal(list_of(&alice, true).count, 1);
        assert_int_equal(number("SELECT sum(event_count) FROM outbox"), 1);
}

static void versions(void *arg CM_UNUSED)
{
        struct recorded_event event = event_of(&alice, 10), amended, late, gone;
        struct event_list list;

        append(&event);
        amended = event;
        amended.version = 2;
        amended.status = HEALTH_EVENT_STATUS_AMENDED;
        amended.occurred_at = 20 * CM_MINUTE;
        amended.reason = CM_STR("typing error");
        late = amended;
        assert_int_equal(event_store_append_version(store, &arena, &amended), 0);
        assert_int_equal(event_store_append_version(store, &arena, &late), EVENT_VERSION_TAKEN);

        list = list_of(&alice, false);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0].version, 2);
        assert_int_equal(list.items[0].occurred_at, 20 * CM_MINUTE);

        gone = amended;
        gone.version = 3;
        gone.status = HEALTH_EVENT_STATUS_ENTERED_IN_ERROR;
        assert_int_equal(event_store_append_version(store, &arena, &gone), 0);
        assert_int_equal(list_of(&alice, false).count, 0);
        assert_int_equal(list_of(&alice, true).count, 1);
        assert_int_equal(
                event_store_history(store, &arena, &alice, &event.id, INT16_MAX, 10, &list), 0);
        assert_int_equal(list.count, 3);
        assert_int_equal(list.items[0].version, 3);
        assert_true(cm_str_equal(list.items[1].reason, CM_STR("typing error")));
        assert_int_equal(event_store_history(store, &arena, &bob, &event.id, INT16_MAX, 10, &list),
                         0);
        assert_int_equal(list.count, 0);
}

/* Pages that are read while events arrive hold each event that was there exactly once. */
static void pages_while_events_arrive(void *arg CM_UNUSED)
{
        struct event_query query = {
                .user = alice, .from = EVENT_EARLIEST, .before = EVENT_LATEST, .limit = 7
        };
        struct event_list list;
        size_t seen = 0;

        for (int i = 0; i < 50; i++) {
                struct recorded_event event = event_of(&alice, i / 2); /* two at the same instant */

                append(&event);
        }
        do {
                struct recorded_event newer = event_of(&alice, 1000);

                assert_int_equal(event_store_list(store, &arena, &query, &list), 0);
                for (size_t i = 0; i < list.count; i++) {
                        assert_true(list.items[i].occurred_at <= query.before);
                        seen++;
                }
                query.before = list.items[list.count - 1].occurred_at;
                query.before_id = list.items[list.count - 1].id;
                append(&newer);
        } while (list.count == 7);
        assert_int_equal(seen, 50);
}

static void filters(void *arg CM_UNUSED)
{
        struct event_query query = { .user = alice,
                                     .event_type = HEALTH_EVENT_TYPE_MOOD,
                                     .from = 5 * CM_MINUTE,
                                     .before = 15 * CM_MINUTE,
                                     .limit = 100 };
        struct event_list list;

        for (int i = 0; i < 20; i++) {
                struct recorded_event event = event_of(&alice, i);

                event.event_type = i % 2 ? HEALTH_EVENT_TYPE_MOOD : HEALTH_EVENT_TYPE_NOTE;
                event.event_subtype = (int16_t)(1 + i % 3);
                append(&event);
        }
        assert_int_equal(event_store_list(store, &arena, &query, &list), 0);
        assert_int_equal(list.count, 5); /* 5, 7, 9, 11, 13 */
        query.event_subtype = 3;
        assert_int_equal(event_store_list(store, &arena, &query, &list), 0);
        assert_int_equal(list.count, 2); /* 5, 11 */
}

static void many(void *arg CM_UNUSED)
{
        struct recorded_event events[6];
        int outcomes[6];

        for (int i = 0; i < 6; i++)
                events[i] = event_of(&alice, i);
        for (int i = 0; i < 3; i++) {
                events[i].key = CM_STR("same");
                events[i].body = i == 2 ? CM_STR("other") : CM_STR("body");
        }
        events[5].event_type = HEALTH_EVENT_TYPE_MEDICATION;
        events[5].event_subtype = MEDICATION_SUBTYPE_SCHEDULED;
        events[5].event_data = CM_STR("{\"status\":\"taken\",\"name\":\"x\",\"time\":\"08:30\"}");
        assert_int_equal(event_store_append_many(store, &arena, events, 6, outcomes), 0);
        assert_int_equal(outcomes[0], 0);
        assert_int_equal(outcomes[1], EVENT_STORED_BEFORE);
        assert_memory_equal(&events[1].id, &events[0].id, sizeof(events[0].id));
        assert_int_equal(outcomes[2], EVENT_KEY_REUSED);
        assert_int_equal(outcomes[3], 0);
        assert_int_equal(list_of(&alice, false).count, 4);
        assert_int_equal(number("SELECT count(*) FROM outbox WHERE event_count = 2"), 1);
        assert_int_equal(number("SELECT (split_part(split_part(payload, E'\\n', 1), E'\\t', "
                                "8)::jsonb->>'count')::int8 "
                                "FROM outbox"),
                         4);
        assert_int_equal(number("SELECT count(*) FROM outbox WHERE split_part(split_part(payload, "
                                "E'\\n', 2), E'\\t', 8)::jsonb->>'time' = '08:30'"),
                         1);
}

static struct import_counts import(const struct imported_event *rows, size_t count, bool all_new)
{
        const struct cm_pg_scope scope = { &alice, 1, NULL };
        struct import_counts counts;
        struct cm_pg_tx *tx = NULL;

        assert_int_equal(cm_pg_begin(pg, &scope, &tx), 0);
        assert_int_equal(event_store_import(tx, &alice, rows, count, all_new, &counts), 0);
        assert_int_equal(cm_pg_commit(&tx), 0);
        return counts;
}

/* Taken to be new, and one is not: nothing of them is stored. */
static void refuse_known(const struct imported_event *rows, size_t count)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        const struct cm_pg_scope scope = { &alice, 1, NULL };
        struct imported_event mixed[301];
        struct import_counts counts;

        memcpy(mixed, rows, count * sizeof(*rows));
        mixed[0].id.bytes[15] = 1;
        assert_int_equal(cm_pg_begin(pg, &scope, &tx), 0);
        assert_int_equal(event_store_import(tx, &alice, mixed, count, true, &counts),
                         CM_PG_DUPLICATE);
}

static void imports_of(bool all_new)
{
        struct imported_event rows[300];
        struct import_counts counts;

        for (int i = 0; i < 300; i++)
                rows[i] = (struct imported_event){
                        .id = { { 1, (uint8_t)i, (uint8_t)(i >> 8) } },
                        .event_type = HEALTH_EVENT_TYPE_VITAL,
                        .event_subtype = VITAL_SUBTYPE_STEPS,
                        .occurred_at = i * CM_DAY,
                        .ended_at = i * CM_DAY + CM_MINUTE,
                        .local_date = i,
                        .zone = CM_STR("UTC"),
                        .source = CM_STR("apple_health:Phone"),
                        .event_data = CM_STR("{\"value\":12,\"unit\":\"{steps}\"}"),
                };
        rows[299] = rows[298]; /* twice among the rows */
        counts = import(rows, 300, all_new);
        assert_int_equal(counts.added, 299);
        assert_int_equal(counts.known, 1);
        assert_int_equal(counts.known_before, 0);
        refuse_known(rows, 300);
        counts = import(rows, 300, false);
        assert_int_equal(counts.added, 0);
        assert_int_equal(counts.known, 300);
        assert_int_equal(counts.known_before, 299);
        assert_int_equal(number("SELECT count(*) FROM health_events"), 299);
        assert_int_equal(number("SELECT count(*) FROM outbox"), 1);
        assert_int_equal(number("SELECT (split_part(split_part(payload, E'\\n', 1), E'\\t', "
                                "8)::jsonb->>'count')::int8 "
                                "FROM outbox"),
                         299);
        assert_int_equal(number("SELECT count(*) FROM outbox WHERE split_part(payload, E'\\t', "
                                "8)::jsonb->>'to_date' "
                                "= '1970-10-26'"),
                         1);
}

static void imports(void *arg CM_UNUSED)
{
        imports_of(false);
}

static void imports_taken_to_be_new(void *arg CM_UNUSED)
{
        imports_of(true);
}

static void days_and_latest(void *arg CM_UNUSED)
{
        struct recorded_event steps = event_of(&alice, 1), weight = event_of(&alice, 2),
                              older = event_of(&alice, 0), other_day = event_of(&alice, 3),
                              late = event_of(&alice, 4);
        struct event_list list;

        steps.event_subtype = VITAL_SUBTYPE_STEPS;
        other_day.local_date = 1;
        other_day.event_type = HEALTH_EVENT_TYPE_MOOD;
        late.status = HEALTH_EVENT_STATUS_ENTERED_IN_ERROR;
        append(&steps);
        append(&weight);
        append(&older);
        append(&other_day);
        append(&late);
        late.version = 2;
        assert_int_equal(event_store_append_version(store, &arena, &late), 0);
        assert_int_equal(event_store_days(store, &arena, &alice, 0, 0, &list), 0);
        assert_int_equal(list.count, 3);
        assert_memory_equal(&list.items[0].id, &older.id, sizeof(older.id));
        assert_int_equal(event_store_latest_vitals(store, &arena, &alice, &list), 0);
        assert_int_equal(list.count, 2);
        for (size_t i = 0; i < 2; i++)
                assert_true(cm_uuid_equal(&list.items[i].id, &weight.id) ||
                            cm_uuid_equal(&list.items[i].id, &steps.id));
}

/* ---- plans */

static int list_quickly(int16_t event_type)
{
        const struct event_query query = { .user = alice,
                                           .event_type = event_type,
                                           .from = EVENT_EARLIEST,
                                           .before = EVENT_LATEST,
                                           .limit = 201 };
        struct event_list list;
        int r = event_store_list(store, &arena, &query, &list);

        return r ? r : (int)list.count;
}

/* Everything that reads many rows; none reads them all, so a few seconds are for a busy machine. */
static void reads_are_quick(int at_least)
{
        cm_date today = (cm_date)(cm_now(&cm_clock_system) / CM_DAY);
        struct event_list list;

        (void)cm_fiber_set_deadline(cm_monotonic_us() + 3 * CM_SECOND);
        assert_true(list_quickly(0) >= at_least);
        assert_true(list_quickly(HEALTH_EVENT_TYPE_VITAL) >= at_least);
        assert_int_equal(event_store_latest_vitals(store, &arena, &alice, &list), 0);
        assert_int_equal(event_store_days(store, &arena, &alice, today - 2, today - 1, &list), 0);
        (void)cm_fiber_set_deadline(CM_NEVER);
        cm_arena_reset(&arena);
}

/* As often as it takes until the server has made a plan for all parameters and keeps it. */
static void plan_now(int at_least)
{
        for (int i = 0; i < 7; i++)
                reads_are_quick(at_least);
}

static const char twenty_thousand[] =
        "INSERT INTO health_events (user_id, id, version, event_type, event_subtype, status,"
        " occurred_at, zone, local_date, created_at, source, event_data)"
        " SELECT '0a000000-0000-0000-0000-000000000000', gen_random_uuid(), 1, 5, 1 + n % 30, 1,"
        " now() - n * interval '1 minute', 'UTC', (now() - n * interval '1 minute')::date, now(),"
        " 'watch', '{}' FROM generate_series(1, 20000) AS n";
static const char three_thousand_corrections[] =
        "INSERT INTO health_events (user_id, id, version, event_type, event_subtype, status,"
        " occurred_at, zone, local_date, created_at, source, event_data)"
        " SELECT user_id, id, 2, event_type, event_subtype, 2, occurred_at, zone, local_date, "
        "now(),"
        " source, event_data FROM health_events ORDER BY occurred_at DESC LIMIT 3000";

/* What the server believed of the table when it made its plans is long wrong when it is asked: it
 * looks at tables once a minute, or when it comes to it. */
static void plans_hold_when_a_table_grows(void *arg CM_UNUSED)
{
        execute("TRUNCATE health_events");
        execute("ANALYZE health_events");
        plan_now(0);
        execute(twenty_thousand);
        reads_are_quick(201);
        execute(three_thousand_corrections);
        reads_are_quick(201);
        execute("ANALYZE health_events");
        plan_now(201);
        execute("TRUNCATE health_events");
}

static void swallow(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                    void *arg CM_UNUSED)
{
}

static void nobody_changes_the_log(void *arg CM_UNUSED)
{
        static const struct cm_pg_statement update = {
                .name = "u", .sql = "UPDATE health_events SET version = 9"
        };
        static const struct cm_pg_statement removal = { .name = "d",
                                                        .sql = "DELETE FROM health_events" };
        const struct cm_pg_scope scope = { &alice, 1, NULL };
        struct recorded_event event = event_of(&alice, 1);

        append(&event);
        cm_log_set_hook(swallow, NULL);
        assert_int_not_equal(cm_pg_query(pg, &scope, &update, NULL, NULL), 0);
        assert_int_not_equal(cm_pg_query(pg, &scope, &removal, NULL, NULL), 0);
        cm_log_set_hook(NULL, NULL);
}

static void clean(void *arg CM_UNUSED)
{
        execute("TRUNCATE health_events, outbox");
        cm_arena_reset(&arena);
}

#define TEST(name)                                                                                 \
        static void test_##name(void **state CM_UNUSED)                                            \
        {                                                                                          \
                run(clean);                                                                        \
                run(name);                                                                         \
        }
TEST(what_is_stored_comes_back)
TEST(keys)
TEST(one_key_raced)
TEST(versions)
TEST(pages_while_events_arrive)
TEST(filters)
TEST(many)
TEST(imports)
TEST(imports_taken_to_be_new)
TEST(days_and_latest)
TEST(plans_hold_when_a_table_grows)
TEST(nobody_changes_the_log)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_stored_comes_back),
                cmocka_unit_test(test_keys),
                cmocka_unit_test(test_one_key_raced),
                cmocka_unit_test(test_versions),
                cmocka_unit_test(test_pages_while_events_arrive),
                cmocka_unit_test(test_filters),
                cmocka_unit_test(test_many),
                cmocka_unit_test(test_imports),
                cmocka_unit_test(test_imports_taken_to_be_new),
                cmocka_unit_test(test_days_and_latest),
                cmocka_unit_test(test_plans_hold_when_a_table_grows),
                cmocka_unit_test(test_nobody_changes_the_log),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
