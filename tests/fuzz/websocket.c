#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "codec/stream_event.h"
#include "http/websocket_internal.h"

/*
 * What of a WebSocket's handshake and of a resumption is read by code of our own; frames are
 * wslay's. The input is four texts with a line break between: a key, a list of tokens, an origin,
 * an id.
 */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool ends_in(struct cm_str text, struct cm_str end)
{
        return text.len >= end.len &&
               cm_str_equal_nocase((struct cm_str){ text.data + text.len - end.len, end.len }, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        struct cm_str rest = { (const char *)bytes, size }, key = { 0 }, list = { 0 },
                      origin = { 0 }, id = { 0 };
        char accept[CM_WEBSOCKET_ACCEPT_SIZE];
        int64_t number;

        (void)(cm_str_split(&rest, '\n', &key) && cm_str_split(&rest, '\n', &list) &&
               cm_str_split(&rest, '\n', &origin) && cm_str_split(&rest, '\n', &id));
        if (key.data && cm_websocket_accept(key, accept))
                CM_ASSERT(key.len == 24 && strlen(accept) == 28);
        if (list.data && cm_token_list_has(list, CM_STR("websocket")))
                CM_ASSERT(list.len >= sizeof("websocket") - 1);
        /* An origin is allowed when it is the host's, or stands in the list as a whole. */
        if (origin.data && cm_origin_is_allowed(origin, CM_STR("a.example"), "https://b.example"))
                CM_ASSERT(ends_in(origin, CM_STR("://a.example")) ||
                          cm_str_equal_nocase(origin, CM_STR("https://b.example")));
        if (id.data && cm_stream_event_id_parse(id, &number))
                CM_ASSERT(number >= 0 && id.len <= 15);
        return 0;
}
