#include "bus/event_log.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/error.h"
#include "bus/event_log_internal.h"
#include "keys.h"
#include "schemas.h"
#include "store/test_redis.h"

/* Two workers of one service, here in one loop: they share nothing but Redis. */
static struct test_redis server;
static struct cm_loop *loop;
static struct cm_redis *redis_a, *redis_b;
static struct cm_event_logs *a, *b;

#define LEASE_US (400 * CM_MILLISECOND)
#define AWHILE   (10 * CM_SECOND)

static const struct cm_event_type delta = { "delta", &stream_error_schema };
static const struct cm_event_type done = { "done", &stream_error_schema, true };

static struct cm_event_logs *logs_new(struct cm_redis *redis)
{
        const struct cm_event_logs_config config = { .redis = redis,
                                                     .redis_url = server.url,
                                                     .service = "chat",
                                                     .lease_us = LEASE_US,
                                                     .max_events = 1000 };
        struct cm_event_logs *logs;

        assert_int_equal(cm_event_logs_new(loop, &config, &logs), 0);
        return logs;
}

static struct cm_redis *redis_new(void)
{
        const struct cm_redis_config config = { .url = server.url,
                                                .connect_timeout_us = CM_SECOND,
                                                .backoff_max_us = 50 * CM_MILLISECOND,
                                                .max_waiting = 1000 };
        struct cm_redis *redis;

        assert_int_equal(cm_redis_new(loop, &config, &redis), 0);
        return redis;
}

static void await_redis(void)
{
        while (!cm_redis_is_ready(redis_a) || !cm_redis_is_ready(redis_b) ||
               !cm_redis_is_ready(a->signals) || !cm_redis_is_ready(b->signals))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static struct cm_uuid new_id(void)
{
        return cm_uuid7(cm_now(&cm_clock_system));
}

static void say(struct cm_event_log *log, const struct cm_event_type *type, int number)
{
        char text[32];
        struct stream_error value = { .code = CM_STR("x") };

        (void)snprintf(text, sizeof(text), "word %d", number);
        value.title = cm_str_from(text);
        assert_int_equal(cm_event_log_append(log, type, &value), 0);
}

/* ---- a reader that writes down what it gets */

struct reader {
        struct cm_event_follower *follower;
        struct cm_bell bell;
        struct cm_buf seen;
        int64_t last_id;
        size_t ends;
};

static int reader_start(struct reader *reader, struct cm_event_logs *logs, const struct cm_uuid *id)
{
        int r = cm_event_follower_new(logs, id, reader->last_id, &reader->follower);

        if (r == 0)
                cm_event_follower_listen(reader->follower, &reader->bell);
        return r;
}

/* Reads up to `id`, or the end. 0 or the outcome that ended it. */
static int reader_read(struct reader *reader, int64_t id)
{
        int64_t until_us = cm_monotonic_us() + AWHILE;
        unsigned reasons;
        int r = 0;

        while (r == 0 && reader->last_id < id && !reader->ends) {
                struct cm_stream_event event;

                r = cm_event_follower_next(reader->follower, &event);
                if (r == CM_EVENT_LOG_NOT_YET) {
                        assert_true(cm_monotonic_us() < until_us);
                        r = cm_bell_wait(&reader->bell, until_us, &reasons);
                        continue;
                }
                if (r)
                        break;
                assert_true(event.id > reader->last_id);
                reader->last_id = event.id;
                cm_buf_printf(&reader->seen, "%lld %.*s %.*s\n", (long long)event.id,
                              CM_STR_ARG(event.type), CM_STR_ARG(event.data));
                reader->ends += cm_stream_event_is_last(event.type);
        }
        return r;
}

static void reader_stop(struct reader *reader)
{
        cm_event_follower_free(&reader->follower);
        reader->bell = (struct cm_bell){ 0 };
}

static void reader_end(struct reader *reader)
{
        reader_stop(reader);
        cm_buf_deinit(&reader->seen);
}

/* ---- stories */

static void story_local(void)
{
        struct cm_uuid id = new_id();
        struct cm_event_log *log, *again;
        struct cm_event_follower *follower;
        struct reader reader = { 0 };
        struct cm_stream_event event;

        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        assert_int_equal(cm_event_log_open(a, &id, &again), -CM_E_OVERLOAD);
        assert_int_equal(reader_start(&reader, a, &id), 0);
        assert_int_equal(cm_event_follower_next(reader.follower, &event), CM_EVENT_LOG_NOT_YET);
        say(log, &delta, 1);
        /* At once, with no turn of the loop between. */
        assert_int_equal(cm_event_follower_next(reader.follower, &event), 0);
        assert_int_equal(event.id, 1);
        assert_true(cm_str_equal(event.data, CM_STR("{\"code\":\"x\",\"title\":\"word 1\"}")));
        say(log, &done, 2);
        /* The end is shown once Redis has it: it is the same for all. */
        assert_int_equal(cm_event_follower_next(reader.follower, &event), CM_EVENT_LOG_NOT_YET);
        reader.last_id = 1;
        assert_int_equal(reader_read(&reader, 2), 0);
        assert_non_null(strstr(reader.seen.data, "2 done"));
        assert_int_equal(cm_event_follower_next(reader.follower, &event), CM_EVENT_LOG_NONE);
        assert_int_equal(cm_event_follower_new(a, &id, 2, &follower), 0);
        assert_true(cm_event_follower_is_behind_end(follower));
        cm_event_follower_free(&follower);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);
        reader_end(&reader);
        assert_int_equal(cm_map_count(a->by_id), 0);
}

/* Cut at each place, gone on with at the other worker or the same: always the same bytes. */
static void story_resume(void)
{
        struct cm_uuid id = new_id();
        struct reader whole = { 0 };
        struct cm_event_log *log;

        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        for (int i = 1; i < 300; i++)
                say(log, &delta, i);
        say(log, &done, 300);
        assert_int_equal(reader_start(&whole, a, &id), 0);
        assert_int_equal(reader_read(&whole, 300), 0);
        assert_int_equal(cm_event_logs_flush(a), 0);
        for (int cut = 0; cut <= 300; cut += 25) {
                struct reader reader = { 0 };

                assert_int_equal(reader_start(&reader, b, &id), 0);
                assert_int_equal(reader_read(&reader, cut), 0);
                reader_stop(&reader);
                assert_int_equal(reader_start(&reader, cut % 2 ? a : b, &id), 0);
                assert_int_equal(reader_read(&reader, 300), 0);
                assert_string_equal(reader.seen.data, whole.seen.data);
                reader_end(&reader);
        }
        reader_end(&whole);
        cm_event_log_close(&log);
        assert_int_equal(cm_map_count(a->by_id), 0);
}

static void story_news_reach_the_other_worker(void)
{
        struct cm_uuid id = new_id();
        struct reader reader = { 0 };
        struct cm_event_log *log;
        int64_t slowest_us = 0;

        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        assert_int_equal(cm_event_logs_flush(a), 0);
        say(log, &delta, 1);
        assert_int_equal(reader_start(&reader, b, &id), 0);
        assert_int_equal(reader_read(&reader, 1), 0);
        for (int i = 2; i < 50; i++) {
                int64_t said_us = cm_monotonic_us();

                say(log, &delta, i);
                assert_int_equal(reader_read(&reader, i), 0);
                if (cm_monotonic_us() - said_us > slowest_us)
                        slowest_us = cm_monotonic_us() - said_us;
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        }
        assert_true(slowest_us < POLL_US); /* told, not found by looking */
        cm_event_log_close(&log);
        assert_int_equal(reader_read(&reader, INT64_MAX), 0);
        assert_non_null(strstr(reader.seen.data, "50 error {\"code\":\"interrupted\""));
        assert_int_equal(cm_event_logs_flush(a), 0);
        reader_end(&reader);
}

static void note_stop(void *arg)
{
        *(int64_t *)arg = cm_monotonic_us();
}

static void story_stop(void)
{
        struct cm_uuid id = new_id(), other = new_id();
        const struct stream_error value = { .code = CM_STR("x"), .title = CM_STR("y") };
        struct cm_event_log *log;
        int64_t asked_us, stopped_us = 0;

        assert_int_equal(cm_event_log_stop(b, &other), CM_EVENT_LOG_NONE);
        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        assert_int_equal(cm_event_logs_flush(a), 0);
        cm_event_log_on_stop(log, note_stop, &stopped_us);
        asked_us = cm_monotonic_us();
        assert_int_equal(cm_event_log_stop(b, &id), 0);
        while (!stopped_us)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        assert_true(stopped_us - asked_us < LEASE_US / 4);
        assert_int_equal(cm_event_log_append(log, &delta, &value), CM_EVENT_LOG_STOPPED);
        say(log, &done, 1);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);

        /* Without a signal it is found with the lease. */
        id = new_id();
        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        assert_int_equal(cm_event_logs_flush(a), 0);
        {
                struct cm_arena arena;
                struct cm_redis_reply reply;

                cm_arena_init(&arena, 256);
                assert_int_equal(cm_redis_call(redis_b, &arena, &reply, CM_STR("SET"),
                                               key_event_log_stop(&arena, CM_STR("chat"), &id),
                                               CM_STR("1"), CM_STR_NONE),
                                 0);
                cm_arena_deinit(&arena);
        }
        while (!cm_event_log_is_stopped(log))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);
}

static void check_ends(const struct cm_uuid *id, int64_t expected)
{
        struct reader reader = { 0 };

        assert_int_equal(reader_start(&reader, b, id), 0);
        assert_int_equal(reader_read(&reader, INT64_MAX), 0);
        assert_int_equal(reader.ends, 1);
        assert_int_equal(reader.last_id, expected);
        reader_end(&reader);
}

/* The producer falls silent, comes back, and finds that others have ended its log. */
static void story_producer_dies(bool says_end_late)
{
        struct cm_uuid id = new_id();
        const struct stream_error value = { .code = CM_STR("x"), .title = CM_STR("y") };
        struct reader first = { 0 }, second = { 0 }, here = { 0 };
        struct cm_event_log *log;
        int64_t silent_us;

        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        say(log, &delta, 1);
        say(log, &delta, 2);
        assert_int_equal(cm_event_logs_flush(a), 0);
        a->ending = true; /* nothing more reaches Redis */
        silent_us = cm_monotonic_us();
        say(log, &delta, 3);
        assert_int_equal(reader_start(&here, a, &id), 0);
        assert_int_equal(reader_read(&here, 3), 0);
        assert_int_equal(reader_start(&first, b, &id), 0);
        second.last_id = 3; /* has seen more than there is in Redis */
        assert_int_equal(reader_start(&second, b, &id), 0);
        assert_int_equal(reader_read(&first, INT64_MAX), 0);
        assert_int_equal(reader_read(&second, INT64_MAX), 0);
        assert_true(cm_monotonic_us() - silent_us >= LEASE_US);
        assert_int_equal(first.ends + second.ends, 2);
        assert_int_equal(first.last_id, CM_STREAM_INTERRUPTED_ID);
        assert_non_null(strstr(first.seen.data, "2 delta"));
        assert_null(strstr(first.seen.data, "3 delta"));
        check_ends(&id, CM_STREAM_INTERRUPTED_ID);

        a->ending = false;
        if (says_end_late)
                say(log, &done, 4); /* must not be seen by the one who reads here */
        assert_int_equal(reader_read(&here, INT64_MAX), 0);
        assert_int_equal(here.last_id, CM_STREAM_INTERRUPTED_ID);
        assert_null(strstr(here.seen.data, "done"));
        assert_int_equal(cm_event_log_append(log, &delta, &value), CM_EVENT_LOG_LOST);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);
        check_ends(&id, CM_STREAM_INTERRUPTED_ID);
        reader_end(&first);
        reader_end(&second);
        reader_end(&here);
        assert_int_equal(cm_map_count(a->by_id), 0);
}

static void story_producer_dies_plainly(void)
{
        story_producer_dies(false);
}

static void story_producer_dies_and_says_the_end(void)
{
        story_producer_dies(true);
}

static void story_redis_goes_and_comes_back_empty(void)
{
        struct cm_uuid id = new_id(), unknown = new_id();
        struct reader here = { 0 }, there = { 0 };
        struct cm_event_log *log;
        struct cm_event_follower *follower;

        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        say(log, &delta, 1);
        assert_int_equal(cm_event_logs_flush(a), 0);
        assert_int_equal(reader_start(&here, a, &id), 0);
        assert_int_equal(reader_start(&there, b, &id), 0);
        assert_int_equal(reader_read(&there, 1), 0);

        test_redis_kill(&server);
        while (cm_redis_is_ready(redis_a) || cm_redis_is_ready(redis_b))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        for (int i = 2; i <= 20; i++)
                say(log, &delta, i);
        assert_int_equal(reader_read(&here, 20), 0);
        assert_int_equal(cm_event_follower_new(b, &id, 0, &follower), -CM_E_UNAVAILABLE);
        assert_null(follower);

        test_redis_boot(&server);
        assert_int_equal(reader_read(&there, 20), 0);
        say(log, &done, 21);
        assert_int_equal(reader_read(&here, 21), 0);
        assert_int_equal(reader_read(&there, 21), 0);
        assert_string_equal(here.seen.data, there.seen.data);
        assert_int_equal(cm_event_follower_new(b, &unknown, 0, &follower), CM_EVENT_LOG_NONE);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);
        reader_end(&here);
        reader_end(&there);
}

static void story_ids_that_never_were(void)
{
        struct cm_uuid id = new_id();
        struct reader here = { .last_id = 500 }, there = { .last_id = 500 };
        struct cm_event_log *log;

        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        say(log, &delta, 1);
        assert_int_equal(cm_event_logs_flush(a), 0);
        assert_int_equal(reader_start(&here, a, &id), 0);
        assert_int_equal(reader_start(&there, b, &id), 0);
        say(log, &done, 2);
        assert_int_equal(reader_read(&here, INT64_MAX), CM_EVENT_LOG_NONE);
        assert_int_equal(reader_read(&there, INT64_MAX), CM_EVENT_LOG_NONE);
        assert_int_equal(here.seen.len + there.seen.len, 0);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);
        reader_end(&here);
        reader_end(&there);
}

static void story_limits(void)
{
        struct cm_uuid id = new_id();
        const struct stream_error value = { .code = CM_STR("x"), .title = CM_STR("y") };
        struct cm_event_log *log;

        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        for (int i = 1; i <= 1000; i++)
                say(log, &delta, i);
        assert_int_equal(cm_event_log_append(log, &delta, &value), -CM_E_TOO_LARGE);
        say(log, &done, 1001);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);
        check_ends(&id, 1001);
}

/* Another worker must not make a reply that one has made or makes. */
static void story_one_producer(void)
{
        struct cm_uuid id = new_id();
        const struct stream_error value = { .code = CM_STR("x"), .title = CM_STR("y") };
        struct cm_event_log *log, *other;

        assert_int_equal(cm_event_log_open(a, &id, &log), 0);
        say(log, &delta, 1);
        assert_int_equal(cm_event_logs_flush(a), 0);
        assert_int_equal(cm_event_log_open(b, &id, &other), 0);
        assert_int_equal(cm_event_logs_flush(b), 0);
        while (!other->lost)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        assert_int_equal(cm_event_log_append(other, &delta, &value), CM_EVENT_LOG_LOST);
        cm_event_log_close(&other);
        say(log, &done, 2);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);
        check_ends(&id, 2);
}

static int claim(struct cm_event_logs *logs, const struct cm_uuid *id, struct cm_event_log **log)
{
        const struct stream_error value = { .code = CM_STR("x"), .title = CM_STR("word 1") };

        return cm_event_log_claim(logs, id, &delta, &value, log);
}

/* Of two who claim a log that nobody has begun, one makes it; what it says is whole. */
static void story_claim(void)
{
        struct cm_uuid id = new_id();
        struct cm_event_log *log, *other;
        bool begun = true;

        assert_int_equal(cm_event_log_are_begun(a, &id, 1, &begun), 0);
        assert_false(begun);
        assert_int_equal(claim(a, &id, &log), 0);
        assert_int_equal(claim(a, &id, &other), CM_EVENT_LOG_BEGUN);
        assert_int_equal(claim(b, &id, &other), CM_EVENT_LOG_BEGUN);
        assert_null(other);
        assert_int_equal(cm_event_log_are_begun(b, &id, 1, &begun), 0);
        assert_true(begun);
        say(log, &done, 2);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(a), 0);
        check_ends(&id, 2);
        assert_int_equal(claim(b, &id, &other), CM_EVENT_LOG_BEGUN);
}

/* Who has said something is not followed by anybody else; who has only opened the log is, when its
 * lease is over. */
static void story_claim_after_death(void)
{
        struct cm_uuid id = new_id(), begun_id = new_id();
        struct cm_event_log *begun, *dead, *log;

        assert_int_equal(cm_event_log_open(a, &begun_id, &begun), 0);
        say(begun, &delta, 1);
        assert_int_equal(cm_event_log_open(a, &id, &dead), 0);
        assert_int_equal(cm_event_logs_flush(a), 0);
        a->ending = true; /* nothing more reaches Redis */
        assert_int_equal(claim(b, &id, &log), CM_EVENT_LOG_BEGUN);
        assert_int_equal(cm_fiber_sleep(2 * LEASE_US), 0);
        assert_int_equal(claim(b, &begun_id, &log), CM_EVENT_LOG_BEGUN);
        assert_int_equal(claim(b, &id, &log), 0);
        say(log, &done, 2);
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(b), 0);
        a->ending = false;
        while (!dead->lost)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        assert_true(cm_event_log_is_taken(dead));
        cm_event_log_close(&dead);
        cm_event_log_close(&begun);
        assert_int_equal(cm_event_logs_flush(a), 0);
        check_ends(&id, 2);
}

/* Its opener was slow to reach Redis: it hears that another makes it, and nothing of it is there.
 */
static void story_claim_beats_a_slow_opener(void)
{
        struct cm_uuid id = new_id();
        struct cm_event_log *slow, *log;

        assert_int_equal(claim(b, &id, &log), 0);
        assert_int_equal(cm_event_log_open(a, &id, &slow), 0);
        say(slow, &delta, 1);
        while (!slow->lost)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        assert_true(cm_event_log_is_taken(slow));
        cm_event_log_close(&slow);
        say(log, &done, 2);
        assert_false(cm_event_log_is_taken(log));
        cm_event_log_close(&log);
        assert_int_equal(cm_event_logs_flush(b), 0);
        check_ends(&id, 2);
}

/* ---- the frame */

static void (*story)(void);

static void body(void)
{
        await_redis();
        story();
}

static void run(void (*it)(void))
{
        if (!test_redis_is_installed())
                skip();
        story = it;
        test_redis_start(&server);
        loop = test_loop_new();
        redis_a = redis_new();
        redis_b = redis_new();
        a = logs_new(redis_a);
        b = logs_new(redis_b);
        test_run(loop, body);
        cm_event_logs_free(&a);
        cm_event_logs_free(&b);
        cm_redis_free(&redis_a);
        cm_redis_free(&redis_b);
        test_loop_free(&loop);
        test_redis_stop(&server);
}

#define STORY(name)                                                                                \
        static void test_##name(void **state CM_UNUSED)                                            \
        {                                                                                          \
                run(story_##name);                                                                 \
        }
STORY(local)
STORY(resume)
STORY(news_reach_the_other_worker)
STORY(stop)
STORY(producer_dies_plainly)
STORY(producer_dies_and_says_the_end)
STORY(redis_goes_and_comes_back_empty)
STORY(ids_that_never_were)
STORY(limits)
STORY(one_producer)
STORY(claim)
STORY(claim_after_death)
STORY(claim_beats_a_slow_opener)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_local),
                cmocka_unit_test(test_resume),
                cmocka_unit_test(test_news_reach_the_other_worker),
                cmocka_unit_test(test_stop),
                cmocka_unit_test(test_producer_dies_plainly),
                cmocka_unit_test(test_producer_dies_and_says_the_end),
                cmocka_unit_test(test_redis_goes_and_comes_back_empty),
                cmocka_unit_test(test_ids_that_never_were),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_one_producer),
                cmocka_unit_test(test_claim),
                cmocka_unit_test(test_claim_after_death),
                cmocka_unit_test(test_claim_beats_a_slow_opener),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
