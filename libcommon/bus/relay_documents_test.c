#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <poll.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/outbox_document.h"
#include "bus/relay.h"
#include "schemas.h"
#include "store/test_mongo.h"
#include "store/test_redis.h"
#include "sys/log.h"

/*
 * The relay of documents against a real Redis and a real server of documents. A thing is an
 * `outbox_group` in a collection of the test's own: an id and a number, which each change counts
 * up; its event says what the number is now.
 */
#define STREAM CM_STR("s1:events:things")

static const struct cm_collection things = { .name = "things", .schema = &outbox_group_schema };
static const struct cm_collection records = { .name = "events", .schema = &published_event_schema };
static const struct cm_collection waiting = { "things", &waiting_document_schema, true };
static const char *const collections[] = { "things", NULL };

static struct test_mongo server;
static struct test_redis bus;

static struct {
        struct cm_loop *loop;
        struct cm_mongo *mongo;
        struct cm_redis *redis;
        struct cm_relay *relay;
        struct cm_arena arena;
} here;

static void open_here(void)
{
        const struct cm_redis_config redis = { .url = bus.url };

        here.loop = test_loop_new();
        here.mongo = test_mongo_connect(&server);
        cm_arena_init(&here.arena, 65536);
        assert_int_equal(cm_redis_new(here.loop, &redis, &here.redis), 0);
}

static void close_here(void)
{
        cm_redis_free(&here.redis);
        cm_mongo_free(&here.mongo);
        cm_arena_deinit(&here.arena);
        test_loop_free(&here.loop);
}

static void start_relay(void)
{
        const struct cm_relay_config config = { .service = "things",
                                                .outbox = &cm_outbox_documents,
                                                .mongo = here.mongo,
                                                .collections = collections,
                                                .lease_us = 1500 * CM_MILLISECOND,
                                                .redis = here.redis };

        assert_int_equal(cm_relay_start(here.loop, &config, &here.relay), 0);
}

/* ---- things */

static struct cm_event event_of(int64_t number, struct cm_str id)
{
        cm_time now = cm_now(&cm_clock_system);

        return (struct cm_event){
                .id = cm_uuid7(now),
                .source = CM_STR("/salus/things"),
                .type = CM_STR("thing.changed.v1"),
                .time = now,
                .subject = { { 1 } },
                .data = cm_arena_printf(&here.arena, "{\"thing\":\"%.*s\",\"number\":%" PRId64 "}",
                                        CM_STR_ARG(id), number)
        };
}

static int make_thing(const char *name)
{
        struct outbox_group thing = { .id = cm_str_from(name) };
        struct cm_event event = event_of(0, thing.id);
        struct cm_attachment outbox = cm_outbox_attach(&here.arena, &event, 1);

        return cm_mongo_insert(here.mongo, &things, thing.id, &thing, &outbox);
}

/* Counts from `number` to the next. */
static int change_thing(const char *name, int64_t number)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct cm_str id = cm_str_from(name);
        struct cm_event event = event_of(number + 1, id);

        CM_FILTER_IS(&filter, outbox_group, id, &id);
        CM_FILTER_IS(&filter, outbox_group, position, &number);
        CM_UPDATE_INC(&update, outbox_group, position, 1);
        cm_outbox_push(&update, &here.arena, &event, 1);
        return cm_mongo_update(here.mongo, &things, id, &filter, &update, CM_MONGO_UPDATE);
}

static int64_t number_of(const char *name)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str id = cm_str_from(name);
        struct outbox_group thing;
        int r;

        CM_FILTER_IS(&filter, outbox_group, id, &id);
        r = cm_mongo_find(here.mongo, &things, id, &filter, &here.arena, &thing);
        if (r == CM_MONGO_NO_MATCH)
                return -1;
        assert_int_equal(r, 0);
        return thing.position;
}

static void wake(const char *name)
{
        cm_relay_wake_document(here.relay, "things", cm_str_from(name));
}

/* ---- what became of it */

static int64_t stream_length(void)
{
        struct cm_redis_reply reply;

        cm_log_flush();
        while (cm_redis_call(here.redis, &here.arena, &reply, CM_STR("XLEN"), STREAM, CM_STR_NONE))
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        return reply.integer;
}

static void await_stream(int64_t length)
{
        while (stream_length() < length)
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        assert_int_equal(stream_length(), length);
}

static int64_t number_in(const struct cm_redis_reply *entry, const char *name)
{
        const struct cm_redis_reply *fields = &entry->items[1];

        for (size_t i = 0; i + 1 < fields->count; i += 2) {
                struct cm_str data = fields->items[i + 1].text;
                struct cm_str head =
                        cm_arena_printf(&here.arena, "{\"thing\":\"%s\",\"number\":", name);
                int64_t number;

                if (!cm_str_equal(fields->items[i].text, CM_STR("data")) ||
                    !cm_str_starts(data, head))
                        continue;
                data.data += head.len;
                data.len -= head.len + 1;
                assert_true(cm_str_to_int(data, &number));
                return number;
        }
        return -1;
}

/* The stream has positions without a gap, and of each thing all numbers once, in order. */
static void check_stream(const char *const *names, size_t count)
{
        struct cm_redis_reply entries;
        int64_t next[16] = { 0 };

        assert_int_equal(cm_redis_call(here.redis, &here.arena, &entries, CM_STR("XRANGE"), STREAM,
                                       CM_STR("-"), CM_STR("+"), CM_STR_NONE),
                         0);
        for (size_t i = 0; i < entries.count; i++) {
                struct cm_str id = cm_arena_printf(&here.arena, "%zu-0", i + 1);

                assert_true(cm_str_equal(entries.items[i].items[0].text, id));
                for (size_t n = 0; n < count; n++) {
                        int64_t number = number_in(&entries.items[i], names[n]);

                        if (number >= 0)
                                assert_int_equal(number, next[n]++);
                }
        }
        for (size_t n = 0; n < count; n++)
                assert_int_equal(next[n], number_of(names[n]) + 1);
}

static void check_nothing_waits(void)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        int64_t count = 1;

        cm_filter_exists(&filter, CM_FIELD(outbox_part, pending), true);
        while (count) {
                assert_int_equal(cm_mongo_count(here.mongo, &waiting, CM_STR("x"), &filter, &count),
                                 0);
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        }
}

static void command(const char *first, const char *second)
{
        struct cm_redis_reply reply;

        assert_int_equal(cm_redis_call(here.redis, &here.arena, &reply, cm_str_from(first),
                                       cm_str_from(second), CM_STR_NONE),
                         0);
}

/* ---- tests */

static const char *const three[] = { "a", "b", "c" };

static void events_get_positions_and_leave_their_documents(void)
{
        test_mongo_await(here.mongo, true);
        assert_int_equal(make_thing("a"), 0); /* before there is a relay */
        start_relay();
        await_stream(1);
        assert_int_equal(make_thing("b"), 0);
        wake("b");
        await_stream(2);
        assert_int_equal(make_thing("c"), 0);
        for (int64_t i = 0; i < 20; i++) {
                assert_int_equal(change_thing("b", i), 0);
                assert_int_equal(change_thing("c", i), 0);
                wake("c");
                if (i % 3 == 0)
                        wake("b");
        }
        wake("b");
        await_stream(43);
        check_stream(three, 3);
        check_nothing_waits();
        cm_relay_stop(&here.relay);
}

static void a_stream_that_was_lost_is_sent_again(void)
{
        test_mongo_await(here.mongo, true);
        start_relay();
        await_stream(43);
        command("FLUSHALL", "SYNC");
        await_stream(43);
        check_stream(three, 3);
        assert_int_equal(change_thing("a", 0), 0);
        wake("a");
        await_stream(44);
        check_stream(three, 3);
        cm_relay_stop(&here.relay);
}

static void a_group_that_misses_events_gets_them(void)
{
        struct cm_redis_reply reply;

        test_mongo_await(here.mongo, true);
        start_relay();
        assert_int_equal(cm_redis_call(here.redis, &here.arena, &reply, CM_STR("HSET"),
                                       CM_STR("s1:missing:things"), CM_STR("reader"), CM_STR("3-7"),
                                       CM_STR_NONE),
                         0);
        do {
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
                assert_int_equal(cm_redis_call(here.redis, &here.arena, &reply, CM_STR("XLEN"),
                                               CM_STR("s1:redelivery:reader"), CM_STR_NONE),
                                 0);
        } while (reply.integer < 5);
        assert_int_equal(reply.integer, 5);
        cm_relay_stop(&here.relay);
}

/* A restored backup: the stream knows positions that nobody has recorded. */
static void a_stream_that_is_ahead_is_gone_above(void)
{
        struct cm_redis_reply reply;
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        int64_t last = 51, count;

        test_mongo_await(here.mongo, true);
        assert_int_equal(cm_redis_call(here.redis, &here.arena, &reply, CM_STR("XADD"), STREAM,
                                       CM_STR("50-0"), CM_STR("data"), CM_STR("{}"), CM_STR_NONE),
                         0);
        start_relay();
        assert_int_equal(change_thing("a", 1), 0);
        wake("a");
        await_stream(46);
        CM_FILTER_IS(&filter, published_event, id, &last);
        assert_int_equal(cm_mongo_count(here.mongo, &records, CM_STR("x"), &filter, &count), 0);
        assert_int_equal(count, 1);
        cm_relay_stop(&here.relay);
}

/* ---- processes that are killed */

/* In the child: changes things for ever, each acknowledged change is a byte of the pipe. */
static int acknowledged_fd;
static const char *const crowd[] = { "d", "e", "f", "g" };

static void change_for_ever(void *arg)
{
        const char *name = arg;
        int64_t number = number_of(name);

        if (number < 0) {
                assert_int_equal(make_thing(name), 0);
                number = 0;
        }
        for (;; number++) {
                assert_int_equal(change_thing(name, number), 0);
                wake(name);
                assert_int_equal(write(acknowledged_fd, name, 1), 1);
        }
}

static void life_of_child(void)
{
        struct cm_group group;

        test_mongo_await(here.mongo, true);
        start_relay();
        cm_group_init(&group);
        for (size_t i = 0; i < CM_COUNT(crowd); i++)
                assert_int_equal(cm_group_start(&group, "changes", change_for_ever,
                                                (void *)(uintptr_t)crowd[i]),
                                 0);
        (void)cm_group_join(&group);
}

struct child {
        pid_t pid;
        int fd;
};

static struct child fork_child(void)
{
        struct child child;
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        child.pid = fork();
        if (child.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(fds[0]);
                acknowledged_fd = fds[1];
                open_here();
                test_run(here.loop, life_of_child);
                _exit(1);
        }
        close(fds[1]);
        child.fd = fds[0];
        return child;
}

static void kill_child(struct child *child)
{
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
}

/* Counts `count` acknowledgements, by thing. */
static void await_changes(const struct child *child, int64_t *changes, int count)
{
        struct pollfd ready = { .fd = child->fd, .events = POLLIN };
        char name;

        for (int i = 0; i < count; i++) {
                assert_int_equal(poll(&ready, 1, 20000), 1);
                assert_int_equal(read(child->fd, &name, 1), 1);
                changes[name - 'd']++;
        }
}

static int64_t changes_seen[CM_COUNT(crowd)];

static int64_t events_of_crowd(void)
{
        int64_t sum = 0;

        for (size_t i = 0; i < CM_COUNT(crowd); i++)
                sum += number_of(crowd[i]) + 1;
        return sum;
}

/* Until the stream has what the documents say. What a killed or stopped process had sent may be
 * written a moment later, so both are looked at again. */
static void await_crowd(int64_t others)
{
        while (stream_length() != events_of_crowd() + others)
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
}

/* All that was acknowledged is there, and each event of it is in the stream, once; `others` are of
 * things beside the crowd. */
static void check_ledger(int64_t others)
{
        int64_t before;

        for (size_t i = 0; i < CM_COUNT(crowd); i++)
                assert_true(number_of(crowd[i]) >= changes_seen[i]);
        do {
                before = events_of_crowd();
                await_crowd(others);
                check_nothing_waits();
                assert_int_equal(cm_fiber_sleep(20 * CM_MILLISECOND), 0);
        } while (events_of_crowd() != before);
        check_stream(crowd, CM_COUNT(crowd));
}

static void nothing_is_lost(void)
{
        test_mongo_await(here.mongo, true);
        start_relay();
        check_ledger(0);
        cm_relay_stop(&here.relay);
}

static void empty_all(void)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter all = { 0 };
        static const struct cm_collection lease = { .name = "relay",
                                                    .schema = &relay_lease_schema };

        test_mongo_await(here.mongo, true);
        assert_int_equal(cm_mongo_delete_all(here.mongo, &things, CM_STR("x"), &all, NULL), 0);
        assert_int_equal(cm_mongo_delete_all(here.mongo, &records, CM_STR("x"), &all, NULL), 0);
        assert_int_equal(cm_mongo_delete_all(here.mongo, &lease, CM_STR("x"), &all, NULL), 0);
        command("FLUSHALL", "SYNC");
        memset(changes_seen, 0, sizeof(changes_seen));
}

static void in_process(void (*fn)(void))
{
        open_here();
        test_run(here.loop, fn);
        close_here();
}

static void test_killed_relays_lose_nothing(void **state CM_UNUSED)
{
        in_process(empty_all);
        for (int round = 0; round < 4; round++) {
                struct child child = fork_child();

                await_changes(&child, changes_seen, 40 + 17 * round);
                kill_child(&child);
                close(child.fd);
        }
        in_process(nothing_is_lost);
}

/* One leads, in another process; what is written here goes to it by hints. */
static struct child second;

static void go_by_hint(void)
{
        int64_t before;

        test_mongo_await(here.mongo, true);
        start_relay();
        before = stream_length();
        assert_int_equal(make_thing("a"), 0);
        wake("a");
        while (stream_length() == before || number_of("a") < 0)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static void is_taken_over(void)
{
        go_by_hint();
        kill_child(&second);
        check_ledger(1); /* the lease ends; what was left is found */
        cm_relay_stop(&here.relay);
}

/* It wakes up with the belief that it leads still. */
static void the_old_one_is_fenced(void)
{
        go_by_hint();
        kill(second.pid, SIGSTOP);
        assert_int_equal(waitpid(second.pid, NULL, WUNTRACED), second.pid);
        await_crowd(1); /* ours leads now */
        kill(second.pid, SIGCONT);
        await_changes(&second, changes_seen, 60);
        kill_child(&second);
        check_ledger(1);
        cm_relay_stop(&here.relay);
}

static void beside_another(void (*fn)(void))
{
        in_process(empty_all);
        second = fork_child();
        await_changes(&second, changes_seen, 30);
        in_process(fn);
        close(second.fd);
}

static void test_another_relay_takes_over_from_a_dead_one(void **state CM_UNUSED)
{
        beside_another(is_taken_over);
}

static void test_a_relay_that_slept_is_fenced(void **state CM_UNUSED)
{
        beside_another(the_old_one_is_fenced);
}

#define IN_FIBER(name)                                                                             \
        static void test_##name(void **state CM_UNUSED)                                            \
        {                                                                                          \
                in_process(name);                                                                  \
        }
IN_FIBER(events_get_positions_and_leave_their_documents)
IN_FIBER(a_stream_that_was_lost_is_sent_again)
IN_FIBER(a_group_that_misses_events_gets_them)
IN_FIBER(a_stream_that_is_ahead_is_gone_above)

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
                cmocka_unit_test(test_events_get_positions_and_leave_their_documents),
                cmocka_unit_test(test_a_stream_that_was_lost_is_sent_again),
                cmocka_unit_test(test_a_group_that_misses_events_gets_them),
                cmocka_unit_test(test_a_stream_that_is_ahead_is_gone_above),
                cmocka_unit_test(test_killed_relays_lose_nothing),
                cmocka_unit_test(test_another_relay_takes_over_from_a_dead_one),
                cmocka_unit_test(test_a_relay_that_slept_is_fenced),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
