#include <stddef.h>
#include <stdint.h>

#include "../../services/memory/recall_index.h"
#include "../../services/memory/slot_rules.h"
#include "base/assert.h"
#include "base/mem.h"

/*
 * What a text of a memory and a question become: the first line is the question, the rest the
 * memory. Well-formed text always has an analysis, the same one twice; what was put into an index
 * and taken out again leaves nothing.
 */
static struct analyser *analyser;
static struct embedder *embedder;

static void look(struct cm_str text, struct cm_arena *arena, struct analysis *analysis,
                 struct embedding *vector)
{
        struct analysis again;

        CM_ASSERT(analyse(analyser, text, arena, analysis) == 0);
        CM_ASSERT(analyse(analyser, text, arena, &again) == 0);
        CM_ASSERT(analysis->fingerprint == again.fingerprint && analysis->count == again.count);
        CM_ASSERT(embedder->embed(embedder, analysis, vector) == 0);
        CM_ASSERT(cm_utf8_is_valid(analysis_same_text(analysis, arena)));
        CM_ASSERT(analysis->content <= analysis->count);
        (void)slot_find(analysis);
        (void)analysis_language(analysis);
}

static void ask(struct cm_str question, struct cm_str memory, struct cm_arena *arena)
{
        struct recall_index *index = recall_index_new(&vector_store_embedded);
        struct recall_item item = { .is_active = true,
                                    .valid_until = RECALL_ALWAYS,
                                    .expires_at = RECALL_ALWAYS };
        struct analysis asked, said;
        struct embedding near, vector;
        struct recall_hit *hits;
        size_t count;

        look(question, arena, &asked, &near);
        look(memory, arena, &said, &vector);
        struct recall_query query = {
                .text = &asked, .vector = &near, .limit = 3, .held_at = RECALL_ALWAYS
        };

        CM_ASSERT(recall_index_put(index, &item, &said, &vector) == 0);
        CM_ASSERT(recall_index_search(index, &query, arena, &hits, &count) == 0 && count <= 1);
        CM_ASSERT(count == 0 || (hits[0].score >= 0 && hits[0].score <= 1));
        CM_ASSERT(recall_index_remove(index, &item.id) == 0 && recall_index_count(index) == 0);
        CM_ASSERT(recall_index_search(index, &query, arena, &hits, &count) == 0 && count == 0);
        recall_index_free(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cm_str rest = { (const char *)data, size }, question;
        struct cm_arena arena;

        if (!analyser)
                CM_ASSERT(analyser_new(&analyser) == 0 && embedder_new("hash", &embedder) == 0);
        if (!size || !cm_utf8_is_valid(rest) || !cm_str_split(&rest, '\n', &question) || !rest.data)
                return 0;
        cm_arena_init(&arena, 4096);
        ask(question, rest, &arena);
        cm_arena_deinit(&arena);
        return 0;
}
