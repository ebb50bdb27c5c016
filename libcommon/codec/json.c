#include "codec/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void cm_json_writer_init(struct cm_json_writer *writer, struct cm_buf *out)
{
        *writer = (struct cm_json_writer){ .out = out };
}

static void before_value(struct cm_json_writer *writer)
{
        if (writer->comma)
                cm_buf_add_char(writer->out, ',');
        writer->comma = true;
}

static void open_with(struct cm_json_writer *writer, char bracket)
{
        before_value(writer);
        cm_buf_add_char(writer->out, bracket);
        writer->comma = false;
}

static void close_with(struct cm_json_writer *writer, char bracket)
{
        cm_buf_add_char(writer->out, bracket);
        writer->comma = true;
}

void cm_json_object(struct cm_json_writer *writer)
{
        open_with(writer, '{');
}

void cm_json_object_end(struct cm_json_writer *writer)
{
        close_with(writer, '}');
}

void cm_json_array(struct cm_json_writer *writer)
{
        open_with(writer, '[');
}

void cm_json_array_end(struct cm_json_writer *writer)
{
        close_with(writer, ']');
}

static bool needs_escape(char c)
{
        return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

static void add_escaped(struct cm_buf *out, char c)
{
        static const char named[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
        const char *found = c ? strchr(named, c) : NULL;

        if (found)
                cm_buf_printf(out, "\\%c", letters[found - named]);
        else
                cm_buf_printf(out, "\\u%04x", (unsigned char)c);
}

static size_t plain_length(struct cm_str text)
{
        size_t i = 0;

        while (i < text.len && !needs_escape(text.data[i]))
                i++;
        return i;
}

/* Text that needs no escapes, between quotes, with what comes before and after it. */
static void add_between(struct cm_buf *out, bool comma, struct cm_str text, bool colon)
{
        char *p;

        cm_buf_reserve(out, text.len + 4);
        p = out->data + out->len;
        if (comma)
                *p++ = ',';
        *p++ = '"';
        if (text.len)
                memcpy(p, text.data, text.len);
        p += text.len;
        *p++ = '"';
        if (colon)
                *p++ = ':';
        *p = '\0';
        out->len = (size_t)(p - out->data);
}

static void add_quoted(struct cm_buf *out, struct cm_str text)
{
        struct cm_str rest = text;

        cm_buf_add_char(out, '"');
        while (rest.len) {
                size_t plain = plain_length(rest);

                cm_buf_add(out, rest.data, plain);
                if (plain == rest.len)
                        break;
                add_escaped(out, rest.data[plain]);
                rest = (struct cm_str){ rest.data + plain + 1, rest.len - plain - 1 };
        }
        cm_buf_add_char(out, '"');
}

void cm_json_member(struct cm_json_writer *writer, struct cm_str name)
{
        if (plain_length(name) == name.len) {
                add_between(writer->out, writer->comma, name, true);
        } else {
                before_value(writer);
                add_quoted(writer->out, name);
                cm_buf_add_char(writer->out, ':');
        }
        writer->comma = false;
}

void cm_json_key(struct cm_json_writer *writer, const char *key)
{
        add_between(writer->out, writer->comma, cm_str_from(key), true);
        writer->comma = false;
}

void cm_json_text(struct cm_json_writer *writer, struct cm_str value)
{
        if (!value.data) {
                cm_json_null(writer);
                return;
        }
        if (plain_length(value) == value.len) {
                add_between(writer->out, writer->comma, value, false);
        } else {
                before_value(writer);
                add_quoted(writer->out, value);
        }
        writer->comma = true;
}

/* Decimal digits of `value`, the last `decimals` of them behind a point. */
static void add_decimal(struct cm_buf *out, int64_t value, int decimals)
{
        char text[32], *p = text + sizeof(text);
        uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
        int digits = 0;

        do {
                *--p = (char)('0' + rest % 10);
                rest /= 10;
                if (++digits == decimals)
                        *--p = '.';
        } while (rest || digits <= decimals);
        if (value < 0)
                *--p = '-';
        cm_buf_add(out, p, (size_t)(text + sizeof(text) - p));
}

void cm_json_integer(struct cm_json_writer *writer, int64_t value)
{
        before_value(writer);
        add_decimal(writer->out, value, 0);
}

/*
 * Most numbers of people have up to three decimals. When a whole number divided by 10^k is exactly
 * the value, that decimal is what "%.15g" would print, at a tenth of the cost.
 */
static bool add_short_number(struct cm_buf *out, double value)
{
        static const double scales[] = { 1, 10, 100, 1000 };

        for (int decimals = 0; decimals < 4; decimals++) {
                double scaled = value * scales[decimals];
                int64_t whole;

                if (!(fabs(scaled) < 1e15))
                        return false;
                whole = (int64_t)(scaled + copysign(0.5, scaled));
                if ((double)whole / scales[decimals] == value) {
                        add_decimal(out, whole, decimals);
                        return true;
                }
        }
        return false;
}

void cm_json_number(struct cm_json_writer *writer, double value)
{
        if (!isfinite(value)) {
                cm_json_null(writer);
                return;
        }
        before_value(writer);
        if (!add_short_number(writer->out, value))
                cm_buf_printf(writer->out, "%.15g", value);
}

static void add_literal(struct cm_json_writer *writer, struct cm_str text)
{
        before_value(writer);
        cm_buf_add_str(writer->out, text);
}

void cm_json_bool(struct cm_json_writer *writer, bool value)
{
        add_literal(writer, value ? CM_STR("true") : CM_STR("false"));
}

void cm_json_null(struct cm_json_writer *writer)
{
        add_literal(writer, CM_STR("null"));
}

void cm_json_raw(struct cm_json_writer *writer, struct cm_str json)
{
        add_literal(writer, json.data ? json : CM_STR("null"));
}

/* Text that needs no escapes. */
static void add_plain(struct cm_json_writer *writer, const char *text)
{
        add_between(writer->out, writer->comma, cm_str_from(text), false);
        writer->comma = true;
}

void cm_json_time(struct cm_json_writer *writer, cm_time value)
{
        char text[CM_TIME_TEXT_SIZE];

        add_plain(writer, cm_time_format(value, text));
}

void cm_json_date(struct cm_json_writer *writer, cm_date value)
{
        char text[CM_DATE_TEXT_SIZE];

        add_plain(writer, cm_date_format(value, text));
}

void cm_json_uuid(struct cm_json_writer *writer, const struct cm_uuid *value)
{
        char text[CM_UUID_TEXT_SIZE];

        add_plain(writer, cm_uuid_format(value, text));
}
