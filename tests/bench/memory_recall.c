/*
 * Recall without daemon and database: reads lines "D <tab> name <tab> text" (a memory) and
 * "Q <tab> name <tab> text" (a question and the memory that answers it, or - when none does);
 * prints how often the right one came first and among the first ten, how often something came when
 * nothing should, and the time of a question. With --vectors each line is a text, and its vector is
 * printed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "recall_index.h"

enum { MAX_ITEMS = 1000000, LINE = 1 << 20 };

static struct analyser *analyser;
static struct embedder *embedder;
static struct recall_index *index_;
static char **names;
static size_t name_count;

static int64_t now_ns(void)
{
        return cm_monotonic_us() * 1000;
}

static void remember(const char *name, const char *text)
{
        struct recall_item item = { .memory_type = 1,
                                    .consent = 1,
                                    .is_active = true,
                                    .valid_until = RECALL_ALWAYS,
                                    .expires_at = RECALL_ALWAYS };
        struct embedding vector;
        struct analysis analysis;
        struct cm_arena arena;

        cm_arena_init(&arena, 65536);
        memcpy(item.id.bytes, &name_count, sizeof(name_count));
        names[name_count++] = cm_strdup(name);
        if (analyse(analyser, cm_str_from(text), &arena, &analysis) ||
            embedder->embed(embedder, &analysis, &vector) ||
            recall_index_put(index_, &item, &analysis, &vector))
                exit(1);
        cm_arena_deinit(&arena);
}

static void print_vector(const char *text)
{
        struct embedding vector;
        struct analysis analysis;
        struct cm_arena arena;

        cm_arena_init(&arena, 65536);
        if (analyse(analyser, cm_str_from(text), &arena, &analysis) ||
            embedder->embed(embedder, &analysis, &vector))
                exit(1);
        for (int i = 0; i < EMBEDDING_DIMENSIONS; i++)
                printf("%.6g ", vector.norm > 0 ? vector.values[i] / vector.norm : 0);
        printf("\n");
        cm_arena_deinit(&arena);
}

struct tally {
        size_t asked, first, ten, none_asked, none_wrong;
        double *times;
        size_t time_count;
};

static void ask(const char *name, const char *text, struct tally *tally, int verbose)
{
        struct recall_hit *hits;
        struct embedding vector;
        struct analysis analysis;
        struct cm_arena arena;
        size_t count, rank = 0;
        int64_t begin = now_ns();

        cm_arena_init(&arena, 65536);
        if (analyse(analyser, cm_str_from(text), &arena, &analysis) ||
            embedder->embed(embedder, &analysis, &vector))
                exit(1);
        struct recall_query query = { .text = &analysis,
                                      .vector = &vector,
                                      .limit = 10,
                                      .held_at = RECALL_ALWAYS,
                                      .now = 1 };
        if (recall_index_search(index_, &query, &arena, &hits, &count))
                exit(1);
        tally->times[tally->time_count++] = (double)(now_ns() - begin) / 1000;
        for (size_t i = 0; i < count && !rank; i++) {
                size_t number;

                memcpy(&number, hits[i].id.bytes, sizeof(number));
                if (strcmp(names[number], name) == 0)
                        rank = i + 1;
        }
        if (verbose)
                printf("%s\t%zu\t%zu\t%.3f\t%.3f\t%.3f\t%s\n", name, rank, count,
                       count ? hits[0].score : 0, count ? hits[0].lexical : 0,
                       count ? hits[0].cosine : 0, text);
        if (strcmp(name, "-") == 0) {
                tally->none_asked++;
                tally->none_wrong += count > 0;
        } else {
                tally->asked++;
                tally->first += rank == 1;
                tally->ten += rank > 0;
        }
        cm_arena_deinit(&arena);
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
        int verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
        int only_vectors = argc > 1 && strcmp(argv[1], "--vectors") == 0;
        char *line = cm_alloc(LINE), *name, *text;
        struct tally tally = { .times = cm_alloc_array(MAX_ITEMS, sizeof(double)) };

        names = cm_alloc_array(MAX_ITEMS, sizeof(*names));
        if (analyser_new(&analyser) || embedder_new("hash", &embedder))
                return 1;
        index_ = recall_index_new(&vector_store_embedded);
        while (fgets(line, LINE, stdin)) {
                line[strcspn(line, "\n")] = 0;
                if (only_vectors) {
                        print_vector(line);
                        continue;
                }
                name = strchr(line, '\t');
                text = name ? strchr(name + 1, '\t') : NULL;
                if (!text)
                        return 1;
                *name++ = *text++ = 0;
                if (*line == 'D')
                        remember(name, text);
                else
                        ask(name, text, &tally, verbose);
        }
        if (only_vectors)
                return 0;
        qsort(tally.times, tally.time_count, sizeof(double), compare);
        printf("{\"items\": %zu, \"bytes_per_item\": %.0f, \"asked\": %zu, \"r1\": %.4f, "
               "\"r10\": %.4f, \"none_asked\": %zu, \"none_wrong\": %.4f, \"p50_us\": %.0f, "
               "\"p99_us\": %.0f}\n",
               recall_index_count(index_), (double)recall_index_bytes(index_) / (double)name_count,
               tally.asked, (double)tally.first / fmax((double)tally.asked, 1),
               (double)tally.ten / fmax((double)tally.asked, 1), tally.none_asked,
               (double)tally.none_wrong / fmax((double)tally.none_asked, 1),
               tally.times[tally.time_count / 2], tally.times[tally.time_count * 99 / 100]);
        return 0;
}
