#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../services/chat/planners/sse_parse.h"
#include "base/assert.h"

/* The same bytes whole and in pieces give the same events. The first byte says how long a piece is.
 */
#define MAX_EVENT 4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int read_all(const uint8_t *bytes, size_t size, size_t piece, struct cm_buf *out)
{
        struct sse_parser parser;
        struct sse_event event;
        int r = SSE_MORE;

        sse_parser_init(&parser, MAX_EVENT);
        for (size_t at = 0; at < size && r >= 0; at += piece) {
                struct cm_str part = { (const char *)bytes + at,
                                       size - at < piece ? size - at : piece };

                while ((r = sse_parse(&parser, &part, &event)) == SSE_EVENT) {
                        CM_ASSERT(event.data.len <= MAX_EVENT);
                        cm_buf_add_str(out, event.type);
                        cm_buf_add_char(out, 0);
                        cm_buf_add(out, event.data.data, event.data.len);
                        cm_buf_add_char(out, 1);
                }
        }
        if (r >= 0 && sse_parse_end(&parser, &event))
                cm_buf_add(out, event.data.data, event.data.len);
        sse_parser_deinit(&parser);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        struct cm_buf whole = { 0 }, parts = { 0 };

        if (size < 2)
                return 0;
        if (read_all(bytes + 1, size - 1, size, &whole) ==
            read_all(bytes + 1, size - 1, bytes[0] % 16 + 1, &parts)) {
                CM_ASSERT(whole.len == parts.len);
                CM_ASSERT(!whole.len || memcmp(whole.data, parts.data, whole.len) == 0);
        } else {
                CM_ASSERT(0);
        }
        cm_buf_deinit(&whole);
        cm_buf_deinit(&parts);
        return 0;
}
