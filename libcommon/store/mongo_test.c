#include "store/mongo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/uuid.h"
#include "store/test_mongo.h"
#include "store/test_redis.h"
#include "sys/log.h"

/* Against the server that scripts/up would choose, or the one of MONGO_URI. */

/* ---- schemas, as the generator would write them */

struct message {
        int64_t seq;
        struct cm_str text;
        cm_time at;
};
struct page {
        struct cm_str id;
        int64_t count;
        struct {
                struct message *items;
                size_t count;
        } messages;
        struct {
                struct cm_str mood;
                double weight;
        } context;
        int32_t state;
        uint8_t has_state;
        struct cm_uuid user;
        uint8_t has_user;
        cm_date day;
        uint8_t has_day;
        struct cm_str extra;
        uint8_t has_extra;
        bool pinned;
        uint8_t has_pinned;
};

static const struct cm_schema text_schema = { .name = "text",
                                              .type = CM_TYPE_STRING,
                                              .size = sizeof(struct cm_str) };
static const struct cm_schema number_schema = { .name = "number",
                                                .type = CM_TYPE_INTEGER,
                                                .size = sizeof(int64_t) };
static const struct cm_schema real_schema = { .name = "real",
                                              .type = CM_TYPE_NUMBER,
                                              .size = sizeof(double) };
static const struct cm_schema time_schema = { .name = "time",
                                              .type = CM_TYPE_TIME,
                                              .size = sizeof(cm_time) };
static const struct cm_schema date_schema = { .name = "date",
                                              .type = CM_TYPE_DATE,
                                              .size = sizeof(cm_date) };
static const struct cm_schema uuid_schema = { .name = "uuid",
                                              .type = CM_TYPE_UUID,
                                              .size = sizeof(struct cm_uuid) };
static const struct cm_schema any_schema = { .name = "any",
                                             .type = CM_TYPE_ANY,
                                             .size = sizeof(struct cm_str) };
static const struct cm_schema bool_schema = { .name = "bool",
                                              .type = CM_TYPE_BOOLEAN,
                                              .size = sizeof(bool) };
static const char *const states[] = { "open", "closed" };
static const struct cm_schema state_schema = { .name = "state",
                                               .type = CM_TYPE_ENUM,
                                               .size = sizeof(int32_t),
                                               .values = states,
                                               .value_count = 2 };

#define REQUIRED(type, key, schema, member)                                                        \
        {                                                                                          \
                key, &schema, offsetof(type, member), CM_NO_OFFSET, .required = true               \
        }
#define OPTIONAL(key, schema, member)                                                              \
        {                                                                                          \
                key, &schema, offsetof(struct page, member), offsetof(struct page, has_##member),  \
                        .nullable = true                                                           \
        }

static const struct cm_member message_members[] = {
        REQUIRED(struct message, "seq", number_schema, seq),
        REQUIRED(struct message, "text", text_schema, text),
        REQUIRED(struct message, "createdAt", time_schema, at),
};
static const struct cm_schema message_schema = { .name = "message",
                                                 .type = CM_TYPE_OBJECT,
                                                 .size = sizeof(struct message),
                                                 .members = message_members,
                                                 .member_count = CM_COUNT(message_members) };
static const struct cm_schema messages_schema = { .name = "messages",
                                                  .type = CM_TYPE_ARRAY,
                                                  .size = sizeof(struct cm_items),
                                                  .max_len = 64,
                                                  .items = &message_schema };
static const struct cm_member context_members[] = {
        { "mood", &text_schema, 0, CM_NO_OFFSET, .required = true },
        { "weight", &real_schema, sizeof(struct cm_str), CM_NO_OFFSET, .required = true },
};
static const struct cm_schema context_schema = { .name = "context",
                                                 .type = CM_TYPE_OBJECT,
                                                 .size = CM_SIZE_OF(page, context),
                                                 .members = context_members,
                                                 .member_count = CM_COUNT(context_members) };
static const struct cm_member page_members[] = {
        REQUIRED(struct page, "_id", text_schema, id),
        REQUIRED(struct page, "count", number_schema, count),
        REQUIRED(struct page, "messages", messages_schema, messages),
        REQUIRED(struct page, "context", context_schema, context),
        OPTIONAL("state", state_schema, state),
        OPTIONAL("userId", uuid_schema, user),
        OPTIONAL("day", date_schema, day),
        OPTIONAL("extra", any_schema, extra),
        OPTIONAL("pinned", bool_schema, pinned),
};
static const struct cm_schema page_schema = { .name = "page",
                                              .type = CM_TYPE_OBJECT,
                                              .size = sizeof(struct page),
                                              .members = page_members,
                                              .member_count = CM_COUNT(page_members) };
static const struct cm_collection pages = { "pages", &page_schema };

/* What a newer or broken release may have written under the same names. */
struct odd {
        struct cm_str id;
        struct cm_str count; /* no number */
        struct cm_str unknown;
};
static const struct cm_member odd_members[] = {
        REQUIRED(struct odd, "_id", text_schema, id),
        REQUIRED(struct odd, "count", text_schema, count),
        REQUIRED(struct odd, "unknown", text_schema, unknown),
};
static const struct cm_schema odd_schema = { .name = "odd",
                                             .type = CM_TYPE_OBJECT,
                                             .size = sizeof(struct odd),
                                             .members = odd_members,
                                             .member_count = CM_COUNT(odd_members) };
static const struct cm_collection odd_pages = { "pages", &odd_schema };

struct extra_part {
        bool pending;
};
static const struct cm_member extra_part_members[] = {
        REQUIRED(struct extra_part, "pending", bool_schema, pending),
};
static const struct cm_schema extra_part_schema = { .name = "extra_part",
                                                    .type = CM_TYPE_OBJECT,
                                                    .size = sizeof(struct extra_part),
                                                    .members = extra_part_members,
                                                    .member_count = 1 };

/* A copy in quarantine. */
struct aside {
        struct cm_str id;
        struct cm_str collection;
        struct cm_str pointer;
        cm_time seen_at;
};
static const struct cm_member aside_members[] = {
        REQUIRED(struct aside, "_id", text_schema, id),
        REQUIRED(struct aside, "collection", text_schema, collection),
        REQUIRED(struct aside, "pointer", text_schema, pointer),
        REQUIRED(struct aside, "seenAt", time_schema, seen_at),
};
static const struct cm_schema aside_schema = { .name = "aside",
                                               .type = CM_TYPE_OBJECT,
                                               .size = sizeof(struct aside),
                                               .members = aside_members,
                                               .member_count = CM_COUNT(aside_members) };
static const struct cm_collection asides = { "quarantine", &aside_schema };

/* ---- around */

static struct test_mongo server;
static struct cm_loop *loop;
static struct cm_mongo *mongo;
static struct cm_arena arena;

static int setup(void **state CM_UNUSED)
{
        loop = test_loop_new();
        cm_arena_init(&arena, 8192);
        if (!test_mongo_start(&server)) {
                puts("no server of documents: make mongo-stand-in");
                return 1;
        }
        mongo = test_mongo_connect(&server);
        return 0;
}

static int teardown(void **state CM_UNUSED)
{
        cm_mongo_free(&mongo);
        test_mongo_stop(&server);
        cm_arena_deinit(&arena);
        test_loop_free(&loop);
        return 0;
}

static struct page page_called(const char *id)
{
        return (struct page){ .id = cm_str_from(id), .context = { .mood = CM_STR("calm") } };
}

static int insert_page(const struct page *page)
{
        return cm_mongo_insert(mongo, &pages, page->id, page, NULL);
}

static int find_page(const char *id, struct page *page_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str key = cm_str_from(id);

        CM_FILTER_IS(&filter, page, id, &key);
        return cm_mongo_find(mongo, &pages, key, &filter, &arena, page_r);
}

static int count_pages(const struct cm_filter *filter)
{
        int64_t count;

        assert_int_equal(cm_mongo_count(mongo, &pages, CM_STR("all"), filter, &count), 0);
        return (int)count;
}

static int append(const char *id, int64_t expected, const char *text)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct message message = { expected, cm_str_from(text), 1234567 * CM_MILLISECOND };
        struct cm_str key = cm_str_from(id);

        CM_FILTER_IS(&filter, page, id, &key);
        CM_FILTER_IS(&filter, page, count, &expected);
        CM_UPDATE_INC(&update, page, count, 1);
        CM_UPDATE_PUSH(&update, page, messages, &message, 1);
        return cm_mongo_update(mongo, &pages, key, &filter, &update, CM_MONGO_UPDATE);
}

/* ---- tests */

static void structs_come_back_as_they_were(void)
{
        struct page page = page_called("whole"), found;
        struct message messages[] = { { 0, CM_STR("שלום \U0001F600"), 1 * CM_MILLISECOND },
                                      { 1, CM_STR(""), -5 * CM_SECOND } };

        test_mongo_await(mongo, true);
        page.count = INT64_MAX;
        page.messages.items = messages;
        page.messages.count = 2;
        page.context.weight = 0.1;
        page.state = 2;
        page.has_state = CM_PRESENT;
        page.user = (struct cm_uuid){ { 1, 2, 3 } };
        page.has_user = CM_PRESENT;
        page.has_day = CM_NULL;
        page.extra = CM_STR("{\"$where\":\"1\",\"a.b\":[1,2.5,null]}");
        page.has_extra = CM_PRESENT;
        assert_int_equal(insert_page(&page), 0);
        assert_int_equal(find_page("whole", &found), 0);
        assert_string_equal(found.id.data, "whole");
        assert_true(found.count == INT64_MAX);
        assert_int_equal(found.messages.count, 2);
        assert_true(cm_str_equal(found.messages.items[0].text, messages[0].text));
        assert_int_equal(found.messages.items[0].at, messages[0].at);
        assert_int_equal(found.messages.items[1].at, messages[1].at);
        assert_int_equal(found.messages.items[1].text.len, 0);
        assert_true(found.context.weight == 0.1);
        assert_string_equal(found.context.mood.data, "calm");
        assert_int_equal(found.state, 2);
        assert_true(cm_uuid_equal(&found.user, &page.user));
        assert_int_equal(found.has_day, CM_NULL);
        assert_int_equal(found.has_pinned, CM_ABSENT);
        assert_true(cm_str_equal(found.extra, page.extra));
}

static void outcomes_are_told(void)
{
        struct page page = page_called("once"), found;

        assert_int_equal(insert_page(&page), 0);
        assert_int_equal(insert_page(&page), CM_MONGO_DUPLICATE);
        assert_int_equal(find_page("nobody", &found), CM_MONGO_NO_MATCH);
        assert_int_equal(append("nobody", 0, "x"), CM_MONGO_NO_MATCH);
        assert_int_equal(append("once", 1, "x"), CM_MONGO_NO_MATCH);
        assert_int_equal(append("once", 0, "x"), 0);
        assert_int_equal(append("once", 0, "x"), CM_MONGO_NO_MATCH);
        assert_int_equal(append("once", 1, "y"), 0);
        assert_int_equal(find_page("once", &found), 0);
        assert_int_equal(found.count, 2);
        assert_string_equal(found.messages.items[1].text.data, "y");
}

static void each_operator_changes_its_field(void)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct page page = page_called("operators"), found;
        struct message messages[] = { { 0, CM_STR("a"), 0 }, { 1, CM_STR("b"), 0 } };
        struct cm_str mood = CM_STR("glad"), text = CM_STR("changed");
        int64_t most = 40, gone = 0;
        bool pinned = true;

        page.messages.items = messages;
        page.messages.count = 2;
        page.has_state = CM_PRESENT;
        page.state = 1;
        assert_int_equal(insert_page(&page), 0);
        CM_FILTER_IS(&filter, page, id, &page.id);
        cm_filter_compare(&filter, CM_ITEM_FIELD(page, messages, CM_EACH_ITEM, message, seq),
                          CM_COMPARE_IS, &messages[1].seq);
        CM_UPDATE_SET(&update, page, context.mood, &mood);
        CM_UPDATE_SET(&update, page, pinned, &pinned);
        CM_UPDATE_UNSET(&update, page, state);
        cm_update_value(&update, CM_OPERATOR_MAX, CM_FIELD(page, count), &most);
        cm_update_value(&update, CM_OPERATOR_SET, CM_ITEM_FIELD(page, messages, 1, message, text),
                        &text);
        assert_int_equal(cm_mongo_modify(mongo, &pages, page.id, &filter, &update, CM_MONGO_UPDATE,
                                         &arena, &found),
                         0);
        assert_string_equal(found.context.mood.data, "glad");
        assert_true(found.pinned);
        assert_int_equal(found.has_state, CM_ABSENT);
        assert_int_equal(found.count, 40);
        assert_string_equal(found.messages.items[1].text.data, "changed");

        cm_update_deinit(&update);
        cm_update_pull(&update, CM_ITEM_FIELD(page, messages, CM_EACH_ITEM, message, seq), &gone,
                       1);
        assert_int_equal(cm_mongo_update(mongo, &pages, page.id, &filter, &update, CM_MONGO_UPDATE),
                         0);
        assert_int_equal(find_page("operators", &found), 0);
        assert_int_equal(found.messages.count, 1);
        assert_int_equal(found.messages.items[0].seq, 1);
}

static void upserts_make_what_is_not_there(void)
{
        struct page page = page_called("upserted"), found;
        struct cm_str mood = CM_STR("new mood");

        for (int i = 0; i < 2; i++) {
                CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
                CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };

                page.count = i;
                CM_FILTER_IS(&filter, page, id, &page.id);
                cm_update_insert(&update, &page_schema, &page);
                assert_int_equal(cm_mongo_modify(mongo, &pages, page.id, &filter, &update,
                                                 CM_MONGO_UPSERT, &arena, &found),
                                 0);
                assert_int_equal(found.count, 0); /* of the first time */
                cm_update_deinit(&update);
                CM_UPDATE_SET(&update, page, context.mood, &mood);
                assert_int_equal(
                        cm_mongo_update(mongo, &pages, page.id, &filter, &update, CM_MONGO_UPSERT),
                        0);
        }
        assert_int_equal(find_page("upserted", &found), 0);
        assert_string_equal(found.context.mood.data, "new mood");
}

static void lists_go_on_behind_the_last_item(void)
{
        const struct cm_sort sort[] = { { CM_FIELD(page, count), true },
                                        { CM_FIELD(page, id), false } };
        struct cm_mongo_page want = { .sort = sort, .sort_count = 2, .limit = 4 };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str mood = CM_STR("listed");
        char ids[10][16];
        int64_t counts[] = { 5, 4, 4, 4, 4, 3, 3, 2, 1, 1 }; /* ids in the order of the list */
        const void *after[2];
        size_t seen = 0;
        bool more = true;

        for (int i = 9; i >= 0; i--) {
                struct page page;

                (void)snprintf(ids[i], sizeof(ids[i]), "l%d", i);
                page = page_called(ids[i]);
                page.count = counts[i];
                page.context.mood = mood;
                assert_int_equal(insert_page(&page), 0);
        }
        CM_FILTER_IS(&filter, page, context.mood, &mood);
        while (more) {
                struct cm_items items;
                const struct page *list;

                assert_int_equal(
                        cm_mongo_list(mongo, &pages, mood, &filter, &want, &arena, &items, &more),
                        0);
                list = items.items;
                for (size_t i = 0; i < items.count; i++)
                        assert_string_equal(list[i].id.data, ids[seen++]);
                assert_int_equal(more, seen < 10);
                after[0] = &list[items.count - 1].count;
                after[1] = &list[items.count - 1].id;
                want.after = after;
        }
        assert_int_equal(seen, 10);
        CM_FILTER_COMPARE(&filter, page, count, CM_COMPARE_MORE, &counts[8]);
        CM_FILTER_COMPARE(&filter, page, count, CM_COMPARE_LESS_OR_IS, &counts[1]);
        assert_int_equal(count_pages(&filter), 7);
        assert_int_equal(cm_mongo_delete_all(mongo, &pages, mood, &filter, &counts[0]), 0);
        assert_int_equal(counts[0], 7);
        assert_int_equal(count_pages(&filter), 0);
}

static void the_last_items_of_an_array_are_enough(void)
{
        const struct cm_mongo_tail tail = { CM_FIELD(page, messages), 2 };
        const struct cm_mongo_page want = { .limit = 9, .tail = &tail };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct message messages[] = { { 0, CM_STR("a"), 0 },
                                      { 1, CM_STR("b"), 0 },
                                      { 2, CM_STR("c"), 0 } };
        struct page page = page_called("tail");
        struct cm_items items;
        const struct page *found;

        page.count = 3;
        page.messages.items = messages;
        page.messages.count = 3;
        assert_int_equal(insert_page(&page), 0);
        CM_FILTER_IS(&filter, page, id, &page.id);
        assert_int_equal(
                cm_mongo_list(mongo, &pages, page.id, &filter, &want, &arena, &items, NULL), 0);
        assert_int_equal(items.count, 1);
        found = items.items;
        assert_int_equal(found->count, 3);
        assert_string_equal(found->context.mood.data, page.context.mood.data);
        assert_int_equal(found->messages.count, 2);
        assert_int_equal(found->messages.items[0].seq, 1);
        assert_string_equal(found->messages.items[1].text.data, "c");
}

static void many_are_inserted_until_the_first_that_is_refused(void)
{
        struct page many[4] = { page_called("m0"), page_called("m1"), page_called("m1"),
                                page_called("m3") };
        struct page found;
        size_t inserted;

        assert_int_equal(cm_mongo_insert_many(mongo, &pages, CM_STR("m"), many, 4, &inserted),
                         CM_MONGO_DUPLICATE);
        assert_int_equal(inserted, 2);
        assert_int_equal(find_page("m3", &found), CM_MONGO_NO_MATCH);
        assert_int_equal(cm_mongo_insert_many(mongo, &pages, CM_STR("m"), &many[3], 1, &inserted),
                         0);
        assert_int_equal(inserted, 1);
}

static void what_no_schema_accepts_is_put_aside(void)
{
        struct odd odd = { CM_STR("odd"), CM_STR("three"), CM_STR("?") };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct extra_part extra = { true };
        struct cm_attachment attachment = { &extra_part_schema, &extra };
        struct cm_str copy = CM_STR("pages/odd");
        struct page found, more = page_called("attached");
        struct aside aside;
        int64_t copies;

        assert_int_equal(cm_mongo_insert(mongo, &odd_pages, odd.id, &odd, NULL), 0);
        for (int i = 0; i < 2; i++)
                assert_int_equal(find_page("odd", &found), CM_MONGO_QUARANTINED);
        cm_filter_compare(&filter, CM_FIELD(aside, id), CM_COMPARE_IS, &copy);
        assert_int_equal(cm_mongo_find(mongo, &asides, copy, &filter, &arena, &aside), 0);
        assert_string_equal(aside.collection.data, "pages");
        assert_string_equal(aside.pointer.data, "/count");
        assert_int_equal(cm_mongo_count(mongo, &asides, copy, &filter, &copies), 0);
        assert_int_equal(copies, 1);
        /* What is only unknown is nobody's fault. */
        assert_int_equal(cm_mongo_insert(mongo, &pages, more.id, &more, &attachment), 0);
        assert_int_equal(find_page("attached", &found), 0);
}

static void indexes_may_be_made_twice(void)
{
        static const struct cm_sort by_user[] = { { CM_FIELD(page, user), false },
                                                  { CM_FIELD(page, count), true } };
        static const struct cm_mongo_index indexes[] = {
                { .collection = &pages, .name = "user", .fields = by_user, .count = 2 },
        };

        for (int i = 0; i < 2; i++)
                assert_int_equal(cm_mongo_ensure_indexes(mongo, indexes, 1), 0);
}

static void unique_indexes_refuse(void)
{
        static const struct cm_collection unique = { "unique_pages", &page_schema };
        static const struct cm_sort by_user[] = { { CM_FIELD(page, user), false } };
        static const struct cm_mongo_index indexes[] = {
                { &unique, "one_a_user", by_user, 1, .is_unique = true },
        };
        struct page one = page_called("one"), two = page_called("two");

        one.user = two.user = (struct cm_uuid){ { 7 } };
        one.has_user = two.has_user = CM_PRESENT;
        assert_int_equal(cm_mongo_ensure_indexes(mongo, indexes, 1), 0);
        assert_int_equal(cm_mongo_insert(mongo, &unique, one.id, &one, NULL), 0);
        assert_int_equal(cm_mongo_insert(mongo, &unique, two.id, &two, NULL), CM_MONGO_DUPLICATE);
}

static void the_server_can_do_what_is_asked(void)
{
        assert_int_equal(cm_mongo_probe(mongo), 0);
        assert_int_equal(cm_mongo_probe(mongo), 0);
}

static void too_large_is_told(void)
{
        struct page page = page_called("large");
        size_t size = 17 << 20;
        char *text = cm_arena_alloc(&arena, size);

        memset(text, 'x', size);
        page.context.mood = (struct cm_str){ text, size };
        assert_int_equal(insert_page(&page), -CM_E_TOO_LARGE);
        cm_arena_reset(&arena);
}

/* ---- many at a time */

static size_t won;

static void adds_fifty(void *arg CM_UNUSED)
{
        for (int i = 0; i < 50; i++) {
                CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
                CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
                struct cm_str id = CM_STR("counted");

                CM_FILTER_IS(&filter, page, id, &id);
                CM_UPDATE_INC(&update, page, count, 1);
                /* Another thread each time, as other processes would. */
                if (cm_mongo_update(mongo, &pages, cm_arena_printf(&arena, "%zu", (size_t)i + won),
                                    &filter, &update, CM_MONGO_UPDATE) == 0)
                        won++;
        }
}

static void updates_are_atomic(void)
{
        struct page page = page_called("counted"), found;
        struct cm_group group;

        won = 0;
        assert_int_equal(insert_page(&page), 0);
        cm_group_init(&group);
        for (int i = 0; i < 8; i++)
                assert_int_equal(cm_group_start(&group, "adds", adds_fifty, NULL), 0);
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(won, 400);
        assert_int_equal(find_page("counted", &found), 0);
        assert_int_equal(found.count, 400);
}

/* ---- a server that stops */

static void a_hanging_server_does_not_hold_a_fiber(void)
{
        struct page page = page_called("hanging"), found;
        int64_t before, start;
        int r;

        if (!server.pid)
                skip();
        test_mongo_await(mongo, true);
        kill(server.pid, SIGSTOP);
        assert_int_equal(waitpid(server.pid, NULL, WUNTRACED), server.pid); /* all its threads */
        before = cm_fiber_set_deadline(cm_monotonic_us() + 100 * CM_MILLISECOND);
        start = cm_monotonic_us();
        r = insert_page(&page);
        assert_int_equal(r, -CM_E_UNCERTAIN);
        assert_true(cm_monotonic_us() - start < CM_SECOND);
        cm_fiber_set_deadline(cm_monotonic_us() + 50 * CM_MILLISECOND);
        assert_int_equal(find_page("hanging", &found), -CM_E_DEADLINE);
        cm_fiber_set_deadline(before);
        kill(server.pid, SIGCONT);
        /* On the same thread, behind the write that was left alone: it has happened by then. */
        assert_int_equal(find_page("hanging", &found), 0);
}

static void acknowledged_writes_survive_a_kill(void)
{
        struct page page = page_called("killed"), found;
        int64_t acknowledged = 0;
        int r;

        if (!server.pid)
                skip();
        assert_int_equal(insert_page(&page), 0);
        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 20; i++)
                        if (append("killed", acknowledged, "message") == 0)
                                acknowledged++;
                test_mongo_kill(&server);
                /* Sent over a connection that has ended, unless somebody has noticed already. */
                r = append("killed", -1, "lost");
                assert_true(r == -CM_E_UNCERTAIN || r == -CM_E_UNAVAILABLE);
                test_mongo_await(mongo, false);
                assert_int_equal(append("killed", -1, "not sent"), -CM_E_UNAVAILABLE);
                assert_int_equal(find_page("killed", &found), -CM_E_UNAVAILABLE);
                assert_true(test_mongo_boot(&server));
                test_mongo_await(mongo, true);
                assert_int_equal(find_page("killed", &found), 0);
                assert_int_equal(found.count, acknowledged);
                assert_int_equal(found.messages.count, acknowledged);
        }
        assert_int_equal(acknowledged, 60);
}

static void addresses_that_cannot_work_are_refused(void **state CM_UNUSED)
{
        struct cm_mongo_config config = { .uri = "postgres://x", .threads = 1, .max_waiting = 1 };
        struct cm_mongo *none;

        assert_int_equal(cm_mongo_new(&config, &none), -CM_E_CONFIG);
        assert_null(none);
        config.uri = "mongodb://127.0.0.1:1";
        assert_int_equal(cm_mongo_new(&config, &none), -CM_E_CONFIG);
}

#define IN_FIBER(name)                                                                             \
        static void test_##name(void **state CM_UNUSED)                                            \
        {                                                                                          \
                test_run(loop, name);                                                              \
        }
IN_FIBER(structs_come_back_as_they_were)
IN_FIBER(outcomes_are_told)
IN_FIBER(each_operator_changes_its_field)
IN_FIBER(upserts_make_what_is_not_there)
IN_FIBER(lists_go_on_behind_the_last_item)
IN_FIBER(the_last_items_of_an_array_are_enough)
IN_FIBER(many_are_inserted_until_the_first_that_is_refused)
IN_FIBER(what_no_schema_accepts_is_put_aside)
IN_FIBER(indexes_may_be_made_twice)
IN_FIBER(unique_indexes_refuse)
IN_FIBER(the_server_can_do_what_is_asked)
IN_FIBER(too_large_is_told)
IN_FIBER(updates_are_atomic)
IN_FIBER(a_hanging_server_does_not_hold_a_fiber)
IN_FIBER(acknowledged_writes_survive_a_kill)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(addresses_that_cannot_work_are_refused),
                cmocka_unit_test(test_structs_come_back_as_they_were),
                cmocka_unit_test(test_outcomes_are_told),
                cmocka_unit_test(test_each_operator_changes_its_field),
                cmocka_unit_test(test_upserts_make_what_is_not_there),
                cmocka_unit_test(test_lists_go_on_behind_the_last_item),
                cmocka_unit_test(test_the_last_items_of_an_array_are_enough),
                cmocka_unit_test(test_many_are_inserted_until_the_first_that_is_refused),
                cmocka_unit_test(test_what_no_schema_accepts_is_put_aside),
                cmocka_unit_test(test_indexes_may_be_made_twice),
                cmocka_unit_test(test_unique_indexes_refuse),
                cmocka_unit_test(test_the_server_can_do_what_is_asked),
                cmocka_unit_test(test_too_large_is_told),
                cmocka_unit_test(test_updates_are_atomic),
                cmocka_unit_test(test_a_hanging_server_does_not_hold_a_fiber),
                cmocka_unit_test(test_acknowledged_writes_survive_a_kill),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
