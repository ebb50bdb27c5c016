#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "schemas.h"

/*
 * Every generated decoder: the first byte picks the schema, the rest is a document. What was taken
 * and written out must be taken again and come out the same. A fault has a pointer and words, both
 * well-formed. The same bytes are a parameter for schemas that parameters may have.
 */
static size_t count_schemas(void)
{
        size_t count = 0;

        while (all_schemas[count])
                count++;
        CM_ASSERT(count > 0);
        return count;
}

static void check_faults(int r, const struct cm_faults *faults)
{
        CM_ASSERT((r != 0) == (faults->count != 0));
        for (size_t i = 0; i < faults->count; i++) {
                CM_ASSERT(cm_utf8_is_valid(faults->items[i].pointer));
                CM_ASSERT(cm_utf8_is_valid(faults->items[i].detail));
                CM_ASSERT(faults->items[i].detail.len > 0);
        }
}

static int decode(const struct cm_schema *schema, struct cm_str json, struct cm_arena *arena,
                  struct cm_buf *out)
{
        void *value = cm_arena_alloc(arena, schema->size);
        struct cm_faults faults = { 0 };
        int r = cm_schema_decode(schema, json, arena, value, &faults);

        check_faults(r, &faults);
        if (r == 0)
                cm_schema_encode(schema, value, out);
        return r;
}

static void document(const struct cm_schema *schema, struct cm_str json, struct cm_arena *arena)
{
        struct cm_buf first = { 0 }, second = { 0 };

        if (decode(schema, json, arena, &first) == 0) {
                CM_ASSERT(decode(schema, cm_buf_str(&first), arena, &second) == 0);
                CM_ASSERT(cm_str_equal(cm_buf_str(&first), cm_buf_str(&second)));
        }
        cm_buf_deinit(&first);
        cm_buf_deinit(&second);
}

static bool may_be_parameter(const struct cm_schema *schema)
{
        if (schema->type == CM_TYPE_ARRAY)
                schema = schema->items;
        return schema->type <= CM_TYPE_UUID;
}

static void parameter(const struct cm_schema *schema, struct cm_str text, struct cm_arena *arena)
{
        void *value = cm_arena_alloc(arena, schema->size);
        struct cm_faults faults = { 0 };

        check_faults(cm_schema_decode_text(schema, text, CM_STR("/query/x"), arena, value, &faults),
                     &faults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct cm_schema *schema;
        struct cm_arena arena;
        struct cm_str text;

        if (size < 1)
                return 0;
        schema = all_schemas[data[0] % count_schemas()];
        text = (struct cm_str){ (const char *)data + 1, size - 1 };
        cm_arena_init(&arena, 4096);
        document(schema, text, &arena);
        if (may_be_parameter(schema))
                parameter(schema, text, &arena);
        cm_arena_deinit(&arena);
        return 0;
}
