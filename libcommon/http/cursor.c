#include "http/cursor.h"

#include <sodium.h>
#include <string.h>

#include "base/uuid.h"
#include "http/server_internal.h"

/* base64url of: format byte, place, MAC over format byte, length of the binding, binding, place. */
#define FORMAT    1
#define MAC_SIZE  16
#define MAX_PLACE 512

void cm_cursor_key_init(struct cm_cursor_key *key, struct cm_str secret)
{
        if (!secret.len) {
                cm_random(key->bytes, sizeof(key->bytes));
                return;
        }
        (void)crypto_generichash(key->bytes, sizeof(key->bytes), (const void *)secret.data,
                                 secret.len, (const void *)"salus cursor v1", 16);
}

static void sign(const struct cm_cursor_key *key, struct cm_str binding, struct cm_str place,
                 unsigned char mac[MAC_SIZE])
{
        crypto_generichash_state state;
        unsigned char format = FORMAT;
        uint64_t len = binding.len;

        (void)crypto_generichash_init(&state, key->bytes, sizeof(key->bytes), MAC_SIZE);
        (void)crypto_generichash_update(&state, &format, 1);
        (void)crypto_generichash_update(&state, (const void *)&len, sizeof(len));
        (void)crypto_generichash_update(&state, (const void *)binding.data, binding.len);
        (void)crypto_generichash_update(&state, (const void *)place.data, place.len);
        (void)crypto_generichash_final(&state, mac, MAC_SIZE);
}

struct cm_str cm_cursor_seal(const struct cm_cursor_key *key, struct cm_str binding,
                             struct cm_str place, struct cm_arena *arena)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf bytes = { 0 }, text = { 0 };
        unsigned char mac[MAC_SIZE];

        sign(key, binding, place, mac);
        cm_buf_add_char(&bytes, FORMAT);
        cm_buf_add_str(&bytes, place);
        cm_buf_add(&bytes, mac, sizeof(mac));
        cm_base64url_encode(bytes.data, bytes.len, &text);
        return cm_arena_str(arena, cm_buf_str(&text));
}

struct cm_str cm_cursor_open(const struct cm_cursor_key *key, struct cm_str binding,
                             struct cm_str text, struct cm_arena *arena)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf bytes = { 0 };
        unsigned char mac[MAC_SIZE];
        struct cm_str place;

        if (text.len > 2 * (MAX_PLACE + MAC_SIZE) || !cm_base64url_decode(text, &bytes) ||
            bytes.len < 1 + MAC_SIZE || bytes.data[0] != FORMAT)
                return CM_STR_NONE;
        place = (struct cm_str){ bytes.data + 1, bytes.len - 1 - MAC_SIZE };
        sign(key, binding, place, mac);
        if (!cm_equal_secret(mac, bytes.data + bytes.len - MAC_SIZE, MAC_SIZE))
                return CM_STR_NONE;
        return cm_arena_str(arena, place);
}

/* Operation, user, filters; the lengths keep them apart. */
static struct cm_str binding_of(struct cm_request *request, struct cm_str filters)
{
        char user[CM_UUID_TEXT_SIZE] = "";

        if (request->has_claims)
                (void)cm_uuid_format(&request->claims.sub, user);
        return cm_arena_printf(&request->arena, "%s\n%s\n%.*s",
                               request->match.endpoint->route->operation, user,
                               CM_STR_ARG(filters));
}

struct cm_str cm_request_cursor_seal(struct cm_request *request, struct cm_str filters,
                                     struct cm_str place)
{
        return cm_cursor_seal(&request->server->cursor_key, binding_of(request, filters), place,
                              &request->arena);
}

int cm_request_cursor_open(struct cm_request *request, struct cm_str filters, struct cm_str text,
                           struct cm_str *place_r)
{
        *place_r = cm_cursor_open(&request->server->cursor_key, binding_of(request, filters), text,
                                  &request->arena);
        if (place_r->data)
                return 0;
        (void)cm_reply_invalid(request, "/query/cursor",
                               "is not a cursor of this list; begin without one");
        return 1;
}
