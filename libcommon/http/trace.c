#include "http/trace.h"

#include <string.h>

#include "base/uuid.h"

#define TRACEPARENT_LEN (CM_TRACEPARENT_SIZE - 1)
#define TRACE_AT        3
#define SPAN_AT         36
#define FLAGS_AT        53

void cm_trace_source_init(struct cm_trace_source *source)
{
        cm_random(source->state, sizeof(source->state));
        source->state[0] |= 1;
}

/* xorshift128+ */
static uint64_t next(struct cm_trace_source *source)
{
        uint64_t a = source->state[0], b = source->state[1];

        source->state[0] = b;
        a ^= a << 23;
        a ^= a >> 17 ^ b ^ b >> 26;
        source->state[1] = a;
        return a + b;
}

/* 16 digits, never all zero. */
static void put_hex(struct cm_trace_source *source, char *out)
{
        static const char digits[] = "0123456789abcdef";
        uint64_t value = next(source) | 1;

        for (int i = 0; i < 16; i++, value >>= 4)
                out[i] = digits[value & 15];
}

static bool is_name(struct cm_str text)
{
        if (!text.len || text.len >= CM_REQUEST_ID_SIZE)
                return false;
        for (size_t i = 0; i < text.len; i++) {
                char c = text.data[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '~' || c == '-'))
                        return false;
        }
        return true;
}

void cm_request_id_choose(struct cm_trace_source *source, struct cm_str given,
                          char out[CM_REQUEST_ID_SIZE])
{
        if (is_name(given)) {
                memcpy(out, given.data, given.len);
                out[given.len] = '\0';
                return;
        }
        put_hex(source, out);
        put_hex(source, out + 16);
        out[32] = '\0';
}

/* Lower-case hexadecimal digits, not all of them zero. */
static bool is_hex_id(const char *text, size_t len)
{
        bool zero = true;

        for (size_t i = 0; i < len; i++) {
                if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
                        return false;
                zero = zero && text[i] == '0';
        }
        return !zero;
}

static bool is_hex_byte(const char *text)
{
        return is_hex_id(text, 2) || memcmp(text, "00", 2) == 0;
}

static bool is_traceparent(struct cm_str text)
{
        const char *t = text.data;

        if (text.len < TRACEPARENT_LEN || t[2] != '-' || t[SPAN_AT - 1] != '-' ||
            t[FLAGS_AT - 1] != '-')
                return false;
        if (!is_hex_byte(t) || memcmp(t, "ff", 2) == 0 || !is_hex_byte(t + FLAGS_AT))
                return false;
        if (memcmp(t, "00", 2) == 0 ? text.len != TRACEPARENT_LEN
                                    : text.len > TRACEPARENT_LEN && t[TRACEPARENT_LEN] != '-')
                return false;
        return is_hex_id(t + TRACE_AT, 32) && is_hex_id(t + SPAN_AT, 16);
}

void cm_traceparent_choose(struct cm_trace_source *source, struct cm_str given,
                           char out[CM_TRACEPARENT_SIZE])
{
        memcpy(out, "00-", TRACE_AT);
        if (is_traceparent(given)) {
                memcpy(out + TRACE_AT, given.data + TRACE_AT, 32);
                memcpy(out + FLAGS_AT, given.data + FLAGS_AT, 2);
        } else {
                put_hex(source, out + TRACE_AT);
                put_hex(source, out + TRACE_AT + 16);
                memcpy(out + FLAGS_AT, "01", 2);
        }
        out[SPAN_AT - 1] = '-';
        put_hex(source, out + SPAN_AT);
        out[FLAGS_AT - 1] = '-';
        out[TRACEPARENT_LEN] = '\0';
}
