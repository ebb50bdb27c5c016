#include "client_secret.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/target.h"
#include "schemas.h"

const char *client_secret_make(char out[CLIENT_SECRET_SIZE])
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        uint8_t bytes[32];

        cm_random(bytes, sizeof(bytes));
        cm_base64url_encode(bytes, sizeof(bytes), &text);
        (void)snprintf(out, CLIENT_SECRET_SIZE, "sc_%s", text.data);
        cm_wipe(bytes, sizeof(bytes));
        cm_wipe(text.data, text.len);
        return out;
}

void client_secret_digest(struct cm_str pepper, struct cm_str secret,
                          uint8_t digest_r[CM_SHA256_SIZE])
{
        static const char purpose[] = "salus machine secret 1";
        uint8_t key[CM_SHA256_SIZE];

        cm_hmac_sha256(pepper, purpose, sizeof(purpose), key);
        cm_hmac_sha256((struct cm_str){ (const char *)key, sizeof(key) }, secret.data, secret.len,
                       digest_r);
        cm_wipe(key, sizeof(key));
}

/* Plain base64; that its padding may be missing harms nobody. */
static bool decode_base64(struct cm_arena *arena, struct cm_str text, struct cm_buf *plain)
{
        struct cm_str url = cm_arena_str(arena, text);
        char *bytes = (char *)url.data;

        while (url.len && url.data[url.len - 1] == '=')
                url.len--;
        for (size_t i = 0; i < url.len; i++) {
                if (bytes[i] == '-' || bytes[i] == '_')
                        return false;
                if (bytes[i] == '+')
                        bytes[i] = '-';
                if (bytes[i] == '/')
                        bytes[i] = '_';
        }
        return cm_base64url_decode(url, plain);
}

bool client_basic_parse(struct cm_arena *arena, struct cm_str header, struct cm_str *id_r,
                        struct cm_str *secret_r)
{
        const struct cm_str scheme = CM_STR("basic ");
        CM_CLEANUP(cm_buf_deinit) struct cm_buf plain = { 0 };
        struct cm_str rest, id;

        if (!header.data || header.len <= scheme.len ||
            !cm_str_equal_nocase((struct cm_str){ header.data, scheme.len }, scheme))
                return false;
        rest = cm_str_trim((struct cm_str){ header.data + scheme.len, header.len - scheme.len });
        if (!decode_base64(arena, rest, &plain))
                return false;
        rest = cm_arena_str(arena, cm_buf_str(&plain));
        if (!rest.data || !memchr(rest.data, ':', rest.len) || !cm_str_split(&rest, ':', &id))
                return false;
        *id_r = cm_percent_decode(arena, id, true);
        *secret_r = rest.data ? cm_percent_decode(arena, rest, true) : CM_STR("");
        return id_r->data && secret_r->data;
}

static bool has(struct cm_str list, struct cm_str scope)
{
        struct cm_str one;

        while (cm_str_split(&list, ' ', &one))
                if (cm_str_equal(one, scope))
                        return true;
        return false;
}

struct cm_str client_scope_text(struct cm_arena *arena, const int32_t *scopes, size_t count,
                                struct cm_str wanted)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        struct cm_str rest = wanted, one;

        for (size_t i = 0; i < count; i++) {
                const char *name = cm_schema_enum_name(&client_scope_schema, scopes[i]);

                if (name && (!wanted.data || has(wanted, cm_str_from(name))))
                        cm_buf_printf(&text, "%s%s", text.len ? " " : "", name);
        }
        while (wanted.data && cm_str_split(&rest, ' ', &one))
                if (!has(cm_buf_str(&text), one))
                        return CM_STR_NONE;
        return text.len ? cm_arena_str(arena, cm_buf_str(&text)) : CM_STR_NONE;
}
