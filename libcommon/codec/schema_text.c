#include <string.h>

#include "codec/json_tree.h"
#include "codec/schema_internal.h"

/* Parameters of paths, queries and headers: the same schemas, from bare text. */

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* As in JSON: no blanks, no leading zeros, no plus, nothing hexadecimal. */
static void number_from_text(const struct schema_context *context, const struct cm_schema *schema,
                             struct cm_str text, void *out)
{
        const struct cm_json_node *node = NULL;
        struct cm_json_error error;

        if (text.len && is_digit(text.data[text.len - 1]) &&
            (is_digit(text.data[0]) || text.data[0] == '-'))
                node = cm_json_parse(text, context->arena, &error);
        if (node && node->type == CM_JSON_INTEGER)
                schema_store_number(context, NULL, schema, (double)node->integer, out);
        else if (node && node->type == CM_JSON_REAL)
                schema_store_number(context, NULL, schema, node->real, out);
        else
                schema_fault(context, NULL, "must be a number");
}

static void decode_scalar(const struct schema_context *context, const struct cm_schema *schema,
                          struct cm_str text, void *out)
{
        int64_t integer;

        switch (schema->type) {
        case CM_TYPE_INTEGER:
                if (cm_str_to_int(text, &integer))
                        schema_store_integer(context, NULL, schema, integer, out);
                else
                        schema_fault(context, NULL, "must be a whole number");
                return;
        case CM_TYPE_NUMBER:
                number_from_text(context, schema, text, out);
                return;
        case CM_TYPE_BOOLEAN:
                *(bool *)out = cm_str_equal(text, CM_STR("true"));
                if (!*(bool *)out && !cm_str_equal(text, CM_STR("false")))
                        schema_fault(context, NULL, "must be true or false");
                return;
        default:
                if (!cm_utf8_is_valid(text) || memchr(text.data, '\0', text.len))
                        schema_fault(context, NULL, "must be valid UTF-8 without U+0000");
                else
                        schema_store_text(context, NULL, schema, text, out);
        }
}

static size_t count_parts(struct cm_str text)
{
        size_t count = 1;

        for (size_t i = 0; i < text.len; i++)
                count += text.data[i] == ',';
        return count;
}

static void decode_list(const struct schema_context *context, const struct cm_schema *schema,
                        struct cm_str text, void *out)
{
        struct cm_items *items = out;
        size_t count = count_parts(text);
        struct cm_str part;

        if (!schema_count_holds(context, NULL, schema, count))
                return;
        items->items = cm_arena_array(context->arena, count, schema->items->size);
        while (cm_str_split(&text, ',', &part))
                decode_scalar(context, schema->items, part,
                              (char *)items->items + items->count++ * schema->items->size);
}

int cm_schema_decode_text(const struct cm_schema *schema, struct cm_str text, struct cm_str pointer,
                          struct cm_arena *arena, void *out, struct cm_faults *faults)
{
        const struct schema_context context = { arena, faults, pointer };
        size_t before = faults->count;

        if (!text.data)
                text = CM_STR("");
        memset(out, 0, schema->size);
        if (schema->type == CM_TYPE_ARRAY)
                decode_list(&context, schema, text, out);
        else
                decode_scalar(&context, schema, text, out);
        return faults->count > before ? CM_DECODE_FAULTS : 0;
}
