#include "base/uuid.h"

#include <string.h>
#include <sys/random.h>

#include "base/assert.h"

void cm_random(void *out, size_t len)
{
        char *bytes = out;

        while (len) {
                ssize_t got = getrandom(bytes, len, 0);

                if (got < 0)
                        continue; /* interrupted before the pool was ready; nothing else can fail */
                bytes += got;
                len -= (size_t)got;
        }
}

/* Random bytes by the page, so that an id does not cost a system call. */
static void random_pooled(void *out, size_t len)
{
        static _Thread_local unsigned char pool[1024];
        static _Thread_local size_t left;

        CM_ASSERT(len <= sizeof(pool));
        if (left < len) {
                cm_random(pool, sizeof(pool));
                left = sizeof(pool);
        }
        left -= len;
        memcpy(out, pool + left, len);
        memset(pool + left, 0, len);
}

/* RFC 9562 section 6.2, method 1: the 12 bits after the time count within a millisecond; when they
 * run over, the time part moves on. */
struct cm_uuid cm_uuid7(cm_time now)
{
        static _Thread_local uint64_t last_tick; /* 48 bits of time, 12 bits of counter */
        uint64_t tick = (uint64_t)(now > 0 ? now / CM_MILLISECOND : 0) << 12;
        struct cm_uuid uuid;

        if (tick <= last_tick)
                tick = last_tick + 1;
        last_tick = tick;

        random_pooled(uuid.bytes + 8, 8);
        for (int i = 0; i < 6; i++)
                uuid.bytes[i] = (uint8_t)(tick >> (52 - 8 * i));
        uuid.bytes[6] = (uint8_t)(0x70 | (tick >> 8 & 0x0F));
        uuid.bytes[7] = (uint8_t)tick;
        uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3F));
        return uuid;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_dash_place(size_t i)
{
        return i == 8 || i == 13 || i == 18 || i == 23;
}

bool cm_uuid_parse(struct cm_str text, struct cm_uuid *uuid_r)
{
        size_t byte = 0;

        if (text.len != CM_UUID_TEXT_SIZE - 1)
                return false;
        for (size_t i = 0; i < text.len;) {
                int high, low;

                if (is_dash_place(i)) {
                        if (text.data[i++] != '-')
                                return false;
                        continue;
                }
                high = hex_value(text.data[i]);
                low = hex_value(text.data[i + 1]);
                if (high < 0 || low < 0)
                        return false;
                uuid_r->bytes[byte++] = (uint8_t)(high << 4 | low);
                i += 2;
        }
        return true;
}

const char *cm_uuid_format(const struct cm_uuid *uuid, char out[CM_UUID_TEXT_SIZE])
{
        static const char digits[] = "0123456789abcdef";
        char *p = out;

        for (size_t i = 0; i < 16; i++) {
                if (is_dash_place((size_t)(p - out)))
                        *p++ = '-';
                *p++ = digits[uuid->bytes[i] >> 4];
                *p++ = digits[uuid->bytes[i] & 15];
        }
        *p = '\0';
        return out;
}

struct cm_str cm_uuid_text(struct cm_arena *arena, const struct cm_uuid *uuid)
{
        char text[CM_UUID_TEXT_SIZE];

        return cm_arena_str(arena, cm_str_from(cm_uuid_format(uuid, text)));
}

bool cm_uuid_equal(const struct cm_uuid *a, const struct cm_uuid *b)
{
        return memcmp(a->bytes, b->bytes, 16) == 0;
}

bool cm_uuid_is_nil(const struct cm_uuid *uuid)
{
        static const struct cm_uuid nil;

        return cm_uuid_equal(uuid, &nil);
}
