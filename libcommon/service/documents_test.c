#include "service/documents.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/error.h"
#include "schemas.h"
#include "service/user_refs_internal.h"
#include "settings.h"
#include "store/test_mongo.h"
#include "store/test_redis.h"
#include "sys/log.h"

/* Versions of a database of documents, and what it knows of users. */

static const struct cm_collection groups = { .name = "things", .schema = &outbox_group_schema };
static const struct cm_sort by_position[] = { { CM_FIELD(outbox_group, position), false } };
static const struct cm_mongo_index indexes[] = {
        { &groups, "position", by_position, 1, .is_unique = true },
};

static int runs;

static int count_run(struct cm_mongo *mongo CM_UNUSED)
{
        runs++;
        return 0;
}

static int fail_once(struct cm_mongo *mongo CM_UNUSED)
{
        return runs++ ? 0 : -CM_E_UNAVAILABLE;
}

static const struct cm_document_step steps[] = { { "first", count_run }, { "second", count_run } };
static const struct cm_document_step fails[] = { { "first", count_run },
                                                 { "second", count_run },
                                                 { "third", fail_once } };
static const struct cm_documents none = { NULL, indexes, 1, NULL, 0, NULL };
static const struct cm_documents two = { NULL, indexes, 1, steps, 2, NULL };
static const struct cm_documents three = { NULL, indexes, 1, fails, 3, NULL };

static struct test_mongo server;
static struct cm_loop *loop;
static struct cm_mongo *mongo;

static void versions_go_up(void)
{
        test_mongo_await(mongo, true);
        assert_int_equal(documents_check(mongo, &none), CM_SCHEMA_BEHIND);
        assert_int_equal(documents_migrate(mongo, &none), 0);
        assert_int_equal(documents_check(mongo, &none), CM_SCHEMA_CURRENT);
        assert_int_equal(documents_check(mongo, &two), CM_SCHEMA_BEHIND);
        assert_int_equal(documents_migrate(mongo, &two), 0);
        assert_int_equal(runs, 2);
        assert_int_equal(documents_migrate(mongo, &two), 0);
        assert_int_equal(runs, 2);
        assert_int_equal(documents_check(mongo, &two), CM_SCHEMA_CURRENT);
        assert_int_equal(documents_check(mongo, &none), CM_SCHEMA_TOO_NEW);
        assert_int_equal(documents_migrate(mongo, &none), CM_SCHEMA_TOO_NEW);
}

static void a_step_that_failed_runs_again(void)
{
        runs = 0;
        assert_int_equal(documents_migrate(mongo, &three), -CM_E_UNAVAILABLE);
        assert_int_equal(documents_check(mongo, &three), CM_SCHEMA_BEHIND);
        assert_int_equal(documents_migrate(mongo, &three), 0);
        assert_int_equal(documents_check(mongo, &three), CM_SCHEMA_CURRENT);
        assert_int_equal(runs, 2);
}

static void indexes_are_made(void)
{
        struct outbox_group one = { .id = CM_STR("1") }, twin = { .id = CM_STR("2") };

        assert_int_equal(cm_mongo_insert(mongo, &groups, one.id, &one, NULL), 0);
        assert_int_equal(cm_mongo_insert(mongo, &groups, twin.id, &twin, NULL), CM_MONGO_DUPLICATE);
}

static struct user_ref user_of(const struct cm_uuid *id, int64_t version, const char *zone)
{
        return (struct user_ref){ .user_id = *id,
                                  .tenant_id = { { 9 } },
                                  .user_type = USER_TYPE_PATIENT,
                                  .language = CM_STR("he"),
                                  .time_zone = cm_str_from(zone),
                                  .status = USER_STATUS_ACTIVE,
                                  .version = version };
}

static void put_all(const struct user_ref *users, size_t count)
{
        const struct user_ref *pointers[8];
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        for (size_t i = 0; i < count; i++)
                pointers[i] = &users[i];
        assert_int_equal(user_ref_documents_put(mongo, &arena, pointers, count), 0);
        cm_arena_deinit(&arena);
}

static void put(const struct cm_uuid *id, int64_t version, const char *zone)
{
        const struct user_ref user = user_of(id, version, zone);

        put_all(&user, 1);
}

static void the_newest_version_of_a_user_stays(void)
{
        const struct cm_uuid alice = { { 1 } }, nobody = { { 2 } };
        struct cm_user_ref found;

        assert_int_equal(user_ref_document_find(mongo, &nobody, &found), CM_USER_REF_UNKNOWN);
        put(&alice, 2, "Asia/Jerusalem");
        put(&alice, 1, "Europe/Paris");
        put(&alice, 2, "Europe/Paris");
        assert_int_equal(user_ref_document_find(mongo, &alice, &found), 0);
        assert_string_equal(found.time_zone, "Asia/Jerusalem");
        put(&alice, 3, "Europe/Paris");
        assert_int_equal(user_ref_document_find(mongo, &alice, &found), 0);
        assert_string_equal(found.time_zone, "Europe/Paris");
        assert_string_equal(found.language, "he");
        assert_int_equal(found.version, 3);
        assert_int_equal(found.status, USER_STATUS_ACTIVE);
        assert_int_equal(found.user_type, USER_TYPE_PATIENT);
        assert_int_equal(found.tenant_id.bytes[0], 9);
}

/* New ones, older and newer versions, and two of one person, in one call. */
static void many_users_are_put_at_once(void)
{
        const struct cm_uuid dana = { { 3 } }, noa = { { 4 } }, yael = { { 5 } };
        const struct user_ref before[] = { user_of(&dana, 5, "Asia/Jerusalem"),
                                           user_of(&noa, 1, "Asia/Jerusalem") };
        const struct user_ref after[] = { user_of(&dana, 4, "Europe/Paris"),
                                          user_of(&yael, 1, "Europe/Paris"),
                                          user_of(&yael, 2, "Europe/Rome"),
                                          user_of(&noa, 2, "Europe/Paris") };
        const struct {
                const struct cm_uuid *id;
                const char *zone;
                int64_t version;
        } expected[] = { { &dana, "Asia/Jerusalem", 5 },
                         { &noa, "Europe/Paris", 2 },
                         { &yael, "Europe/Rome", 2 } };

        put_all(before, CM_COUNT(before));
        put_all(after, CM_COUNT(after));
        put_all(after, CM_COUNT(after));
        for (size_t i = 0; i < CM_COUNT(expected); i++) {
                struct cm_user_ref found;

                assert_int_equal(user_ref_document_find(mongo, expected[i].id, &found), 0);
                assert_string_equal(found.time_zone, expected[i].zone);
                assert_int_equal(found.version, expected[i].version);
        }
}

/* --migrate and --status have a loop of their own. */
static void test_commands(void **state CM_UNUSED)
{
        const struct cm_service_settings settings = { .mongo_uri = server.uri,
                                                      .mongo_threads = 2,
                                                      .mongo_queue = 10,
                                                      .mongo_response_timeout_us = CM_SECOND };

        assert_int_equal(documents_status_command(&settings, &three), CM_SCHEMA_CURRENT);
        assert_int_equal(documents_migrate_command(&settings, &three), 0);
        assert_int_equal(documents_migrate_command(&settings, &none), CM_SCHEMA_TOO_NEW);
}

static int setup(void **state CM_UNUSED)
{
        loop = test_loop_new();
        if (test_mongo_start(&server)) {
                mongo = test_mongo_connect(&server);
                return 0;
        }
        puts("no server of documents: make mongo-stand-in");
        return 1;
}

static int teardown(void **state CM_UNUSED)
{
        cm_mongo_free(&mongo);
        test_loop_free(&loop);
        test_mongo_stop(&server);
        return 0;
}

#define IN_FIBER(name)                                                                             \
        static void test_##name(void **state CM_UNUSED)                                            \
        {                                                                                          \
                test_run(loop, name);                                                              \
        }
IN_FIBER(versions_go_up)
IN_FIBER(a_step_that_failed_runs_again)
IN_FIBER(indexes_are_made)
IN_FIBER(the_newest_version_of_a_user_stays)
IN_FIBER(many_users_are_put_at_once)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_versions_go_up),
                cmocka_unit_test(test_a_step_that_failed_runs_again),
                cmocka_unit_test(test_indexes_are_made),
                cmocka_unit_test(test_the_newest_version_of_a_user_stays),
                cmocka_unit_test(test_many_users_are_put_at_once),
                cmocka_unit_test(test_commands),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
