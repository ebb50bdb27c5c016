#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * Schemas as data. The build turns each schema of proto/ into a C struct and one constant
 * `struct cm_schema` that describes it; this module decodes and encodes any of them.
 *
 * Decoding validates all that the schema says: types, bounds, formats, required and unknown
 * members, duplicate keys, depth. Each fault is reported with a JSON Pointer; decoding goes on
 * after a fault to report up to `max_faults`. What was decoded lives in the arena; the parser's own
 * tree is gone when the call returns.
 *
 * C types: string `struct cm_str`; integer `int64_t`; number `double`; boolean `bool`; enumeration
 * an `int32_t` that holds an enum constant (numbered from 1 in the order of the schema, stable);
 * date-time `cm_time`; date `cm_date`; uuid `struct cm_uuid`; object: the nested struct, embedded;
 * array: struct { T *items; size_t count; }; free-form JSON: `struct cm_str` with the text of an
 * object, without blanks; one-of: { int32_t kind; union }.
 * Each member that is not required or may be null has a `uint8_t has_x` beside it: enum
 * cm_presence.
 */
enum cm_presence { CM_ABSENT = 0, CM_PRESENT = 1, CM_NULL = 2 };

enum cm_type {
        CM_TYPE_STRING,
        CM_TYPE_INTEGER,
        CM_TYPE_NUMBER,
        CM_TYPE_BOOLEAN,
        CM_TYPE_ENUM,
        CM_TYPE_TIME,
        CM_TYPE_DATE,
        CM_TYPE_UUID,
        CM_TYPE_OBJECT,
        CM_TYPE_ARRAY,
        CM_TYPE_ANY,   /* free-form JSON, kept as text */
        CM_TYPE_ONE_OF /* by the value of a discriminator member */
};

enum cm_format {
        CM_FORMAT_NONE,
        CM_FORMAT_EMAIL,
        CM_FORMAT_TIME_ZONE,
        CM_FORMAT_LANGUAGE,
        CM_FORMAT_CLOCK_TIME, /* HH:MM */
        CM_FORMAT_URI,
        CM_FORMAT_LINE, /* text without control characters */
};

struct cm_schema;

struct cm_member {
        const char *name;
        const struct cm_schema *schema;
        size_t offset;
        size_t has_offset; /* CM_NO_OFFSET when there is no has_x */
        bool required;
        bool nullable;
        bool read_only; /* refused when decoding */
};
#define CM_NO_OFFSET ((size_t)-1)

struct cm_variant {
        const char *value; /* of the discriminator */
        const struct cm_schema *schema;
        int32_t kind;
};

struct cm_schema {
        const char *name; /* as in proto/, for messages */
        enum cm_type type;
        size_t size; /* of the C type */
        enum cm_format format;
        bool has_min, has_max, exclusive_min, exclusive_max;
        double min, max; /* numbers */
        size_t min_len,
                max_len; /* code points of a string, items of an array, bytes of free JSON */
        bool unique_items;
        const char *const *values; /* enumeration: values[0] is constant 1 */
        size_t value_count;
        const struct cm_member *members; /* object */
        size_t member_count;
        const struct cm_schema *items; /* array: struct { T *items; size_t count; } */
        const char *discriminator;     /* one-of */
        const struct cm_variant *variants;
        size_t variant_count;
        size_t union_offset; /* one-of: offset of the union behind `kind` */
};

struct cm_fault {
        struct cm_str pointer; /* JSON Pointer; "" is the whole document */
        struct cm_str detail;  /* for people, English, no values that the client sent */
};

struct cm_faults {
        struct cm_fault items[16];
        size_t count;
};

/* How every generated array lies in memory. */
struct cm_items {
        void *items;
        size_t count;
};

/* Adds a fault; beyond the room they are dropped. pointer and detail are copied to the arena. */
void cm_fault_add(struct cm_faults *faults, struct cm_arena *arena, struct cm_str pointer,
                  const char *detail, ...) CM_PRINTF(4, 5);

enum { CM_DECODE_FAULTS = 1, CM_DECODE_NOT_JSON = 2 };

/*
 * Decodes one document into `out` (schema->size bytes). Returns 0, CM_DECODE_NOT_JSON (one fault
 * that names line and column) or CM_DECODE_FAULTS. Does not suspend.
 */
int cm_schema_decode(const struct cm_schema *schema, struct cm_str json, struct cm_arena *arena,
                     void *out, struct cm_faults *faults) CM_MUST_CHECK;

/* The same of a document that came in another form than text; `tree` as cm_json_parse() makes them.
 */
struct cm_json_node;
int cm_schema_decode_tree(const struct cm_schema *schema, const struct cm_json_node *tree,
                          struct cm_arena *arena, void *out,
                          struct cm_faults *faults) CM_MUST_CHECK;

/* Decodes one value that came as text (path, query, header) by a scalar schema or an array of such
 * (comma-separated). `pointer` is what a fault will name. Returns 0 or CM_DECODE_FAULTS. */
int cm_schema_decode_text(const struct cm_schema *schema, struct cm_str text, struct cm_str pointer,
                          struct cm_arena *arena, void *out,
                          struct cm_faults *faults) CM_MUST_CHECK;

/* Appends `value` as JSON. Members that are absent are left out; read-only ones are written; a
 * constant (`const`) is written whatever the struct holds. */
void cm_schema_encode(const struct cm_schema *schema, const void *value, struct cm_buf *out);

/* The enumeration's text for a constant, and back; NULL and 0 when there is none. */
const char *cm_schema_enum_name(const struct cm_schema *schema, int32_t constant);
int32_t cm_schema_enum_value(const struct cm_schema *schema, struct cm_str text);

/* Appends the name of the member that lies at `offset` of an object's struct and has `size` bytes,
 * or of a member of an object in it ("context.mood"). Returns its schema; there must be one. */
const struct cm_schema *cm_schema_path(const struct cm_schema *object, size_t offset, size_t size,
                                       struct cm_buf *out);
