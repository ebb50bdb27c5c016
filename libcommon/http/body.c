#include "http/body.h"

#include "base/error.h"

/* A chunk with an extension longer than this, or trailers longer than that, is an attack. */
#define MAX_OVERHEAD 4096
#define MAX_DIGITS   15

enum state {
        LENGTH,     /* left bytes, then the end */
        SIZE_FIRST, /* the first digit of a chunk size */
        SIZE,       /* further digits */
        EXTENSION,  /* after ';', up to CR */
        SIZE_LF,    /* LF after the size */
        CHUNK,      /* left bytes of a chunk */
        CHUNK_CR,   /* CRLF after a chunk */
        CHUNK_LF,   /**/
        TRAILER,    /* at the start of a trailer line or inside it */
        TRAILER_LF, /* LF after a trailer line */
        ENDED,
};

void cm_body_init(struct cm_body *body, int64_t content_length, bool chunked)
{
        *body = (struct cm_body){ .state = chunked ? SIZE_FIRST : LENGTH };
        if (chunked)
                return;
        body->left = content_length > 0 ? content_length : 0;
        if (body->left == 0)
                body->state = ENDED;
}

bool cm_body_ended(const struct cm_body *body)
{
        return body->state == ENDED;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(char c)
{
        return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

static bool add_digit(struct cm_body *body, char c)
{
        int digit = hex_digit(c);

        if (digit < 0 || body->line_len == MAX_DIGITS)
                return false;
        body->left = body->left * 16 + digit;
        body->line_len++;
        return true;
}

/* One byte of framing around chunks. False: malformed. */
static bool frame(struct cm_body *body, char c)
{
        switch ((enum state)body->state) {
        case SIZE_FIRST:
                body->left = 0;
                body->line_len = 0;
                body->state = SIZE;
                return add_digit(body, c);
        case SIZE:
                if (c == '\r' || c == ';') {
                        body->state = c == ';' ? EXTENSION : SIZE_LF;
                        return true;
                }
                return add_digit(body, c);
        case EXTENSION:
                if (c == '\r')
                        body->state = SIZE_LF;
                return c == '\r' || (is_text(c) && ++body->overhead < MAX_OVERHEAD);
        case SIZE_LF:
                body->state = body->left ? CHUNK : TRAILER;
                body->line_len = 0;
                return c == '\n';
        case CHUNK_CR:
                body->state = CHUNK_LF;
                return c == '\r';
        case CHUNK_LF:
                body->state = SIZE_FIRST;
                return c == '\n';
        case TRAILER:
                if (c == '\r') {
                        body->state = TRAILER_LF;
                        return true;
                }
                body->line_len++;
                return is_text(c) && ++body->overhead < MAX_OVERHEAD;
        case TRAILER_LF:
                body->state = body->line_len ? TRAILER : ENDED;
                body->line_len = 0;
                return c == '\n';
        default:
                return false;
        }
}

static bool at_payload(const struct cm_body *body)
{
        return body->state == LENGTH || body->state == CHUNK;
}

static struct cm_str take_payload(struct cm_body *body, struct cm_str bytes)
{
        if ((int64_t)bytes.len > body->left)
                bytes.len = (size_t)body->left;
        body->left -= (int64_t)bytes.len;
        body->received += (int64_t)bytes.len;
        if (body->left == 0)
                body->state = body->state == LENGTH ? ENDED : CHUNK_CR;
        return bytes;
}

int cm_body_next(struct cm_body *body, struct cm_str bytes, size_t *used_r, struct cm_str *piece_r)
{
        size_t i = 0;

        *piece_r = CM_STR("");
        for (; i < bytes.len && body->state != ENDED; i++) {
                if (at_payload(body)) {
                        *piece_r = take_payload(body,
                                                (struct cm_str){ bytes.data + i, bytes.len - i });
                        i += piece_r->len;
                        break;
                }
                if (!frame(body, bytes.data[i]))
                        return -CM_E_MALFORMED;
        }
        *used_r = i;
        return 0;
}
