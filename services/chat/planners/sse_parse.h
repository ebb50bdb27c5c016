#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * Server-sent events as they come (WHATWG HTML, 9.2.6): bytes in any pieces, events out. LF, CR and
 * CRLF end lines; a byte order mark at the start is skipped; comments and unknown fields are, too.
 * Bytes that are not UTF-8 pass through. Pure.
 */
struct sse_event {
        struct cm_str type; /* "message" when none was given */
        struct cm_str data; /* lines joined by LF */
        struct cm_str id;   /* the last one seen; "" when there was none */
};

struct sse_parser {
        size_t max; /* bytes of a line, and of an event's data */
        struct cm_buf line, data, type, id;
        bool has_data, is_given, after_cr;
        int mark;         /* bytes of a byte order mark seen; 3 and more: past it */
        int64_t retry_ms; /* -1: not said */
};

enum { SSE_MORE = 0, SSE_EVENT = 1 };

void sse_parser_init(struct sse_parser *parser, size_t max);
void sse_parser_deinit(struct sse_parser *parser);
/*
 * Takes bytes from the front of *bytes up to the end of one event. SSE_EVENT: *event_r, valid until
 * the next call; call again with the rest. SSE_MORE: all was taken. -CM_E_TOO_LARGE: a line or the
 * data is longer than allowed.
 */
int sse_parse(struct sse_parser *parser, struct cm_str *bytes,
              struct sse_event *event_r) CM_MUST_CHECK;
/* At the end of the stream: an event whose empty line never came. True: *event_r. The standard
 * drops it; providers that end without one are common. */
bool sse_parse_end(struct sse_parser *parser, struct sse_event *event_r);
