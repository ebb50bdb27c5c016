#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "codec/schema_internal.h"

/*
 * Jansson parses, and its tree is walked along the schema. The tree lives in a scratch arena of the
 * thread: building it is then a bump of a pointer per node, and it is gone with one reset before
 * the caller goes on. Outside of a decode jansson allocates as usual (libjwt uses it as well).
 */
#define SCRATCH_BLOCK 16384

static _Thread_local struct cm_arena scratch;
static _Thread_local bool scratch_on;

static void *scratch_malloc(size_t size)
{
        return scratch_on ? cm_arena_alloc(&scratch, size) : malloc(size);
}

static void scratch_free(void *ptr)
{
        if (!scratch_on)
                free(ptr);
}

/* Thread-local variables have no destructors; a key has. */
static pthread_key_t scratch_key;

static void free_scratch(void *arena)
{
        cm_arena_deinit(arena);
}

static void install_scratch(void)
{
        json_set_alloc_funcs(scratch_malloc, scratch_free);
        CM_ASSERT(pthread_key_create(&scratch_key, free_scratch) == 0);
}

static void begin_scratch(void)
{
        if (!scratch.block_size) {
                cm_arena_init(&scratch, SCRATCH_BLOCK);
                pthread_setspecific(scratch_key, &scratch);
        }
        scratch_on = true;
}

static void end_scratch(void)
{
        scratch_on = false;
        cm_arena_reset(&scratch);
}

/* ---- before parsing */

/* Nesting is counted before jansson recurses into it, on the fiber's small stack. */
static bool is_too_deep(struct cm_str json)
{
        size_t depth = 0;
        bool in_text = false;

        for (size_t i = 0; i < json.len; i++) {
                char c = json.data[i];

                if (in_text) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                in_text = false;
                } else if (c == '"') {
                        in_text = true;
                } else if (c == '{' || c == '[') {
                        if (++depth > CM_JSON_MAX_DEPTH)
                                return true;
                } else if (c == '}' || c == ']') {
                        depth -= depth > 0;
                }
        }
        return false;
}

static const char *syntax_fault(const json_error_t *error)
{
        switch (json_error_code(error)) {
        case json_error_duplicate_key:
                return "a member appears twice";
        case json_error_null_character:
        case json_error_null_byte_in_key:
                return "a text contains U+0000";
        case json_error_invalid_utf8:
                return "is not valid UTF-8";
        case json_error_numeric_overflow:
                return "a number is out of range";
        default:
                return "is not JSON";
        }
}

/* ---- values */

static void decode_value(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, json_t *json, void *out);

static void decode_number(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_schema *schema, json_t *json, void *out)
{
        if (json_is_number(json))
                schema_store_number(context, place, schema, json_number_value(json), out);
        else
                schema_fault(context, place, "must be a number");
}

/* 2.0 is an integer, as in JSON Schema. */
static void decode_integer(const struct schema_context *context, const struct schema_place *place,
                           const struct cm_schema *schema, json_t *json, void *out)
{
        double real = json_is_real(json) ? json_real_value(json) : 0.5;

        if (json_is_integer(json))
                schema_store_integer(context, place, schema, json_integer_value(json), out);
        else if (real == floor(real) && fabs(real) < 9007199254740992.0)
                schema_store_integer(context, place, schema, (int64_t)real, out);
        else
                schema_fault(context, place, "must be a whole number");
}

static void decode_text(const struct schema_context *context, const struct schema_place *place,
                        const struct cm_schema *schema, json_t *json, void *out)
{
        if (json_is_string(json))
                schema_store_text(
                        context, place, schema,
                        (struct cm_str){ json_string_value(json), json_string_length(json) }, out);
        else
                schema_fault(context, place, "must be a text");
}

static bool has_twin(json_t *array, size_t index)
{
        for (size_t i = 0; i < index; i++)
                if (json_equal(json_array_get(array, i), json_array_get(array, index)))
                        return true;
        return false;
}

static void decode_array(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, json_t *json, void *out)
{
        struct cm_items *items = out;
        size_t count = json_array_size(json);

        if (!json_is_array(json)) {
                schema_fault(context, place, "must be an array");
                return;
        }
        if (!schema_count_holds(context, place, schema, count))
                return;
        items->items = cm_arena_array(context->arena, count, schema->items->size);
        items->count = count;
        for (size_t i = 0; i < count; i++) {
                struct schema_place here = { place, NULL, i };

                decode_value(context, &here, schema->items, json_array_get(json, i),
                             (char *)items->items + i * schema->items->size);
                if (schema->unique_items && has_twin(json, i))
                        schema_fault(context, &here, "must not appear twice");
        }
}

static int add_dumped(const char *text, size_t len, void *out)
{
        cm_buf_add(out, text, len);
        return 0;
}

static void decode_any(const struct schema_context *context, const struct schema_place *place,
                       const struct cm_schema *schema, json_t *json, void *out)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };

        if (!json_is_object(json)) {
                schema_fault(context, place, "must be an object");
                return;
        }
        json_dump_callback(json, add_dumped, &text, JSON_COMPACT | JSON_REAL_PRECISION(15));
        if (schema->max_len && text.len > schema->max_len)
                schema_fault(context, place, "must have at most %zu bytes", schema->max_len);
        else
                *(struct cm_str *)out = cm_arena_str(context->arena, cm_buf_str(&text));
}

/* ---- objects */

static const struct cm_member *find_member(const struct cm_schema *schema, const char *name,
                                           size_t guess)
{
        /* Members mostly come in the schema's order. */
        if (guess < schema->member_count && strcmp(schema->members[guess].name, name) == 0)
                return &schema->members[guess];
        for (size_t i = 0; i < schema->member_count; i++)
                if (strcmp(schema->members[i].name, name) == 0)
                        return &schema->members[i];
        return NULL;
}

static void set_presence(const struct cm_member *member, void *out, enum cm_presence presence)
{
        if (member->has_offset != CM_NO_OFFSET)
                ((uint8_t *)out)[member->has_offset] = (uint8_t)presence;
}

static void decode_member(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_member *member, json_t *json, void *out)
{
        if (member->read_only) {
                schema_fault(context, place, "is set by the server");
        } else if (json_is_null(json) && member->nullable) {
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
                struct schema_place here = { place, member->name, 0 };

                if (member->required && !member->read_only && !(seen >> i & 1))
                        schema_fault(context, &here, "is required");
        }
}

static void decode_object(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_schema *schema, json_t *json, void *out)
{
        const char *name;
        json_t *value;
        size_t position = 0;
        uint64_t seen = 0; /* the generator allows no more than 64 members */

        if (!json_is_object(json)) {
                schema_fault(context, place, "must be an object");
                return;
        }
        json_object_foreach(json, name, value)
        {
                const struct cm_member *member = find_member(schema, name, position++);
                struct schema_place here = { place, name, 0 };

                if (member) {
                        position = (size_t)(member - schema->members) + 1;
                        seen |= UINT64_C(1) << (position - 1);
                        decode_member(context, &here, member, value, out);
                } else {
                        schema_fault(context, &here, "is not a member of %s", schema->name);
                }
        }
        check_required(context, place, schema, seen);
}

static void decode_one_of(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_schema *schema, json_t *json, void *out)
{
        struct schema_place here = { place, schema->discriminator, 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf list = { 0 };
        const char *value;

        if (!json_is_object(json)) {
                schema_fault(context, place, "must be an object");
                return;
        }
        value = json_string_value(json_object_get(json, schema->discriminator));
        for (size_t i = 0; i < schema->variant_count; i++) {
                const struct cm_variant *variant = &schema->variants[i];

                if (value && strcmp(variant->value, value) == 0) {
                        *(int32_t *)out = variant->kind;
                        decode_object(context, place, variant->schema, json,
                                      (char *)out + schema->union_offset);
                        return;
                }
                cm_buf_printf(&list, "%s%s", i ? ", " : "", variant->value);
        }
        schema_fault(context, &here, "must be one of: %s", cm_buf_str(&list).data);
}

static void decode_value(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, json_t *json, void *out)
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
                if (json_is_boolean(json))
                        *(bool *)out = json_is_true(json);
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
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        const struct schema_context context = { arena, faults, CM_STR("") };
        json_error_t error;
        json_t *tree;

        pthread_once(&once, install_scratch);
        memset(out, 0, schema->size);
        if (is_too_deep(json)) {
                schema_fault(&context, NULL, "is nested deeper than %d levels", CM_JSON_MAX_DEPTH);
                return CM_DECODE_NOT_JSON;
        }
        begin_scratch();
        tree = json_loadb(json.data ? json.data : "", json.len,
                          JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (tree)
                decode_value(&context, NULL, schema, tree, out);
        else
                schema_fault(&context, NULL, "%s (line %d, column %d)", syntax_fault(&error),
                             error.line, error.column);
        end_scratch();
        if (!tree)
                return CM_DECODE_NOT_JSON;
        return faults->count ? CM_DECODE_FAULTS : 0;
}
