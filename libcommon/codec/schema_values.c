#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "base/uuid.h"
#include "codec/schema_internal.h"
#include "codec/text.h"

/* ---- faults */

#define POINTER_MAX 500 /* bytes */

static void add_fault(struct cm_faults *faults, struct cm_arena *arena, struct cm_str pointer,
                      const char *detail, va_list args)
{
        char text[400];

        if (faults->count == CM_COUNT(faults->items))
                return;
        vsnprintf(text, sizeof(text), detail, args);
        faults->items[faults->count++] = (struct cm_fault){
                cm_arena_str(arena, pointer),
                cm_arena_str(arena, cm_str_from(text)),
        };
}

void cm_fault_add(struct cm_faults *faults, struct cm_arena *arena, struct cm_str pointer,
                  const char *detail, ...)
{
        va_list args;

        va_start(args, detail);
        add_fault(faults, arena, pointer, detail, args);
        va_end(args);
}

/* RFC 6901: "~" and "/" in a member's name are escaped. */
static void add_reference(struct cm_buf *out, struct cm_str key)
{
        for (size_t i = 0; i < key.len; i++) {
                if (key.data[i] == '~')
                        cm_buf_add_str(out, CM_STR("~0"));
                else if (key.data[i] == '/')
                        cm_buf_add_str(out, CM_STR("~1"));
                else
                        cm_buf_add_char(out, key.data[i]);
        }
}

static void add_pointer(struct cm_buf *out, const struct schema_place *place)
{
        if (!place)
                return;
        add_pointer(out, place->parent);
        cm_buf_add_char(out, '/');
        if (place->key.data)
                add_reference(out, place->key);
        else
                cm_buf_printf(out, "%zu", place->index);
}

/* A pointer may hold a member's name from outside: cut between code points. */
static struct cm_str cut(struct cm_str pointer)
{
        if (pointer.len > POINTER_MAX) {
                pointer.len = POINTER_MAX;
                while (((unsigned char)pointer.data[pointer.len] & 0xC0) == 0x80)
                        pointer.len--;
        }
        return pointer.data ? pointer : CM_STR("");
}

void schema_fault(const struct schema_context *context, const struct schema_place *place,
                  const char *detail, ...)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf pointer = { 0 };
        va_list args;

        if (context->faults->count == CM_COUNT(context->faults->items))
                return;
        cm_buf_add_str(&pointer, context->base);
        add_pointer(&pointer, place);
        va_start(args, detail);
        add_fault(context->faults, context->arena, cut(cm_buf_str(&pointer)), detail, args);
        va_end(args);
}

/* ---- text */

static bool length_holds(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, struct cm_str text)
{
        size_t length = cm_utf8_length(text);

        if (length < schema->min_len)
                schema_fault(context, place, "must have at least %zu character%s", schema->min_len,
                             schema->min_len == 1 ? "" : "s");
        else if (schema->max_len && length > schema->max_len)
                schema_fault(context, place, "must have at most %zu characters", schema->max_len);
        else
                return true;
        return false;
}

/* What the text should have been, or NULL when it is right. */
static const char *format_fault(enum cm_format format, struct cm_str text)
{
        switch (format) {
        case CM_FORMAT_NONE:
                return NULL;
        case CM_FORMAT_EMAIL:
                return cm_email_is_valid(text) ? NULL : "must be an e-mail address";
        case CM_FORMAT_TIME_ZONE:
                return cm_time_zone_is_known(text) ? NULL : "must be an IANA time zone";
        case CM_FORMAT_LANGUAGE:
                return cm_language_is_valid(text) ? NULL : "must be a BCP 47 language tag";
        case CM_FORMAT_CLOCK_TIME:
                return cm_clock_time_is_valid(text) ? NULL : "must be a time of day as HH:MM";
        case CM_FORMAT_URI:
                return cm_uri_is_valid(text) ? NULL : "must be an absolute URI";
        case CM_FORMAT_LINE:
                return cm_line_is_valid(text) ? NULL : "must not contain control characters";
        }
        return NULL;
}

static void store_string(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, struct cm_str text, void *out)
{
        const char *fault;

        if (!length_holds(context, place, schema, text))
                return;
        fault = format_fault(schema->format, text);
        if (fault)
                schema_fault(context, place, "%s", fault);
        else
                *(struct cm_str *)out = cm_arena_str(context->arena, text);
}

static void store_enum(const struct schema_context *context, const struct schema_place *place,
                       const struct cm_schema *schema, struct cm_str text, void *out)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf list = { 0 };
        int32_t constant = cm_schema_enum_value(schema, text);

        *(int32_t *)out = constant;
        if (constant)
                return;
        for (size_t i = 0; i < schema->value_count; i++)
                cm_buf_printf(&list, "%s%s", i ? ", " : "", schema->values[i]);
        schema_fault(context, place, schema->value_count == 1 ? "must be %s" : "must be one of: %s",
                     cm_buf_str(&list).data);
}

void schema_store_text(const struct schema_context *context, const struct schema_place *place,
                       const struct cm_schema *schema, struct cm_str text, void *out)
{
        switch (schema->type) {
        case CM_TYPE_ENUM:
                store_enum(context, place, schema, text, out);
                return;
        case CM_TYPE_TIME:
                if (!cm_time_parse(text, out, NULL))
                        schema_fault(context, place,
                                     "must be a date-time with an offset (RFC 3339)");
                return;
        case CM_TYPE_DATE:
                if (!cm_date_parse(text, out))
                        schema_fault(context, place, "must be a date as YYYY-MM-DD");
                return;
        case CM_TYPE_UUID:
                if (!cm_uuid_parse(text, out))
                        schema_fault(context, place, "must be a UUID");
                return;
        default:
                store_string(context, place, schema, text, out);
        }
}

/* ---- numbers */

static bool range_holds(const struct schema_context *context, const struct schema_place *place,
                        const struct cm_schema *schema, double value)
{
        bool low = schema->has_min &&
                   (schema->exclusive_min ? value <= schema->min : value < schema->min);
        bool high = schema->has_max &&
                    (schema->exclusive_max ? value >= schema->max : value > schema->max);

        if (low)
                schema_fault(context, place, "must be %s %.15g",
                             schema->exclusive_min ? "greater than" : "at least", schema->min);
        if (high)
                schema_fault(context, place, "must be %s %.15g",
                             schema->exclusive_max ? "less than" : "at most", schema->max);
        return !low && !high;
}

void schema_store_integer(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_schema *schema, int64_t value, void *out)
{
        if (range_holds(context, place, schema, (double)value))
                *(int64_t *)out = value;
}

void schema_store_number(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, double value, void *out)
{
        if (fabs(value) > SCHEMA_NUMBER_MAX)
                schema_fault(context, place, "must be at most %g", SCHEMA_NUMBER_MAX);
        else if (range_holds(context, place, schema, value))
                *(double *)out = value + 0.0; /* -0 is 0 */
}

bool schema_count_holds(const struct schema_context *context, const struct schema_place *place,
                        const struct cm_schema *schema, size_t count)
{
        if (count < schema->min_len)
                schema_fault(context, place, "must have at least %zu item%s", schema->min_len,
                             schema->min_len == 1 ? "" : "s");
        else if (schema->max_len && count > schema->max_len)
                schema_fault(context, place, "must have at most %zu items", schema->max_len);
        else
                return true;
        return false;
}
