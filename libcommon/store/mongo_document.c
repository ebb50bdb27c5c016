#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "base/uuid.h"
#include "codec/json_tree.h"
#include "store/mongo_internal.h"

/*
 * Between structs and BSON, along the schema. What comes out of the store becomes the tree that the
 * decoder of JSON works on, so the contract's checks are the same ones.
 *
 * Texts, ids, dates and enumerations are strings there, times are dates (milliseconds), whole
 * numbers have 64 bits. Free-form JSON is a string: a key of somebody else's making ("$where",
 * "a.b") must not become a key of ours.
 */
#define INDEX_SIZE 16

/* ---- struct to BSON */

static struct cm_str text_of(const struct cm_str *text, const char *otherwise)
{
        return text->data ? *text : cm_str_from(otherwise);
}

static void append_text(bson_t *out, struct cm_str key, struct cm_str text)
{
        CM_ASSERT(bson_append_utf8(out, key.data, (int)key.len, text.data, (int)text.len));
}

static void append_enum(bson_t *out, struct cm_str key, const struct cm_schema *schema,
                        int32_t constant)
{
        const char *name = cm_schema_enum_name(schema, schema->value_count == 1 ? 1 : constant);

        CM_ASSERT(name);
        append_text(out, key, cm_str_from(name));
}

static void append_date(bson_t *out, struct cm_str key, cm_date date)
{
        char text[CM_DATE_TEXT_SIZE];

        cm_date_format(date, text);
        append_text(out, key, cm_str_from(text));
}

static void append_uuid(bson_t *out, struct cm_str key, const struct cm_uuid *id)
{
        char text[CM_UUID_TEXT_SIZE];

        cm_uuid_format(id, text);
        append_text(out, key, cm_str_from(text));
}

static void append_object(bson_t *out, struct cm_str key, const struct cm_schema *schema,
                          const void *value)
{
        bson_t object;

        bson_append_document_begin(out, key.data, (int)key.len, &object);
        mongo_encode_members(&object, schema, value);
        bson_append_document_end(out, &object);
}

static void append_array(bson_t *out, struct cm_str key, const struct cm_schema *schema,
                         const void *value)
{
        struct cm_items array;
        bson_t items;

        memcpy(&array, value, sizeof(array));
        bson_append_array_begin(out, key.data, (int)key.len, &items);
        for (size_t i = 0; i < array.count; i++) {
                char space[INDEX_SIZE];
                const char *index;
                size_t len = bson_uint32_to_string((uint32_t)i, &index, space, sizeof(space));

                mongo_append(&items, (struct cm_str){ index, len }, schema->items,
                             (const char *)array.items + i * schema->items->size);
        }
        bson_append_array_end(out, &items);
}

static const struct cm_variant *variant_of(const struct cm_schema *schema, int32_t kind)
{
        for (size_t i = 0; i < schema->variant_count; i++)
                if (schema->variants[i].kind == kind)
                        return &schema->variants[i];
        CM_ASSERT(!"kind of a one-of");
        return NULL;
}

void mongo_append(bson_t *out, struct cm_str key, const struct cm_schema *schema, const void *value)
{
        int len = (int)key.len;

        switch (schema->type) {
        case CM_TYPE_STRING:
                append_text(out, key, text_of(value, ""));
                break;
        case CM_TYPE_ANY:
                append_text(out, key, text_of(value, "{}"));
                break;
        case CM_TYPE_INTEGER:
                bson_append_int64(out, key.data, len, *(const int64_t *)value);
                break;
        case CM_TYPE_NUMBER:
                bson_append_double(out, key.data, len, *(const double *)value);
                break;
        case CM_TYPE_BOOLEAN:
                bson_append_bool(out, key.data, len, *(const bool *)value);
                break;
        case CM_TYPE_ENUM:
                append_enum(out, key, schema, *(const int32_t *)value);
                break;
        case CM_TYPE_TIME:
                bson_append_date_time(out, key.data, len, *(const cm_time *)value / CM_MILLISECOND);
                break;
        case CM_TYPE_DATE:
                append_date(out, key, *(const cm_date *)value);
                break;
        case CM_TYPE_UUID:
                append_uuid(out, key, value);
                break;
        case CM_TYPE_OBJECT:
                append_object(out, key, schema, value);
                break;
        case CM_TYPE_ARRAY:
                append_array(out, key, schema, value);
                break;
        case CM_TYPE_ONE_OF:
                append_object(out, key, variant_of(schema, *(const int32_t *)value)->schema,
                              (const char *)value + schema->union_offset);
                break;
        }
}

void mongo_encode_members(bson_t *out, const struct cm_schema *schema, const void *value)
{
        const char *object = value;

        for (size_t i = 0; i < schema->member_count; i++) {
                const struct cm_member *member = &schema->members[i];
                struct cm_str key = cm_str_from(member->name);
                uint8_t has = CM_PRESENT;

                if (member->has_offset != CM_NO_OFFSET)
                        has = *(const uint8_t *)(object + member->has_offset);
                if (has == CM_ABSENT && !member->required)
                        continue;
                if (has == CM_PRESENT)
                        mongo_append(out, key, member->schema, object + member->offset);
                else
                        bson_append_null(out, key.data, (int)key.len);
        }
}

bson_t *mongo_encode(const struct cm_schema *schema, const void *value)
{
        bson_t *document = bson_new();

        CM_ASSERT(schema->type == CM_TYPE_OBJECT);
        mongo_encode_members(document, schema, value);
        return document;
}

/* ---- BSON to tree */

static struct cm_json_node *node_of(const bson_iter_t *value, const struct cm_schema *schema,
                                    struct cm_arena *arena);

static void set_text(struct cm_json_node *node, struct cm_str text)
{
        /* What is no text stays null, which no schema of a text takes. */
        if (!cm_utf8_is_valid(text) || memchr(text.data, '\0', text.len))
                return;
        node->type = CM_JSON_TEXT;
        node->text = text;
}

static void set_real(struct cm_json_node *node, double real)
{
        if (!isfinite(real))
                return;
        node->type = CM_JSON_REAL;
        node->real = real;
}

static void set_time(struct cm_json_node *node, int64_t milliseconds, struct cm_arena *arena)
{
        char text[CM_TIME_TEXT_SIZE];

        if (milliseconds > INT64_MAX / CM_MILLISECOND || milliseconds < INT64_MIN / CM_MILLISECOND)
                return;
        cm_time_format(milliseconds * CM_MILLISECOND, text);
        set_text(node, cm_arena_str(arena, cm_str_from(text)));
}

static void add_child(struct cm_json_node *parent, struct cm_json_node **last,
                      struct cm_json_node *child)
{
        if (*last)
                (*last)->next = child;
        else
                parent->first = child;
        *last = child;
        parent->count++;
}

static const struct cm_member *member_called(const struct cm_schema *schema, struct cm_str name)
{
        for (size_t i = 0; i < schema->member_count; i++)
                if (cm_str_equal(cm_str_from(schema->members[i].name), name))
                        return &schema->members[i];
        return NULL;
}

static void set_members(struct cm_json_node *node, bson_iter_t *it, const struct cm_schema *schema,
                        struct cm_arena *arena)
{
        struct cm_json_node *last = NULL;

        node->type = CM_JSON_OBJECT;
        while (bson_iter_next(it)) {
                struct cm_str name = { bson_iter_key(it), bson_iter_key_len(it) };
                const struct cm_member *member = member_called(schema, name);
                struct cm_json_node *child;

                if (!member)
                        continue;
                child = node_of(it, member->schema, arena);
                child->name = cm_str_from(member->name);
                add_child(node, &last, child);
        }
}

static void set_array(struct cm_json_node *node, const bson_iter_t *value,
                      const struct cm_schema *schema, struct cm_arena *arena)
{
        struct cm_json_node *last = NULL;
        bson_iter_t it;

        node->type = CM_JSON_ARRAY;
        if (bson_iter_recurse(value, &it))
                while (bson_iter_next(&it))
                        add_child(node, &last, node_of(&it, schema->items, arena));
}

/* The variant that the document names; without one nothing is kept but the name, which the decoder
 * then refuses. */
static const struct cm_schema *chosen_variant(const bson_iter_t *value,
                                              const struct cm_schema *schema)
{
        bson_iter_t it;

        if (bson_iter_recurse(value, &it) && bson_iter_find(&it, schema->discriminator) &&
            BSON_ITER_HOLDS_UTF8(&it))
                for (size_t i = 0; i < schema->variant_count; i++)
                        if (strcmp(schema->variants[i].value, bson_iter_utf8(&it, NULL)) == 0)
                                return schema->variants[i].schema;
        return schema->variants[0].schema;
}

static void set_document(struct cm_json_node *node, const bson_iter_t *value,
                         const struct cm_schema *schema, struct cm_arena *arena)
{
        bson_iter_t it;

        if (schema->type == CM_TYPE_ONE_OF)
                schema = chosen_variant(value, schema);
        node->type = CM_JSON_OBJECT; /* refused where none belongs */
        if (schema->type == CM_TYPE_OBJECT && bson_iter_recurse(value, &it))
                set_members(node, &it, schema, arena);
}

static struct cm_json_node *text_node(struct cm_json_node *node, struct cm_str text,
                                      const struct cm_schema *schema, struct cm_arena *arena)
{
        struct cm_json_error error;
        struct cm_json_node *tree;

        if (schema->type != CM_TYPE_ANY) {
                set_text(node, text);
                return node;
        }
        tree = cm_json_parse(text, arena, &error);
        return tree ? tree : node;
}

static struct cm_json_node *node_of(const bson_iter_t *value, const struct cm_schema *schema,
                                    struct cm_arena *arena)
{
        struct cm_json_node *node = CM_ARENA_NEW(arena, struct cm_json_node);
        uint32_t len;
        const char *text;

        switch (bson_iter_type(value)) {
        case BSON_TYPE_UTF8:
                text = bson_iter_utf8(value, &len);
                return text_node(node, (struct cm_str){ text, len }, schema, arena);
        case BSON_TYPE_INT32:
        case BSON_TYPE_INT64:
                node->type = CM_JSON_INTEGER;
                node->integer = bson_iter_as_int64(value);
                break;
        case BSON_TYPE_DOUBLE:
                set_real(node, bson_iter_double(value));
                break;
        case BSON_TYPE_BOOL:
                node->type = CM_JSON_BOOL;
                node->boolean = bson_iter_bool(value);
                break;
        case BSON_TYPE_DATE_TIME:
                set_time(node, bson_iter_date_time(value), arena);
                break;
        case BSON_TYPE_DOCUMENT:
                set_document(node, value, schema, arena);
                break;
        case BSON_TYPE_ARRAY:
                if (schema->type == CM_TYPE_ARRAY)
                        set_array(node, value, schema, arena);
                else
                        node->type = CM_JSON_ARRAY;
                break;
        default: /* null, or what we never write */
                break;
        }
        return node;
}

int mongo_decode(const bson_t *document, const struct cm_schema *schema, struct cm_arena *arena,
                 void *out, struct cm_faults *faults)
{
        struct cm_json_node root = { .type = CM_JSON_OBJECT };
        struct cm_arena scratch;
        bson_iter_t it;
        int r;

        CM_ASSERT(schema->type == CM_TYPE_OBJECT);
        cm_arena_init(&scratch, 16384);
        if (bson_iter_init(&it, document))
                set_members(&root, &it, schema, &scratch);
        r = cm_schema_decode_tree(schema, &root, arena, out, faults);
        cm_arena_deinit(&scratch);
        return r;
}
