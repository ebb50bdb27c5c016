/*
 * How the scanner keeps up with memory bandwidth. A tag that lies whole in the caller's piece is
 * read where it is: names and values are views, nothing is copied. Values are searched sixteen
 * bytes at a time for their closing quote; the same pass tells whether anything in them needs
 * decoding (a reference, a control character, a byte beyond ASCII), which is rare. Only a tag that
 * is cut by the end of a piece is gathered in `carry`, and read from there. Lines are counted
 * lazily with memchr, once for each byte.
 *
 * Why tolerant: since iOS 16 the export's own document type is malformed, some sources put 0x0B
 * into attribute values, and a strict parser then refuses the person's whole history. The document
 * type ends at "]>" outside of quotes and comments, or at the root's start tag if its quotes never
 * end. "<" inside a value is what XML forbids too: there a broken tag ends and the next one begins,
 * so a missing quote costs one element and not the rest of the file.
 */
#include "apple_scan.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "apple_text.h"
#include "base/assert.h"
#include "base/mem.h"

#define ROOT_TAG "<HealthData"

enum scan_state {
        SCAN_TEXT,
        SCAN_TAG,  /* at "<" */
        SCAN_SKIP, /* inside something that ends with `terminator` */
        SCAN_DOCTYPE,
};

struct apple_scan {
        size_t max_token;
        size_t max_doctype;
        enum scan_state state;

        const char *piece;
        size_t len;
        size_t pos;
        int64_t piece_offset; /* of piece[0] in the document */
        int64_t line;         /* of piece[counted] */
        size_t counted;

        struct cm_buf carry; /* the beginning of a tag that is cut */
        bool carry_used;     /* the last token's texts are in it */
        size_t token_pos;    /* of the last token, when in the piece */
        int64_t token_line;  /* when in carry */
        struct cm_buf decoded;

        const char *terminator;
        size_t matched; /* bytes of the terminator, or of "-->" in a document type */

        size_t doctype_len;
        int brackets;
        char quote;
        bool declaration;
        bool comment;
        size_t root_matched;
        size_t comment_matched;
};

/* What reading a tag at "<" can end in. */
enum tag_outcome {
        TAG_WHOLE,
        TAG_CUT,     /* the window ends first */
        TAG_DAMAGED, /* go on behind `used` */
        TAG_SKIPPED, /* it was no element: `state` says what it is */
};

struct apple_scan *apple_scan_new(const struct apple_scan_config *config)
{
        struct apple_scan *scan = CM_NEW(struct apple_scan);

        scan->max_token = config && config->max_token ? config->max_token : 64 << 10;
        scan->max_doctype = config && config->max_doctype ? config->max_doctype : 1 << 20;
        scan->line = 1;
        return scan;
}

void apple_scan_free(struct apple_scan **scan)
{
        if (!*scan)
                return;
        cm_buf_deinit(&(*scan)->carry);
        cm_buf_deinit(&(*scan)->decoded);
        cm_free(*scan);
        *scan = NULL;
}

void apple_scan_resume(struct apple_scan *scan, int64_t offset, int64_t line)
{
        CM_ASSERT(scan->pos == scan->len && scan->carry.len == 0);
        scan->piece_offset = offset - (int64_t)scan->len;
        scan->line = line;
        scan->counted = scan->len;
        scan->state = SCAN_TEXT;
}

static void count_lines(struct apple_scan *scan, size_t until)
{
        const char *at = scan->piece + scan->counted;
        const char *end = scan->piece + until;

        while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
                scan->line++;
                at++;
        }
        if (scan->counted < until)
                scan->counted = until;
}

void apple_scan_feed(struct apple_scan *scan, const char *data, size_t len)
{
        CM_ASSERT(scan->pos == scan->len && scan->counted == scan->len);
        scan->piece_offset += (int64_t)scan->len;
        scan->piece = data;
        scan->len = len;
        scan->pos = 0;
        scan->counted = 0;
}

/* ---- tags */

static bool is_blank(unsigned char c)
{
        return c <= ' ';
}

/* Names end at blanks, "=", "/", ">", quotes and "<". */
static const bool name_end[256] = {
        [0 ... ' '] = true, ['='] = true, ['/'] = true,  ['>'] = true,
        ['<'] = true,       ['"'] = true, ['\''] = true,
};

/* A name without its namespace prefix. */
static const char *read_name(const char *at, const char *end, struct cm_str *name_r)
{
        const char *start = at;

        while (at < end && !name_end[(unsigned char)*at]) {
                if (*at == ':')
                        start = at + 1;
                at++;
        }
        *name_r = (struct cm_str){ start, (size_t)(at - start) };
        return at;
}

static const char *skip_blanks(const char *at, const char *end)
{
        while (at < end && is_blank((unsigned char)*at))
                at++;
        return at;
}

/* The closing quote or a "<", whichever comes first; NULL when neither does. *special_r: whether
 * something before it has to be decoded. */
static const char *find_value_end(const char *at, const char *end, char quote, bool *special_r)
{
        bool special = false;

#if defined(__SSE2__)
        const __m128i quotes = _mm_set1_epi8(quote), tags = _mm_set1_epi8('<');
        const __m128i references = _mm_set1_epi8('&'), blank = _mm_set1_epi8(' ');

        for (; end - at >= 16; at += 16) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)at);
                __m128i stop =
                        _mm_or_si128(_mm_cmpeq_epi8(bytes, quotes), _mm_cmpeq_epi8(bytes, tags));
                /* Signed: bytes beyond ASCII are below the blank as well. */
                __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(bytes, references),
                                           _mm_cmplt_epi8(bytes, blank));
                unsigned stop_mask = (unsigned)_mm_movemask_epi8(stop);
                unsigned odd_mask = (unsigned)_mm_movemask_epi8(odd);

                if (stop_mask) {
                        unsigned before = (stop_mask & -stop_mask) - 1;

                        *special_r = special || (odd_mask & before);
                        return at + __builtin_ctz(stop_mask);
                }
                special = special || odd_mask;
        }
#endif
        for (; at < end; at++) {
                if (*at == quote || *at == '<') {
                        *special_r = special;
                        return at;
                }
                special = special || *at == '&' || (signed char)*at < ' ';
        }
        return NULL;
}

static void add_attribute(struct apple_scan *scan, struct apple_token *token, struct cm_str name,
                          struct cm_str value, bool special)
{
        if (token->count == APPLE_MAX_ATTRIBUTES)
                return;
        if (special) {
                /* Reserved at once, so that the values of one tag never move. */
                cm_buf_reserve(&scan->decoded,
                               APPLE_TEXT_GROWTH * scan->max_token - scan->decoded.len);
                value = apple_text_decode(value, &scan->decoded);
        }
        token->attributes[token->count++] = (struct apple_attribute){ name, value };
}

/* Reads ` name="value"` at `at`. */
static enum tag_outcome read_attribute(struct apple_scan *scan, const char **at_p, const char *end,
                                       struct apple_token *token)
{
        struct cm_str name;
        const char *at = read_name(*at_p, end, &name), *close;
        bool special;

        *at_p = at = skip_blanks(at, end);
        if (at == end)
                return TAG_CUT;
        if (*at != '=' || name.len == 0)
                return TAG_DAMAGED;
        *at_p = at = skip_blanks(at + 1, end);
        if (at == end)
                return TAG_CUT;
        if (*at != '"' && *at != '\'')
                return TAG_DAMAGED;
        close = find_value_end(at + 1, end, *at, &special);
        if (!close)
                return TAG_CUT;
        if (*close == '<') {
                *at_p = close;
                return TAG_DAMAGED;
        }
        add_attribute(scan, token, name, (struct cm_str){ at + 1, (size_t)(close - at - 1) },
                      special);
        *at_p = close + 1;
        return TAG_WHOLE;
}

/* Attributes and the end of a tag whose name ends at *at_p. */
static enum tag_outcome read_attributes(struct apple_scan *scan, const char **at_p, const char *end,
                                        struct apple_token *token)
{
        enum tag_outcome outcome;

        for (;;) {
                *at_p = skip_blanks(*at_p, end);
                if (*at_p == end)
                        return TAG_CUT;
                if (**at_p == '>') {
                        (*at_p)++;
                        return TAG_WHOLE;
                }
                if (**at_p == '/') {
                        (*at_p)++;
                        token->empty = true;
                        continue;
                }
                outcome = read_attribute(scan, at_p, end, token);
                if (outcome != TAG_WHOLE)
                        return outcome;
        }
}

static enum tag_outcome read_element(struct apple_scan *scan, const char *start, size_t len,
                                     struct apple_token *token, size_t *used_r)
{
        const char *at = start + 1, *end = start + len;
        enum tag_outcome outcome;

        token->kind = *at == '/' ? APPLE_END : APPLE_START;
        token->empty = false;
        token->count = 0;
        scan->decoded.len = 0;
        at = read_name(at + (*at == '/'), end, &token->name);
        outcome = read_attributes(scan, &at, end, token);
        *used_r = (size_t)(at - start);
        if (outcome == TAG_WHOLE && token->name.len == 0)
                return TAG_DAMAGED;
        return outcome;
}

static enum tag_outcome start_skip(struct apple_scan *scan, const char *terminator, size_t prefix,
                                   size_t *used_r)
{
        scan->state = SCAN_SKIP;
        scan->terminator = terminator;
        scan->matched = 0;
        *used_r = prefix;
        return TAG_SKIPPED;
}

static enum tag_outcome start_doctype(struct apple_scan *scan, size_t prefix, size_t *used_r)
{
        scan->state = SCAN_DOCTYPE;
        scan->doctype_len = 0;
        scan->brackets = 0;
        scan->quote = 0;
        scan->declaration = scan->comment = false;
        scan->matched = scan->root_matched = scan->comment_matched = 0;
        *used_r = prefix;
        return TAG_SKIPPED;
}

/* "<!…": what it is can be told after nine bytes at most. */
static enum tag_outcome read_declaration(struct apple_scan *scan, const char *at, size_t len,
                                         size_t *used_r)
{
        static const char cdata[] = "<![CDATA[", doctype[] = "<!DOCTYPE";
        const size_t full = sizeof(cdata) - 1;
        size_t known = len < full ? len : full;

        if (len < 4 && memcmp(at, "<!--", len) == 0)
                return TAG_CUT;
        if (len >= 4 && memcmp(at, "<!--", 4) == 0)
                return start_skip(scan, "-->", 4, used_r);
        if (memcmp(at, cdata, known) == 0)
                return known < full ? TAG_CUT : start_skip(scan, "]]>", full, used_r);
        if (memcmp(at, doctype, known) == 0)
                return known < full ? TAG_CUT : start_doctype(scan, full, used_r);
        return start_skip(scan, ">", 2, used_r);
}

/* Reads what starts at "<". *used_r: bytes to go on behind. */
static enum tag_outcome read_tag(struct apple_scan *scan, const char *at, size_t len,
                                 struct apple_token *token, size_t *used_r)
{
        unsigned char c;

        if (len < 2)
                return TAG_CUT;
        c = (unsigned char)at[1];
        if (c == '!')
                return read_declaration(scan, at, len, used_r);
        if (c == '?')
                return start_skip(scan, "?>", 2, used_r);
        if (c != '/' && name_end[c]) { /* a lone "<" in text */
                scan->state = SCAN_TEXT;
                *used_r = 1;
                return TAG_SKIPPED;
        }
        scan->state = SCAN_TEXT;
        return read_element(scan, at, len, token, used_r);
}

/* ---- tags across pieces */

static void stash(struct apple_scan *scan)
{
        count_lines(scan, scan->pos);
        scan->token_line = scan->line;
        cm_buf_reset(&scan->carry);
        cm_buf_add(&scan->carry, scan->piece + scan->pos, scan->len - scan->pos);
        scan->pos = scan->len;
        scan->state = SCAN_TAG;
}

static void finish_token(enum tag_outcome outcome, int64_t offset, struct apple_token *token)
{
        token->offset = offset;
        if (outcome == TAG_DAMAGED) {
                token->kind = APPLE_DAMAGED;
                token->count = 0;
        }
}

/* 0 with a token; -1: nothing for the caller yet, go on. */
static int tag_in_piece(struct apple_scan *scan, struct apple_token *token)
{
        size_t left = scan->len - scan->pos, used = 0;
        size_t window = left < scan->max_token ? left : scan->max_token;
        enum tag_outcome outcome = read_tag(scan, scan->piece + scan->pos, window, token, &used);

        if (outcome == TAG_CUT && left < scan->max_token) {
                stash(scan);
                return APPLE_SCAN_MORE;
        }
        if (outcome == TAG_CUT) { /* longer than any tag may be */
                outcome = TAG_DAMAGED;
                used = window;
                scan->state = SCAN_TEXT;
        }
        finish_token(outcome, scan->piece_offset + (int64_t)scan->pos, token);
        scan->token_pos = scan->pos;
        scan->pos += used;
        return outcome == TAG_SKIPPED ? -1 : 0;
}

/* The same for a tag whose beginning is in `carry`, which takes bytes of the piece until it is
 * whole. */
static int tag_in_carry(struct apple_scan *scan, struct apple_token *token)
{
        size_t before = scan->carry.len, used = 0, step = 512;
        enum tag_outcome outcome = TAG_CUT;

        while (outcome == TAG_CUT && scan->carry.len < scan->max_token) {
                size_t room = scan->max_token - scan->carry.len;
                size_t more = scan->len - (scan->carry.len - before);

                if (more == 0) {
                        scan->pos = scan->len;
                        return APPLE_SCAN_MORE;
                }
                more = more < step ? more : step;
                more = more < room ? more : room;
                cm_buf_add(&scan->carry, scan->piece + (scan->carry.len - before), more);
                step *= 2;
                outcome = read_tag(scan, scan->carry.data, scan->carry.len, token, &used);
                if (outcome == TAG_CUT)
                        scan->state = SCAN_TAG;
        }
        if (outcome == TAG_CUT) {
                outcome = TAG_DAMAGED;
                used = scan->max_token;
                scan->state = SCAN_TEXT;
        }
        finish_token(outcome, scan->piece_offset - (int64_t)before, token);
        scan->carry_used = true;
        CM_ASSERT(used >= before || outcome != TAG_WHOLE);
        scan->pos = used > before ? used - before : 0;
        return outcome == TAG_SKIPPED ? -1 : 0;
}

static int next_tag(struct apple_scan *scan, struct apple_token *token)
{
        if (scan->carry.len)
                return tag_in_carry(scan, token);
        return tag_in_piece(scan, token);
}

/* ---- what is skipped */

static int skip_text(struct apple_scan *scan)
{
        const char *tag = NULL;

        if (scan->pos < scan->len)
                tag = memchr(scan->piece + scan->pos, '<', scan->len - scan->pos);
        if (!tag) {
                scan->pos = scan->len;
                return APPLE_SCAN_MORE;
        }
        scan->pos = (size_t)(tag - scan->piece);
        scan->state = SCAN_TAG;
        return -1;
}

/* How much of the terminator is matched after one more byte. The terminators are such that only
 * their first two bytes can repeat ("--->", "]]]>", "??>"). */
static size_t match_more(const char *text, size_t matched, char c)
{
        if (c == text[matched])
                return matched + 1;
        if (matched == 2 && c == text[1])
                return 2;
        return c == text[0];
}

static int skip_until(struct apple_scan *scan)
{
        const char *hit;

        while (scan->pos < scan->len) {
                if (scan->matched == 0) {
                        hit = memchr(scan->piece + scan->pos, scan->terminator[0],
                                     scan->len - scan->pos);
                        if (!hit)
                                break;
                        scan->pos = (size_t)(hit - scan->piece);
                }
                scan->matched =
                        match_more(scan->terminator, scan->matched, scan->piece[scan->pos++]);
                if (!scan->terminator[scan->matched]) {
                        scan->state = SCAN_TEXT;
                        return -1;
                }
        }
        scan->pos = scan->len;
        return APPLE_SCAN_MORE;
}

/* One byte of the document type outside of comments; true at its end. */
static bool doctype_byte(struct apple_scan *scan, char c)
{
        if (scan->quote) {
                if (c == scan->quote)
                        scan->quote = 0;
                return false;
        }
        switch (c) {
        case '"':
        case '\'':
                if (scan->declaration || scan->brackets == 0)
                        scan->quote = c;
                return false;
        case '<':
                scan->declaration = true;
                return false;
        case '[':
                scan->brackets += !scan->declaration;
                return false;
        case ']':
                scan->brackets = 0;
                return false;
        case '>':
                if (scan->brackets == 0)
                        return true;
                scan->declaration = false;
                return false;
        default:
                return false;
        }
}

/* The root's start tag came before the document type had ended: its beginning goes back. */
static int start_root(struct apple_scan *scan)
{
        count_lines(scan, scan->pos);
        scan->token_line = scan->line;
        cm_buf_reset(&scan->carry);
        cm_buf_add_str(&scan->carry, CM_STR(ROOT_TAG));
        scan->state = SCAN_TAG;
        /* What is left of the piece becomes the piece, as tag_in_carry expects. */
        scan->piece_offset += (int64_t)scan->pos;
        scan->piece += scan->pos;
        scan->len -= scan->pos;
        scan->pos = scan->counted = 0;
        return -1;
}

static int skip_doctype(struct apple_scan *scan)
{
        while (scan->pos < scan->len) {
                char c = scan->piece[scan->pos++];

                if (++scan->doctype_len > scan->max_doctype)
                        return APPLE_SCAN_TOO_LARGE;
                if (scan->comment) {
                        scan->matched = match_more("-->", scan->matched, c);
                        scan->comment = scan->matched < 3;
                        continue;
                }
                scan->root_matched = c == ROOT_TAG[scan->root_matched] ? scan->root_matched + 1
                                                                       : c == ROOT_TAG[0];
                if (!ROOT_TAG[scan->root_matched])
                        return start_root(scan);
                scan->comment_matched =
                        c == "<!--"[scan->comment_matched] ? scan->comment_matched + 1 : c == '<';
                if (scan->comment_matched == 4) {
                        scan->comment = true;
                        scan->declaration = false;
                        scan->matched = scan->comment_matched = 0;
                        continue;
                }
                if (doctype_byte(scan, c)) {
                        scan->state = SCAN_TEXT;
                        return -1;
                }
        }
        return APPLE_SCAN_MORE;
}

int apple_scan_next(struct apple_scan *scan, struct apple_token *token_r)
{
        int r = -1;

        if (scan->carry_used) {
                scan->carry_used = false;
                cm_buf_reset(&scan->carry);
        }
        while (r < 0) {
                switch (scan->state) {
                case SCAN_TEXT:
                        r = skip_text(scan);
                        break;
                case SCAN_TAG:
                        r = next_tag(scan, token_r);
                        if (r < 0 && scan->carry_used) {
                                scan->carry_used = false;
                                cm_buf_reset(&scan->carry);
                        }
                        break;
                case SCAN_SKIP:
                        r = skip_until(scan);
                        break;
                case SCAN_DOCTYPE:
                        r = skip_doctype(scan);
                        break;
                }
        }
        if (r == APPLE_SCAN_MORE) /* now: the caller reads the next piece into the same memory */
                count_lines(scan, scan->len);
        return r;
}

int64_t apple_scan_line(struct apple_scan *scan)
{
        if (scan->carry_used)
                return scan->token_line;
        count_lines(scan, scan->token_pos);
        return scan->line;
}

void apple_scan_position(struct apple_scan *scan, int64_t *offset_r, int64_t *line_r)
{
        const char *at = scan->piece + scan->counted, *end = scan->piece + scan->pos;

        *offset_r = scan->piece_offset + (int64_t)scan->pos;
        *line_r = scan->line;
        while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
                ++*line_r;
                at++;
        }
}

bool apple_scan_is_inside(const struct apple_scan *scan)
{
        return scan->state != SCAN_TEXT;
}

struct cm_str apple_token_get(const struct apple_token *token, const char *name)
{
        size_t len = strlen(name);

        for (size_t i = 0; i < token->count; i++) {
                const struct apple_attribute *attribute = &token->attributes[i];

                if (attribute->name.len == len && memcmp(attribute->name.data, name, len) == 0)
                        return attribute->value;
        }
        return CM_STR_NONE;
}
