#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "codec/json.h"
#include "codec/json_tree.h"
#include "codec/schema_internal.h"

/*
 * The document becomes a tree, and the tree is walked along the schema. The tree lies in a scratch
 * arena of the thread, which is given back in one piece before the caller goes on.
 */
#define SCRATCH_BLOCK 16384

static _Thread_local struct cm_arena scratch;

/* Thread-local variables have no destructors; a key has. */
static pthread_key_t scratch_key;

static void free_scratch(void *arena)
{
        cm_arena_deinit(arena);
}

static void make_key(void)
{
        CM_ASSERT(pthread_key_create(&scratch_key, free_scratch) == 0);
}

static struct cm_arena *begin_scratch(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        if (!scratch.block_size) {
                pthread_once(&once, make_key);
                cm_arena_init(&scratch, SCRATCH_BLOCK);
                pthread_setspecific(scratch_key, &scratch);
        }
        return &scratch;
}

/* ---- values */

static void decode_value(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, const struct cm_json_node *json,
                         void *out);

static void decode_number(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_schema *schema, const struct cm_json_node *json,
                          void *out)
{
        if (json->type == CM_JSON_REAL)
                schema_store_number(context, place, schema, json->real, out);
        else if (json->type == CM_JSON_INTEGER)
                schema_store_number(context, place, schema, (double)json->integer, out);
        else
                schema_fault(context, place, "must be a number");
}

/* 2.0 is an integer, as in JSON Schema. */
static void decode_integer(const struct schema_context *context, const struct schema_place *place,
                           const struct cm_schema *schema, const struct cm_json_node *json,
                           void *out)
{
        double real = json->type == CM_JSON_REAL ? json->real : 0.5;

        if (json->type == CM_JSON_INTEGER)
                schema_store_integer(context, place, schema, json->integer, out);
        else if (fabs(real) < 9007199254740992.0 && real == (double)(int64_t)real)
                schema_store_integer(context, place, schema, (int64_t)real, out);
        else
                schema_fault(context, place, "must be a whole number");
}

static void decode_text(const struct schema_context *context, const struct schema_place *place,
                        const struct cm_schema *schema, const struct cm_json_node *json, void *out)
{
        if (json->type == CM_JSON_TEXT)
                schema_store_text(context, place, schema, json->text, out);
        else
                schema_fault(context, place, "must be a text");
}

/* Scalars only; the generator allows no others. */
static bool is_same(const struct cm_json_node *a, const struct cm_json_node *b)
{
        if (a->type != b->type)
                return false;
        switch (a->type) {
        case CM_JSON_TEXT:
                return cm_str_equal(a->text, b->text);
        case CM_JSON_INTEGER:
                return a->integer == b->integer;
        case CM_JSON_REAL:
                return a->real == b->real;
        case CM_JSON_BOOL:
                return a->boolean == b->boolean;
        default:
                return false;
        }
}

static bool has_twin(const struct cm_json_node *array, const struct cm_json_node *item)
{
        for (const struct cm_json_node *other = array->first; other != item; other = other->next)
                if (is_same(other, item))
                        return true;
        return false;
}

static void decode_array(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, const struct cm_json_node *json, void *out)
{
        struct schema_place here = { place, CM_STR_NONE, 0 };
        struct cm_items *items = out;

        if (json->type != CM_JSON_ARRAY) {
                schema_fault(context, place, "must be an array");
                return;
        }
        if (!schema_count_holds(context, place, schema, json->count))
                return;
        items->items = cm_arena_array(context->arena, json->count, schema->items->size);
        items->count = json->count;
        for (const struct cm_json_node *item = json->first; item; item = item->next) {
                decode_value(context, &here, schema->items, item,
                             (char *)items->items + here.index * schema->items->size);
                if (schema->unique_items && has_twin(json, item))
                        schema_fault(context, &here, "must not appear twice");
                here.index++;
        }
}

/* ---- free-form JSON */

/* False when it holds a number that 15 digits may round to more than a double holds. */
static bool write_tree(struct cm_json_writer *writer, const struct cm_json_node *json)
{
        bool ok = true;

        switch (json->type) {
        case CM_JSON_NULL:
                cm_json_null(writer);
                break;
        case CM_JSON_BOOL:
                cm_json_bool(writer, json->boolean);
                break;
        case CM_JSON_INTEGER:
                cm_json_integer(writer, json->integer);
                break;
        case CM_JSON_REAL:
                cm_json_number(writer, json->real + 0.0); /* -0 is 0 */
                return fabs(json->real) <= SCHEMA_NUMBER_MAX;
        case CM_JSON_TEXT:
                cm_json_text(writer, json->text);
                break;
        case CM_JSON_ARRAY:
                cm_json_array(writer);
                for (const struct cm_json_node *item = json->first; item && ok; item = item->next)
                        ok = write_tree(writer, item);
                cm_json_array_end(writer);
                break;
        case CM_JSON_OBJECT:
                cm_json_object(writer);
                for (const struct cm_json_node *item = json->first; item && ok; item = item->next) {
                        cm_json_member(writer, item->name);
                        ok = write_tree(writer, item);
                }
                cm_json_object_end(writer);
                break;
        }
        return ok;
}

static void decode_any(const struct schema_context *context, const struct schema_place *place,
                       const struct cm_schema *schema, const struct cm_json_node *json, void *out)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        struct cm_json_writer writer;

        if (json->type != CM_JSON_OBJECT) {
                schema_fault(context, place, "must be an object");
                return;
        }
        cm_json_writer_init(&writer, &text);
        if (!write_tree(&writer, json))
                schema_fault(context, place, "must have no number above %g", SCHEMA_NUMBER_MAX);
        else if (schema->max_len && text.len > schema->max_len)
                schema_fault(context, place, "must have at most %zu bytes", schema->max_len);
        else
                *(struct cm_str *)out = cm_arena_str(context->arena, cm_buf_str(&text));
}

/* ---- objects */

static bool is_called(struct cm_str text, const char *name)
{
        return strncmp(name, text.data, text.len) == 0 && name[text.len] == '\0';
}

/* Members mostly come in the schema's order: the one that is next is tried first. */
static const struct cm_member *find_member(const struct cm_schema *schema, struct cm_str name,
                                           size_t guess)
{
        if (guess < schema->member_count && is_called(name, schema->members[guess].name))
                return &schema->members[guess];
        for (size_t i = 0; i < schema->member_count; i++)
                if (is_called(name, schema->members[i].name))
                        return &schema->members[i];
        return NULL;
}

static void set_presence(const struct cm_member *member, void *out, enum cm_presence presence)
{
        if (member->has_offset != CM_NO_OFFSET)
                ((uint8_t *)out)[member->has_offset] = (uint8_t)presence;
}

static void decode_member(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_member *member, const struct cm_json_node *json,
                          void *out)
{
        if (member->read_only) {
                schema_fault(context, place, "is set by the server");
        } else if (json->type == CM_JSON_NULL && member->nullable) {
                set_presence(member, out, CM_NULL);
        } else {
                set_presence(member, out, CM_PRESENT);
                decode_value(context, place, member->schema, json, (char *)out + member->offset);
        }
}

static void check_required(const struct schema_context *context, const struct schema_place *place,
                           const struct cm_schema *schema, uint64_t seen)
{
        for (size_t i = 0; i < schema->member_count; i++) {
                const struct cm_member *member = &schema->members[i];

                if (member->required && !member->read_only && !(seen >> i & 1)) {
                        struct schema_place here = { place, cm_str_from(member->name), 0 };

                        schema_fault(context, &here, "is required");
                }
        }
}

static void decode_object(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_schema *schema, const struct cm_json_node *json,
                          void *out)
{
        uint64_t seen = 0; /* the generator allows no more than 64 members */
        size_t guess = 0;

        if (json->type != CM_JSON_OBJECT) {
                schema_fault(context, place, "must be an object");
                return;
        }
        for (const struct cm_json_node *value = json->first; value; value = value->next) {
                const struct cm_member *member = find_member(schema, value->name, guess);
                struct schema_place here = { place, value->name, 0 };

                if (member) {
                        guess = (size_t)(member - schema->members) + 1;
                        seen |= UINT64_C(1) << (guess - 1);
                        decode_member(context, &here, member, value, out);
                } else {
                        schema_fault(context, &here, "is not a member of %s", schema->name);
                }
        }
        check_required(context, place, schema, seen);
}

static struct cm_str discriminator_of(const struct cm_schema *schema,
                                      const struct cm_json_node *object)
{
        for (const struct cm_json_node *member = object->first; member; member = member->next)
                if (is_called(member->name, schema->discriminator))
                        return member->type == CM_JSON_TEXT ? member->text : CM_STR_NONE;
        return CM_STR_NONE;
}

static void decode_one_of(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_schema *schema, const struct cm_json_node *json,
                          void *out)
{
        struct schema_place here = { place, cm_str_from(schema->discriminator), 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf list = { 0 };
        struct cm_str value;

        if (json->type != CM_JSON_OBJECT) {
                schema_fault(context, place, "must be an object");
                return;
        }
        value = discriminator_of(schema, json);
        for (size_t i = 0; i < schema->variant_count; i++) {
                const struct cm_variant *variant = &schema->variants[i];

                if (value.data && is_called(value, variant->value)) {
                        *(int32_t *)out = variant->kind;
                        decode_object(context, place, variant->schema, json,
                                      (char *)out + schema->union_offset);
                        return;
                }
        }
        for (size_t i = 0; i < schema->variant_count; i++)
                cm_buf_printf(&list, "%s%s", i ? ", " : "", schema->variants[i].value);
        schema_fault(context, &here, "must be one of: %s", cm_buf_str(&list).data);
}

static void decode_value(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, const struct cm_json_node *json, void *out)
{
        switch (schema->type) {
        case CM_TYPE_STRING:
        case CM_TYPE_ENUM:
        case CM_TYPE_TIME:
        case CM_TYPE_DATE:
        case CM_TYPE_UUID:
                decode_text(context, place, schema, json, out);
                return;
        case CM_TYPE_INTEGER:
                decode_integer(context, place, schema, json, out);
                return;
        case CM_TYPE_NUMBER:
                decode_number(context, place, schema, json, out);
                return;
        case CM_TYPE_BOOLEAN:
                if (json->type == CM_JSON_BOOL)
                        *(bool *)out = json->boolean;
                else
                        schema_fault(context, place, "must be true or false");
                return;
        case CM_TYPE_OBJECT:
                decode_object(context, place, schema, json, out);
                return;
        case CM_TYPE_ARRAY:
                decode_array(context, place, schema, json, out);
                return;
        case CM_TYPE_ANY:
                decode_any(context, place, schema, json, out);
                return;
        case CM_TYPE_ONE_OF:
                decode_one_of(context, place, schema, json, out);
                return;
        }
}

int cm_schema_decode(const struct cm_schema *schema, struct cm_str json, struct cm_arena *arena,
                     void *out, struct cm_faults *faults)
{
        const struct schema_context context = { arena, faults, CM_STR("") };
        const struct cm_json_node *tree;
        struct cm_json_error error;

        memset(out, 0, schema->size);
        tree = cm_json_parse(json, begin_scratch(), &error);
        if (tree)
                decode_value(&context, NULL, schema, tree, out);
        else
                schema_fault(&context, NULL, "%s (line %d, column %d)", error.what, error.line,
                             error.column);
        cm_arena_reset(&scratch);
        if (!tree)
                return CM_DECODE_NOT_JSON;
        return faults->count ? CM_DECODE_FAULTS : 0;
}

int cm_schema_decode_tree(const struct cm_schema *schema, const struct cm_json_node *tree,
                          struct cm_arena *arena, void *out, struct cm_faults *faults)
{
        const struct schema_context context = { arena, faults, CM_STR("") };

        memset(out, 0, schema->size);
        decode_value(&context, NULL, schema, tree, out);
        return faults->count ? CM_DECODE_FAULTS : 0;
}
