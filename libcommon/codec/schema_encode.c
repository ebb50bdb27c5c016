#include <string.h>

#include "base/assert.h"
#include "codec/json.h"
#include "codec/schema.h"

static void encode(struct cm_json_writer *writer, const struct cm_schema *schema,
                   const void *value);

const char *cm_schema_enum_name(const struct cm_schema *schema, int32_t constant)
{
        if (constant < 1 || (size_t)constant > schema->value_count)
                return NULL;
        return schema->values[constant - 1];
}

int32_t cm_schema_enum_value(const struct cm_schema *schema, struct cm_str text)
{
        for (size_t i = 0; text.data && i < schema->value_count; i++)
                if (strncmp(schema->values[i], text.data, text.len) == 0 &&
                    schema->values[i][text.len] == '\0')
                        return (int32_t)i + 1;
        return 0;
}

static void encode_enum(struct cm_json_writer *writer, const struct cm_schema *schema,
                        int32_t constant)
{
        const char *name = cm_schema_enum_name(schema, schema->value_count == 1 ? 1 : constant);

        CM_ASSERT(name);
        cm_json_text(writer, cm_str_from(name));
}

static void encode_members(struct cm_json_writer *writer, const struct cm_schema *schema,
                           const char *object)
{
        cm_json_object(writer);
        for (size_t i = 0; i < schema->member_count; i++) {
                const struct cm_member *member = &schema->members[i];
                uint8_t has = CM_PRESENT;

                if (member->has_offset != CM_NO_OFFSET)
                        has = *(const uint8_t *)(object + member->has_offset);
                if (has == CM_ABSENT && !member->required)
                        continue;
                cm_json_key(writer, member->name);
                if (has == CM_PRESENT)
                        encode(writer, member->schema, object + member->offset);
                else
                        cm_json_null(writer);
        }
        cm_json_object_end(writer);
}

static void encode_items(struct cm_json_writer *writer, const struct cm_schema *schema,
                         const void *value)
{
        struct cm_items array;

        memcpy(&array, value, sizeof(array));
        cm_json_array(writer);
        for (size_t i = 0; i < array.count; i++)
                encode(writer, schema->items, (const char *)array.items + i * schema->items->size);
        cm_json_array_end(writer);
}

static void encode_variant(struct cm_json_writer *writer, const struct cm_schema *schema,
                           const char *value)
{
        int32_t kind = *(const int32_t *)(const void *)value;

        for (size_t i = 0; i < schema->variant_count; i++)
                if (schema->variants[i].kind == kind) {
                        encode(writer, schema->variants[i].schema, value + schema->union_offset);
                        return;
                }
        CM_ASSERT(!"kind of a one-of");
}

static void encode(struct cm_json_writer *writer, const struct cm_schema *schema, const void *value)
{
        switch (schema->type) {
        case CM_TYPE_STRING:
                cm_json_text(writer, ((const struct cm_str *)value)->data
                                             ? *(const struct cm_str *)value
                                             : CM_STR(""));
                break;
        case CM_TYPE_INTEGER:
                cm_json_integer(writer, *(const int64_t *)value);
                break;
        case CM_TYPE_NUMBER:
                cm_json_number(writer, *(const double *)value);
                break;
        case CM_TYPE_BOOLEAN:
                cm_json_bool(writer, *(const bool *)value);
                break;
        case CM_TYPE_ENUM:
                encode_enum(writer, schema, *(const int32_t *)value);
                break;
        case CM_TYPE_TIME:
                cm_json_time(writer, *(const cm_time *)value);
                break;
        case CM_TYPE_DATE:
                cm_json_date(writer, *(const cm_date *)value);
                break;
        case CM_TYPE_UUID:
                cm_json_uuid(writer, value);
                break;
        case CM_TYPE_ANY:
                cm_json_raw(writer, ((const struct cm_str *)value)->data
                                            ? *(const struct cm_str *)value
                                            : CM_STR("{}"));
                break;
        case CM_TYPE_OBJECT:
                encode_members(writer, schema, value);
                break;
        case CM_TYPE_ARRAY:
                encode_items(writer, schema, value);
                break;
        case CM_TYPE_ONE_OF:
                encode_variant(writer, schema, value);
                break;
        }
}

void cm_schema_encode(const struct cm_schema *schema, const void *value, struct cm_buf *out)
{
        struct cm_json_writer writer;

        cm_json_writer_init(&writer, out);
        encode(&writer, schema, value);
}

static const struct cm_member *member_at(const struct cm_schema *object, size_t offset, size_t size)
{
        const struct cm_member *around = NULL;

        for (size_t i = 0; i < object->member_count; i++) {
                const struct cm_member *member = &object->members[i];

                if (member->offset == offset && member->schema->size == size)
                        return member;
                if (member->schema->type == CM_TYPE_OBJECT && member->offset <= offset &&
                    offset + size <= member->offset + member->schema->size)
                        around = member;
        }
        return around;
}

const struct cm_schema *cm_schema_path(const struct cm_schema *object, size_t offset, size_t size,
                                       struct cm_buf *out)
{
        const struct cm_member *member = member_at(object, offset, size);

        CM_ASSERT(member);
        cm_buf_add_str(out, cm_str_from(member->name));
        if (member->offset == offset && member->schema->size == size)
                return member->schema;
        cm_buf_add_char(out, '.');
        return cm_schema_path(member->schema, offset - member->offset, size, out);
}
