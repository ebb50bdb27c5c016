#include <arpa/inet.h>
#include <endian.h>
#include <libpq-fe.h>
#include <string.h>

#include "base/assert.h"
#include "store/pg.h"

/* PostgreSQL's binary formats: big-endian numbers, times in µs and dates in days since 2000-01-01.
 */
#define EPOCH_DAYS 10957
#define EPOCH_US   (EPOCH_DAYS * CM_DAY)

enum {
        OID_BOOL = 16,
        OID_BYTEA = 17,
        OID_INT8 = 20,
        OID_INT2 = 21,
        OID_INT4 = 23,
        OID_TEXT = 25,
        OID_DATE = 1082,
        OID_TIMESTAMPTZ = 1184,
        OID_UUID = 2950,
        OID_JSONB = 3802
};

static void add_int16(struct cm_buf *out, int16_t value)
{
        uint16_t big = htobe16((uint16_t)value);

        cm_buf_add(out, &big, sizeof(big));
}

static void add_int32(struct cm_buf *out, int32_t value)
{
        uint32_t big = htobe32((uint32_t)value);

        cm_buf_add(out, &big, sizeof(big));
}

static void add_int64(struct cm_buf *out, int64_t value)
{
        uint64_t big = htobe64((uint64_t)value);

        cm_buf_add(out, &big, sizeof(big));
}

/* ---- parameters */

void cm_pg_params_deinit(struct cm_pg_params *params)
{
        cm_buf_deinit(&params->space);
        params->count = 0;
}

/* Values are remembered by offset, because the space moves while it grows. */
static void begin(struct cm_pg_params *params)
{
        CM_ASSERT(params->count < CM_PG_MAX_PARAMS);
        params->offsets[params->count] = params->space.len;
}

static void end(struct cm_pg_params *params)
{
        size_t i = params->count++;

        params->lengths[i] = (int)(params->space.len - params->offsets[i]);
        params->values[i] = "";
        cm_buf_add_char(&params->space, '\0'); /* an empty value still has an address */
}

void cm_pg_put_null(struct cm_pg_params *params)
{
        begin(params);
        params->lengths[params->count] = 0;
        params->values[params->count++] = NULL;
}

void cm_pg_put_text(struct cm_pg_params *params, struct cm_str text)
{
        if (!text.data) {
                cm_pg_put_null(params);
                return;
        }
        begin(params);
        cm_buf_add_str(&params->space, text);
        end(params);
}

void cm_pg_put_bytes(struct cm_pg_params *params, struct cm_str bytes)
{
        cm_pg_put_text(params, bytes);
}

void cm_pg_put_jsonb(struct cm_pg_params *params, struct cm_str json)
{
        if (!json.data) {
                cm_pg_put_null(params);
                return;
        }
        begin(params);
        cm_buf_add_char(&params->space, 1); /* version of the format */
        cm_buf_add_str(&params->space, json);
        end(params);
}

void cm_pg_put_bool(struct cm_pg_params *params, bool value)
{
        begin(params);
        cm_buf_add_char(&params->space, value);
        end(params);
}

void cm_pg_put_int2(struct cm_pg_params *params, int16_t value)
{
        begin(params);
        add_int16(&params->space, value);
        end(params);
}

void cm_pg_put_int4(struct cm_pg_params *params, int32_t value)
{
        begin(params);
        add_int32(&params->space, value);
        end(params);
}

void cm_pg_put_int8(struct cm_pg_params *params, int64_t value)
{
        begin(params);
        add_int64(&params->space, value);
        end(params);
}

void cm_pg_put_time(struct cm_pg_params *params, cm_time value)
{
        cm_pg_put_int8(params, value - EPOCH_US);
}

void cm_pg_put_date(struct cm_pg_params *params, cm_date value)
{
        cm_pg_put_int4(params, value - EPOCH_DAYS);
}

void cm_pg_put_uuid(struct cm_pg_params *params, const struct cm_uuid *value)
{
        if (!value) {
                cm_pg_put_null(params);
                return;
        }
        begin(params);
        cm_buf_add(&params->space, value->bytes, sizeof(value->bytes));
        end(params);
}

/* ---- arrays: dimensions, has-null flag, element type, length, lower bound, then the elements */

static const struct {
        int32_t oid;
        int size; /* of integers; 0: bytes of any length */
} array_kinds[] = {
        [CM_PG_TEXT_ARRAY] = { OID_TEXT, 0 },        [CM_PG_BYTEA_ARRAY] = { OID_BYTEA, 0 },
        [CM_PG_JSONB_ARRAY] = { OID_JSONB, 0 },      [CM_PG_INT2_ARRAY] = { OID_INT2, 2 },
        [CM_PG_INT4_ARRAY] = { OID_INT4, 4 },        [CM_PG_INT8_ARRAY] = { OID_INT8, 8 },
        [CM_PG_TIME_ARRAY] = { OID_TIMESTAMPTZ, 8 }, [CM_PG_DATE_ARRAY] = { OID_DATE, 4 },
        [CM_PG_UUID_ARRAY] = { OID_UUID, 0 },        [CM_PG_BOOL_ARRAY] = { OID_BOOL, 1 },
};

#define ARRAY_HEADER 20

void cm_pg_array_begin(struct cm_pg_params *params, enum cm_pg_array kind)
{
        begin(params);
        add_int32(&params->space, 1);
        add_int32(&params->space, 0);
        add_int32(&params->space, array_kinds[kind].oid);
        add_int32(&params->space, 0);
        add_int32(&params->space, 1);
        params->array_kind = kind;
        params->array_items = 0;
        params->array_has_null = false;
}

void cm_pg_array_null(struct cm_pg_params *params)
{
        add_int32(&params->space, -1);
        params->array_items++;
        params->array_has_null = true;
}

void cm_pg_array_text(struct cm_pg_params *params, struct cm_str value)
{
        bool jsonb = params->array_kind == CM_PG_JSONB_ARRAY;

        if (!value.data) {
                cm_pg_array_null(params);
                return;
        }
        add_int32(&params->space, (int32_t)value.len + jsonb);
        if (jsonb)
                cm_buf_add_char(&params->space, 1);
        cm_buf_add_str(&params->space, value);
        params->array_items++;
}

void cm_pg_array_int(struct cm_pg_params *params, int64_t value)
{
        int size = array_kinds[params->array_kind].size;

        if (params->array_kind == CM_PG_TIME_ARRAY)
                value -= EPOCH_US;
        if (params->array_kind == CM_PG_DATE_ARRAY)
                value -= EPOCH_DAYS;
        add_int32(&params->space, size);
        switch (size) {
        case 1:
                cm_buf_add_char(&params->space, (char)value);
                break;
        case 2:
                add_int16(&params->space, (int16_t)value);
                break;
        case 4:
                add_int32(&params->space, (int32_t)value);
                break;
        default:
                CM_ASSERT(size == 8);
                add_int64(&params->space, value);
        }
        params->array_items++;
}

void cm_pg_array_uuid(struct cm_pg_params *params, const struct cm_uuid *value)
{
        if (value)
                cm_pg_array_text(params, (struct cm_str){ (const char *)value->bytes, 16 });
        else
                cm_pg_array_null(params);
}

static void patch_int32(struct cm_buf *buf, size_t offset, int32_t value)
{
        uint32_t big = htobe32((uint32_t)value);

        memcpy(buf->data + offset, &big, sizeof(big));
}

void cm_pg_array_end(struct cm_pg_params *params)
{
        size_t start = params->offsets[params->count];

        patch_int32(&params->space, start + 4, params->array_has_null);
        patch_int32(&params->space, start + 12, params->array_items);
        end(params);
}

/* ---- results */

void cm_pg_result_clear(struct cm_pg_result *result)
{
        PQclear(result->handle);
        *result = (struct cm_pg_result){ 0 };
}

bool cm_pg_is_null(const struct cm_pg_result *result, int row, int column)
{
        return PQgetisnull(result->handle, row, column);
}

struct cm_str cm_pg_text(const struct cm_pg_result *result, int row, int column)
{
        if (cm_pg_is_null(result, row, column))
                return CM_STR_NONE;
        return (struct cm_str){ PQgetvalue(result->handle, row, column),
                                (size_t)PQgetlength(result->handle, row, column) };
}

struct cm_str cm_pg_jsonb(const struct cm_pg_result *result, int row, int column)
{
        struct cm_str text = cm_pg_text(result, row, column);

        if (text.len) {
                text.data++;
                text.len--;
        }
        return text;
}

/* The bytes of a value that must have this size: a mismatch is a fault in our SQL. */
static const char *fixed(const struct cm_pg_result *result, int row, int column, int size)
{
        CM_ASSERT(PQgetlength(result->handle, row, column) == size);
        return PQgetvalue(result->handle, row, column);
}

int64_t cm_pg_int(const struct cm_pg_result *result, int row, int column)
{
        const char *value = PQgetvalue(result->handle, row, column);
        uint16_t two;
        uint32_t four;
        uint64_t eight;

        if (cm_pg_is_null(result, row, column))
                return 0;
        switch (PQgetlength(result->handle, row, column)) {
        case 2:
                memcpy(&two, value, 2);
                return (int16_t)be16toh(two);
        case 4:
                memcpy(&four, value, 4);
                return (int32_t)be32toh(four);
        default:
                memcpy(&eight, fixed(result, row, column, 8), 8);
                return (int64_t)be64toh(eight);
        }
}

bool cm_pg_bool(const struct cm_pg_result *result, int row, int column)
{
        return !cm_pg_is_null(result, row, column) && *fixed(result, row, column, 1);
}

double cm_pg_real(const struct cm_pg_result *result, int row, int column)
{
        int64_t bits = cm_pg_int(result, row, column);
        double value;

        memcpy(&value, &bits, sizeof(value));
        return value;
}

cm_time cm_pg_time(const struct cm_pg_result *result, int row, int column)
{
        return cm_pg_int(result, row, column) + EPOCH_US;
}

cm_date cm_pg_date(const struct cm_pg_result *result, int row, int column)
{
        return (cm_date)cm_pg_int(result, row, column) + EPOCH_DAYS;
}

struct cm_uuid cm_pg_uuid(const struct cm_pg_result *result, int row, int column)
{
        struct cm_uuid uuid = { 0 };

        if (!cm_pg_is_null(result, row, column))
                memcpy(uuid.bytes, fixed(result, row, column, 16), 16);
        return uuid;
}

/* ---- COPY in binary */

void cm_pg_copy_header(struct cm_buf *out)
{
        cm_buf_add(out, "PGCOPY\n\377\r\n\0", 11);
        add_int32(out, 0); /* flags */
        add_int32(out, 0); /* header extension */
}

void cm_pg_copy_row(struct cm_buf *out, int16_t fields)
{
        add_int16(out, fields);
}

void cm_pg_copy_null(struct cm_buf *out)
{
        add_int32(out, -1);
}

void cm_pg_copy_bytes(struct cm_buf *out, struct cm_str value)
{
        if (!value.data) {
                cm_pg_copy_null(out);
                return;
        }
        add_int32(out, (int32_t)value.len);
        cm_buf_add_str(out, value);
}

void cm_pg_copy_jsonb(struct cm_buf *out, struct cm_str json)
{
        if (!json.data) {
                cm_pg_copy_null(out);
                return;
        }
        add_int32(out, (int32_t)json.len + 1);
        cm_buf_add_char(out, 1);
        cm_buf_add_str(out, json);
}

void cm_pg_copy_int2(struct cm_buf *out, int16_t value)
{
        add_int32(out, 2);
        add_int16(out, value);
}

void cm_pg_copy_int4(struct cm_buf *out, int32_t value)
{
        add_int32(out, 4);
        add_int32(out, value);
}

void cm_pg_copy_int8(struct cm_buf *out, int64_t value)
{
        add_int32(out, 8);
        add_int64(out, value);
}

void cm_pg_copy_time(struct cm_buf *out, cm_time value)
{
        cm_pg_copy_int8(out, value - EPOCH_US);
}

void cm_pg_copy_date(struct cm_buf *out, cm_date value)
{
        cm_pg_copy_int4(out, value - EPOCH_DAYS);
}

void cm_pg_copy_uuid(struct cm_buf *out, const struct cm_uuid *value)
{
        if (!value) {
                cm_pg_copy_null(out);
                return;
        }
        add_int32(out, 16);
        cm_buf_add(out, value->bytes, 16);
}

void cm_pg_copy_trailer(struct cm_buf *out)
{
        add_int16(out, -1);
}
