#include "recall_index.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lexical_index.h"
#include "recall_rules.h"

static struct analyser *analyser;
static struct embedder *embedder;
static struct cm_arena arena;

struct said {
        struct analysis text;
        struct embedding vector;
};

static struct said say(const char *text)
{
        struct said said;

        assert_int_equal(analyse(analyser, cm_str_from(text), &arena, &said.text), 0);
        assert_int_equal(embedder->embed(embedder, &said.text, &said.vector), 0);
        return said;
}

static struct cm_uuid id_of(int number)
{
        struct cm_uuid id = { { 0 } };

        memcpy(id.bytes, &number, sizeof(number));
        return id;
}

static struct recall_item item_of(int number)
{
        return (struct recall_item){ .id = id_of(number),
                                     .memory_type = 1,
                                     .consent = 1,
                                     .is_active = true,
                                     .valid_from = number,
                                     .valid_until = RECALL_ALWAYS,
                                     .expires_at = RECALL_ALWAYS };
}

static void put(struct recall_index *index, const struct recall_item *item, const char *text)
{
        struct said said = say(text);

        assert_int_equal(recall_index_put(index, item, &said.text, &said.vector), 0);
}

static size_t ask(struct recall_index *index, const char *question, struct recall_query query,
                  struct recall_hit **hits_r)
{
        struct said said = say(question);
        size_t count;

        query.text = &said.text;
        query.vector = &said.vector;
        query.limit = query.limit ? query.limit : 10;
        query.held_at = query.held_at ? query.held_at : RECALL_ALWAYS;
        assert_int_equal(recall_index_search(index, &query, &arena, hits_r, &count), 0);
        return count;
}

static int number_of(const struct recall_hit *hit)
{
        int number;

        memcpy(&number, hit->id.bytes, sizeof(number));
        return number;
}

static const char *const memories[] = {
        "I am allergic to penicillin",
        "My name is Dana and I live in Haifa",
        "My dog is called Rex",
        "I run 5 km every Tuesday morning",
        "I sleep badly when I drink coffee after 4 pm",
        "My goal is to lose 5 kg before summer",
        "My blood pressure was 130/85 last month",
        "The left knee hurts after squats",
        "יש לי סוכרת סוג 2",
        "אני שונא אימונים בבוקר",
        "I take metformin 500 mg twice a day",
};

/* Each question, and which memory is first; -1: none comes at all. */
static void test_questions(void **state CM_UNUSED)
{
        static const struct {
                const char *question;
                int first;
        } rows[] = {
                { "what am I allergic to?", 0 },
                { "למה אני אלרגי?", 0 },
                { "do I have any allergies", 0 },
                { "penicilin", 0 },
                { "האם אני רגיש לפניצילין?", 0 },
                { "what is my name?", 1 },
                { "where do I live?", 1 },
                { "איפה אני גרה?", 1 },
                { "what's the name of my dog?", 2 },
                { "when do I go running", 3 },
                { "does coffee affect my sleep?", 4 },
                { "איך קפה משפיע על השינה שלי", 4 },
                { "what are my goals", 5 },
                { "מה המטרה שלי", 5 },
                { "לחץ דם", 6 },
                { "כאבים בברך", 7 },
                { "do I have diabetes?", 8 },
                { "which medication do I take", 10 },
                { "xyzzy plugh", -1 },
                { "what is the capital of France", -1 },
                { "who won the football game", -1 },
                { "asdf qwer zxcv", -1 },
                { "tell me a joke", -1 },
                { "כמה עולה כרטיס לרכבת", -1 },
                { "?", -1 },
        };
        struct recall_index *index = recall_index_new(&vector_store_embedded);
        struct recall_hit *hits;

        for (size_t i = 0; i < CM_COUNT(memories); i++) {
                struct recall_item item = item_of((int)i);

                put(index, &item, memories[i]);
        }
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                size_t count = ask(index, rows[i].question, (struct recall_query){ 0 }, &hits);
                int first = count ? number_of(&hits[0]) : -1;

                if (first != rows[i].first)
                        fail_msg("%s: %d", rows[i].question, first);
        }
        recall_index_free(&index);
}

static void test_filters(void **state CM_UNUSED)
{
        struct recall_index *index = recall_index_new(&vector_store_embedded);
        struct recall_item item = item_of(1);
        struct recall_hit *hits;
        static const struct {
                struct recall_query query;
                size_t count;
        } rows[] = {
                { { 0 }, 1 },
                { { .consent = 1 }, 1 },
                { { .consent = 3 }, 0 },
                { { .memory_types = 1 << 1 }, 1 },
                { { .memory_types = 1 << 2 }, 0 },
                { { .held_at = 99 }, 0 },
                { { .held_at = 100 }, 1 },
                { { .held_at = 199 }, 1 },
                { { .now = 300 }, 0 },
                { { .now = 299 }, 1 },
                { { .now = 300, .include_archived = true }, 1 },
        };

        item.valid_from = 100;
        item.expires_at = 300;
        put(index, &item, "penicillin");
        for (size_t i = 0; i < CM_COUNT(rows); i++)
                if (ask(index, "penicillin", rows[i].query, &hits) != rows[i].count)
                        fail_msg("row %zu", i);
        item.valid_until = 200;
        put(index, &item, "penicillin");
        assert_int_equal(recall_index_count(index), 1);
        assert_int_equal(ask(index, "penicillin", (struct recall_query){ 0 }, &hits), 0);
        assert_int_equal(ask(index, "penicillin", (struct recall_query){ .held_at = 199 }, &hits),
                         1);
        assert_int_equal(ask(index, "penicillin", (struct recall_query){ .held_at = 200 }, &hits),
                         0);
        item = item_of(1);
        item.is_active = false;
        put(index, &item, "penicillin");
        assert_int_equal(
                ask(index, "penicillin", (struct recall_query){ .include_archived = true }, &hits),
                0);
        recall_index_free(&index);
}

static void test_restatements_are_one(void **state CM_UNUSED)
{
        struct recall_index *index = recall_index_new(&vector_store_embedded);
        struct recall_hit *hits;
        static const char *const texts[] = { "I am allergic to penicillin", "penicillin allergy",
                                             "I'm allergic to penicillin!",
                                             "I am not allergic to penicillin",
                                             "I am allergic to nuts" };

        for (size_t i = 0; i < CM_COUNT(texts); i++) {
                struct recall_item item = item_of((int)i);

                put(index, &item, texts[i]);
        }
        assert_int_equal(ask(index, "allergic", (struct recall_query){ 0 }, &hits), 3);
        assert_int_equal(
                ask(index, "allergic to penicillin", (struct recall_query){ .limit = 2 }, &hits),
                2);
        /* Of those that score the same the newest is first: that one is no allergy any more. */
        assert_int_equal(number_of(&hits[0]), 3);
        assert_int_equal(hits[0].restated_count, 0);
        assert_int_equal(hits[1].restated_count, 2);
        recall_index_free(&index);
}

/* ---- exactness: what the index finds is what comparing everything with everything finds */

enum { WORDS = 40, TEXTS = 300, ROUNDS = 30 };

static void make_text(char out[200])
{
        static const char *const words[] = { "sleep", "coffee", "knee", "run", "ריצה", "כאב" };
        int count = 1 + rand() % 8;

        out[0] = 0;
        for (int i = 0; i < count; i++) {
                char word[24];

                if (rand() % 2)
                        snprintf(word, sizeof(word), "%s ", words[rand() % 6]);
                else
                        snprintf(word, sizeof(word), "w%dx ", rand() % WORDS);
                strcat(out, word);
        }
}

/* The cosine of each place is the one of the two vectors, after many puts and removals. */
static void test_vectors_are_exact(void **state CM_UNUSED)
{
        enum { PLACES = 2100 };
        struct vector_store *store = vector_store_embedded.open();
        struct embedding *kept = calloc(PLACES, sizeof(*kept)), query;
        float *cosines = calloc(PLACES, sizeof(*cosines));

        srand(3);
        for (int step = 0; step < 4000; step++) {
                size_t place = step < PLACES ? (size_t)step : (size_t)(rand() % PLACES);

                if (step >= PLACES && rand() % 3 == 0) {
                        memset(&kept[place], 0, sizeof(kept[place]));
                        assert_int_equal(store->kind->remove(store, place), 0);
                        continue;
                }
                for (int d = 0; d < EMBEDDING_DIMENSIONS; d++)
                        kept[place].values[d] = (int8_t)(rand() % 255 - 127);
                embedding_finish(&kept[place]);
                assert_int_equal(store->kind->put(store, place, &kept[place]), 0);
        }
        for (int d = 0; d < EMBEDDING_DIMENSIONS; d++)
                query.values[d] = (int8_t)(d % 3 ? rand() % 255 - 127 : 0);
        for (int d = 0; d < 5; d++)
                query.values[d] = d % 2 ? 127 : -127;
        embedding_finish(&query);
        assert_int_equal(store->kind->compare(store, &query, cosines, PLACES), 0);
        for (size_t i = 0; i < PLACES; i++)
                assert_true(fabs(cosines[i] - embedding_cosine(&kept[i], &query)) < 1e-6);
        vector_store_free(&store);
        free(cosines);
        free(kept);
}

/* The words' figures do not depend on how the index came about. */
static void test_words_are_exact(void **state CM_UNUSED)
{
        static struct analysis texts[TEXTS];
        static bool is_there[TEXTS];
        struct lexical_index *index = lexical_index_new(), *fresh = lexical_index_new();
        static float a[TEXTS], b[TEXTS], ca[TEXTS], cb[TEXTS], best[TEXTS];
        static uint32_t found[TEXTS];
        struct lexical_scores x = { a, ca, best, found, TEXTS }, y = { b, cb, best, found, TEXTS };
        size_t empty = lexical_index_bytes(index);
        char text[200];

        srand(5);
        for (int step = 0; step < 3000; step++) {
                int place = rand() % TEXTS;

                if (is_there[place]) {
                        lexical_index_remove(index, (size_t)place);
                } else {
                        make_text(text);
                        texts[place] = say(text).text;
                        lexical_index_put(index, (size_t)place, &texts[place]);
                }
                is_there[place] = !is_there[place];
        }
        for (size_t i = 0; i < TEXTS; i++)
                if (is_there[i])
                        lexical_index_put(fresh, i, &texts[i]);
        for (int round = 0; round < ROUNDS; round++) {
                make_text(text);
                struct analysis query = say(text).text;

                memset(a, 0, sizeof(a));
                memset(b, 0, sizeof(b));
                memset(ca, 0, sizeof(ca));
                memset(cb, 0, sizeof(cb));
                lexical_index_compare(index, &query, &x);
                lexical_index_compare(fresh, &query, &y);
                assert_memory_equal(a, b, sizeof(a));
                assert_memory_equal(ca, cb, sizeof(ca));
                for (size_t i = 0; i < TEXTS; i++) {
                        assert_true(is_there[i] || a[i] == 0);
                        assert_true(ca[i] >= 0 && ca[i] <= 1.0001F);
                }
        }
        for (size_t i = 0; i < TEXTS; i++)
                if (is_there[i])
                        lexical_index_remove(index, i);
        memset(a, 0, sizeof(a));
        struct analysis query = say("sleep coffee").text;

        lexical_index_compare(index, &query, &x);
        for (size_t i = 0; i < TEXTS; i++)
                assert_true(a[i] == 0);
        assert_true(lexical_index_bytes(index) >= empty);
        lexical_index_free(&index);
        lexical_index_free(&fresh);
}

/* The list is the best of all by the one ranking rule: asked for more, it only grows at its end. */
static void test_the_best_come_first(void **state CM_UNUSED)
{
        struct recall_index *index = recall_index_new(&vector_store_embedded);
        struct recall_hit *all, *some;
        char text[200];

        srand(11);
        for (int i = 0; i < 2000; i++) {
                struct recall_item item = item_of(i);

                make_text(text);
                put(index, &item, text);
        }
        for (int i = 0; i < 2000; i += 3) {
                struct cm_uuid id = id_of(i);

                assert_int_equal(recall_index_remove(index, &id), 0);
        }
        for (int round = 0; round < ROUNDS; round++) {
                make_text(text);
                size_t many = ask(index, text, (struct recall_query){ .limit = 1500 }, &all);
                size_t few = ask(index, text, (struct recall_query){ .limit = 10 }, &some);

                assert_int_equal(few, many < 10 ? many : 10);
                for (size_t i = 0; i < many; i++) {
                        assert_true(number_of(&all[i]) % 3 != 0);
                        assert_true(i == 0 || all[i].score <= all[i - 1].score);
                        if (i < few)
                                assert_int_equal(number_of(&all[i]), number_of(&some[i]));
                }
        }
        recall_index_free(&index);
}

static bool passes(const struct recall_gate *gate, const struct relevance *relevance)
{
        return recall_passes(gate, relevance->coverage, relevance->cosine);
}

static void test_rules(void **state CM_UNUSED)
{
        static const struct {
                struct relevance relevance;
                bool relevant, certain;
        } rows[] = {
                { { 0, 0, 0 }, false, false },          { { 1, 1, 0 }, true, true },
                { { 0.3F, 0.29F, 0 }, false, false },   { { 0.3F, 0.31F, 0 }, true, false },
                { { 0.3F, 0.2F, 0.25F }, true, false }, { { 0, 0, 0.39F }, false, false },
                { { 0, 0, 0.41F }, true, false },       { { 0, 0, 0.61F }, true, true },
                { { 0.3F, 0.31F, -1 }, true, false },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                assert_int_equal(passes(&recall_relevant, &rows[i].relevance), rows[i].relevant);
                assert_int_equal(passes(&recall_certain, &rows[i].relevance), rows[i].certain);
        }
        assert_true(recall_score(&rows[1].relevance) > recall_score(&rows[2].relevance));
        assert_true(recall_score(&(struct relevance){ 1000, 1, 1 }) <= 1);
        assert_true(recall_score(&(struct relevance){ 0, 0, -1 }) >= 0);
}

static int setup(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 65536);
        return analyser_new(&analyser) ?: embedder_new("hash", &embedder);
}

static int teardown(void **state CM_UNUSED)
{
        embedder_free(&embedder);
        analyser_free(&analyser);
        cm_arena_deinit(&arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_questions),
                cmocka_unit_test(test_filters),
                cmocka_unit_test(test_restatements_are_one),
                cmocka_unit_test(test_vectors_are_exact),
                cmocka_unit_test(test_words_are_exact),
                cmocka_unit_test(test_the_best_come_first),
                cmocka_unit_test(test_rules),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
