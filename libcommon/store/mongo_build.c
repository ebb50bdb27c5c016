#include "store/mongo_build.h"

#include <string.h>

#include "base/assert.h"
#include "base/attr.h"
#include "store/mongo_internal.h"

/*
 * A filter is `{ <equal conditions>, $and: [ <the others> ] }`, so that a field may have two
 * bounds. An update is a document for each operator, put together at the end.
 */
static const char *const comparisons[] = {
        [CM_COMPARE_IS_NOT] = "$ne",      [CM_COMPARE_LESS] = "$lt",
        [CM_COMPARE_LESS_OR_IS] = "$lte", [CM_COMPARE_MORE] = "$gt",
        [CM_COMPARE_MORE_OR_IS] = "$gte",
};

static const char *const operators[CM_OPERATORS] = {
        [CM_OPERATOR_SET] = "$set",   [CM_OPERATOR_UNSET] = "$unset",
        [CM_OPERATOR_INC] = "$inc",   [CM_OPERATOR_PUSH] = "$push",
        [CM_OPERATOR_PULL] = "$pull", [CM_OPERATOR_SET_ON_INSERT] = "$setOnInsert",
        [CM_OPERATOR_MAX] = "$max",
};

static struct cm_str key_of(const char *name)
{
        return cm_str_from(name);
}

const struct cm_schema *mongo_field_path(struct cm_doc_field field, struct cm_buf *out)
{
        const struct cm_schema *schema =
                cm_schema_path(field.schema, field.offset, field.size, out);

        if (!field.has_item)
                return schema;
        CM_ASSERT(schema->type == CM_TYPE_ARRAY);
        if (field.index != CM_EACH_ITEM)
                cm_buf_printf(out, ".%lld", (long long)field.index);
        if (!field.item_size)
                return schema->items;
        cm_buf_add_char(out, '.');
        return cm_schema_path(schema->items, field.item_offset, field.item_size, out);
}

static bson_t *made(void **slot)
{
        if (!*slot)
                *slot = bson_new();
        return *slot;
}

static void destroy(void **slot)
{
        if (*slot)
                bson_destroy(*slot);
        *slot = NULL;
}

/* Appends `values` as the array `key`. */
static void append_values(bson_t *out, const char *key, const struct cm_schema *schema,
                          const void *values, size_t count)
{
        const struct cm_schema array = { .type = CM_TYPE_ARRAY, .items = schema };
        struct cm_items items = { .count = count };

        memcpy(&items.items, &values, sizeof(values)); /* only read */
        mongo_append(out, key_of(key), &array, &items);
}

/* ---- filters */

void cm_filter_deinit(struct cm_filter *filter)
{
        destroy(&filter->equal);
        destroy(&filter->further);
}

static void add_further(struct cm_filter *filter, const bson_t *condition)
{
        char space[16];
        const char *index;

        (void)bson_uint32_to_string((uint32_t)filter->count++, &index, space, sizeof(space));
        bson_append_document(made(&filter->further), index, -1, condition);
}

/* `{ path: { operator: value } }` */
static void add_operator(struct cm_filter *filter, struct cm_str path, const bson_t *test)
{
        bson_t condition = BSON_INITIALIZER;

        bson_append_document(&condition, path.data, (int)path.len, test);
        add_further(filter, &condition);
        bson_destroy(&condition);
}

void cm_filter_compare(struct cm_filter *filter, struct cm_doc_field field,
                       enum cm_comparison comparison, const void *value)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };
        const struct cm_schema *schema = mongo_field_path(field, &path);
        bson_t test = BSON_INITIALIZER;

        if (comparison == CM_COMPARE_IS) {
                mongo_append(made(&filter->equal), cm_buf_str(&path), schema, value);
        } else {
                mongo_append(&test, key_of(comparisons[comparison]), schema, value);
                add_operator(filter, cm_buf_str(&path), &test);
        }
        bson_destroy(&test);
}

void cm_filter_exists(struct cm_filter *filter, struct cm_doc_field field, bool exists)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };
        bson_t test = BSON_INITIALIZER;

        (void)mongo_field_path(field, &path);
        BSON_APPEND_BOOL(&test, "$exists", exists);
        add_operator(filter, cm_buf_str(&path), &test);
        bson_destroy(&test);
}

void cm_filter_in(struct cm_filter *filter, struct cm_doc_field field, const void *values,
                  size_t count)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };
        const struct cm_schema *schema = mongo_field_path(field, &path);
        bson_t test = BSON_INITIALIZER;

        append_values(&test, "$in", schema, values, count);
        add_operator(filter, cm_buf_str(&path), &test);
        bson_destroy(&test);
}

/* One of the alternatives of "behind": the first `same` fields are equal, the next one is beyond.
 */
static void append_behind(bson_t *out, const struct cm_sort *sort, size_t same,
                          const void *const *after)
{
        bson_t test;

        for (size_t i = 0; i <= same; i++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };
                const struct cm_schema *schema = mongo_field_path(sort[i].field, &path);

                if (i < same) {
                        mongo_append(out, cm_buf_str(&path), schema, after[i]);
                        continue;
                }
                bson_append_document_begin(out, path.data, (int)path.len, &test);
                mongo_append(&test, key_of(sort[i].is_descending ? "$lt" : "$gt"), schema,
                             after[i]);
                bson_append_document_end(out, &test);
        }
}

void mongo_filter_after(struct cm_filter *filter, const struct cm_sort *sort, size_t count,
                        const void *const *after)
{
        bson_t condition = BSON_INITIALIZER, choices, choice;

        BSON_APPEND_ARRAY_BEGIN(&condition, "$or", &choices);
        for (size_t i = 0; i < count; i++) {
                char space[16];
                const char *index;

                (void)bson_uint32_to_string((uint32_t)i, &index, space, sizeof(space));
                bson_append_document_begin(&choices, index, -1, &choice);
                append_behind(&choice, sort, i, after);
                bson_append_document_end(&choices, &choice);
        }
        bson_append_array_end(&condition, &choices);
        add_further(filter, &condition);
        bson_destroy(&condition);
}

bson_t *mongo_filter_build(const struct cm_filter *filter)
{
        bson_t *out = filter && filter->equal ? bson_copy(filter->equal) : bson_new();

        if (filter && filter->further)
                BSON_APPEND_ARRAY(out, "$and", (const bson_t *)filter->further);
        return out;
}

bson_t *mongo_sort_build(const struct cm_sort *sort, size_t count)
{
        bson_t *out = bson_new();

        for (size_t i = 0; i < count; i++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };

                (void)mongo_field_path(sort[i].field, &path);
                bson_append_int32(out, path.data, (int)path.len, sort[i].is_descending ? -1 : 1);
        }
        return out;
}

/* ---- updates */

void cm_update_deinit(struct cm_update *update)
{
        for (size_t i = 0; i < CM_OPERATORS; i++)
                destroy(&update->parts[i]);
}

void cm_update_value(struct cm_update *update, enum cm_update_operator operator,
                     struct cm_doc_field field, const void *value)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };
        const struct cm_schema *schema = mongo_field_path(field, &path);

        mongo_append(made(&update->parts[operator]), cm_buf_str(&path), schema, value);
}

void cm_update_unset(struct cm_update *update, struct cm_doc_field field)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };

        (void)mongo_field_path(field, &path);
        bson_append_utf8(made(&update->parts[CM_OPERATOR_UNSET]), path.data, (int)path.len, "", 0);
}

void cm_update_inc(struct cm_update *update, struct cm_doc_field field, int64_t by)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };
        const struct cm_schema *schema = mongo_field_path(field, &path);

        CM_ASSERT(schema->type == CM_TYPE_INTEGER);
        mongo_append(made(&update->parts[CM_OPERATOR_INC]), cm_buf_str(&path), schema, &by);
}

void cm_update_push(struct cm_update *update, struct cm_doc_field array, const void *items,
                    size_t count)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };
        const struct cm_schema *schema = mongo_field_path(array, &path);
        bson_t *out = made(&update->parts[CM_OPERATOR_PUSH]), each;

        CM_ASSERT(schema->type == CM_TYPE_ARRAY);
        bson_append_document_begin(out, path.data, (int)path.len, &each);
        append_values(&each, "$each", schema->items, items, count);
        bson_append_document_end(out, &each);
}

void cm_update_pull(struct cm_update *update, struct cm_doc_field item_field, const void *values,
                    size_t count)
{
        struct cm_doc_field array = item_field;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf path = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf member = { 0 };
        const struct cm_schema *schema;
        bson_t *out = made(&update->parts[CM_OPERATOR_PULL]), item, test;

        array.has_item = false;
        schema = mongo_field_path(array, &path);
        CM_ASSERT(schema->type == CM_TYPE_ARRAY);
        schema = cm_schema_path(schema->items, item_field.item_offset, item_field.item_size,
                                &member);
        bson_append_document_begin(out, path.data, (int)path.len, &item);
        bson_append_document_begin(&item, member.data, (int)member.len, &test);
        append_values(&test, "$in", schema, values, count);
        bson_append_document_end(&item, &test);
        bson_append_document_end(out, &item);
}

void cm_update_insert(struct cm_update *update, const struct cm_schema *schema, const void *value)
{
        mongo_encode_members(made(&update->parts[CM_OPERATOR_SET_ON_INSERT]), schema, value);
}

bson_t *mongo_update_build(const struct cm_update *update)
{
        bson_t *out = bson_new();

        for (size_t i = 0; i < CM_OPERATORS; i++)
                if (update->parts[i])
                        BSON_APPEND_DOCUMENT(out, operators[i], (const bson_t *)update->parts[i]);
        return out;
}
