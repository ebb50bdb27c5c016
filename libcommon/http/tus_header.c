#include <string.h>

#include "http/tus_internal.h"

#define MAX_NUMBER (INT64_C(1) << 53)

bool cm_tus_parse_number(struct cm_str text, int64_t *number_r)
{
        if (!text.len || text.len > 16 || text.data[0] == '+' || text.data[0] == '-')
                return false;
        return cm_str_to_int(text, number_r) && *number_r <= MAX_NUMBER;
}

/* Standard base64 with padding, as tus wants it; strict. */
static bool decode_base64(struct cm_str text, struct cm_buf *out)
{
        char url[CM_TUS_MAX_METADATA];
        size_t len = text.len, padding = 0;

        if (len % 4 != 0 || len > sizeof(url))
                return false;
        while (padding < 2 && len && text.data[len - 1] == '=') {
                len--;
                padding++;
        }
        for (size_t i = 0; i < len; i++) {
                char c = text.data[i];

                if (c == '-' || c == '_')
                        return false;
                url[i] = c == '+' ? '-' : c == '/' ? '_' : c;
        }
        return cm_base64url_decode((struct cm_str){ url, len }, out);
}

static bool is_key(struct cm_str key)
{
        for (size_t i = 0; i < key.len; i++)
                if (key.data[i] <= ' ' || key.data[i] > '~')
                        return false;
        return key.len > 0;
}

/* Cuts the next pair off. False at the end. */
static bool next_pair(struct cm_str *rest, struct cm_str *key_r, struct cm_str *value_r)
{
        struct cm_str pair;

        if (!cm_str_split(rest, ',', &pair))
                return false;
        pair = cm_str_trim(pair);
        (void)cm_str_split(&pair, ' ', key_r);
        *value_r = pair.data ? pair : CM_STR("");
        return true;
}

static bool stands_before(struct cm_str metadata, struct cm_str key)
{
        struct cm_str other, value;

        while (next_pair(&metadata, &other, &value) && other.data != key.data)
                if (cm_str_equal(other, key))
                        return true;
        return false;
}

bool cm_tus_metadata_is_valid(struct cm_str metadata)
{
        struct cm_str rest = metadata, key, value;

        if (metadata.len > CM_TUS_MAX_METADATA)
                return false;
        while (next_pair(&rest, &key, &value)) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf decoded = { 0 };

                if (!is_key(key) || !decode_base64(value, &decoded) || stands_before(metadata, key))
                        return false;
        }
        return true;
}

struct cm_str cm_tus_metadata_find(struct cm_str metadata, struct cm_str key,
                                   struct cm_arena *arena)
{
        struct cm_str name, value;

        while (next_pair(&metadata, &name, &value)) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf decoded = { 0 };

                if (!cm_str_equal(name, key))
                        continue;
                if (!decode_base64(value, &decoded) || !cm_utf8_is_valid(cm_buf_str(&decoded)))
                        return CM_STR_NONE;
                return cm_arena_str(arena, cm_buf_str(&decoded));
        }
        return CM_STR_NONE;
}

bool cm_tus_parse_checksum(struct cm_str text, struct cm_tus_checksum *checksum_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf decoded = { 0 };
        struct cm_str name;

        if (!cm_str_split(&text, ' ', &name) || !text.data)
                return false;
        if (cm_str_equal(name, CM_STR("sha1")))
                *checksum_r = (struct cm_tus_checksum){ .kind = CM_CHECKSUM_SHA1, .size = 20 };
        else if (cm_str_equal(name, CM_STR("sha256")))
                *checksum_r = (struct cm_tus_checksum){ .kind = CM_CHECKSUM_SHA256, .size = 32 };
        else
                return false;
        if (!decode_base64(text, &decoded) || decoded.len != checksum_r->size)
                return false;
        memcpy(checksum_r->digest, decoded.data, decoded.len);
        return true;
}
