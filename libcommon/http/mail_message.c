#include "http/mail_message.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/text.h"
#include "http/mail.h"

enum {
        WORD_BYTES = 39, /* in one encoded-word: with the field's name a line of 73 characters */
        LINE_BYTES = 57, /* in one line of the body: 76 characters */
        MAX_ADDRESS = 254,
};

static bool is_ascii(struct cm_str text)
{
        for (size_t i = 0; i < text.len; i++)
                if ((unsigned char)text.data[i] < 0x20 || (unsigned char)text.data[i] > 0x7e)
                        return false;
        return true;
}

/* How much of `text` fits into one encoded-word: whole characters only. */
static size_t word_length(struct cm_str text)
{
        size_t len = text.len < WORD_BYTES ? text.len : WORD_BYTES;

        while (len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80)
                len--;
        return len;
}

/* RFC 2047. Always encoded, so that nothing in the text can mean something to a reader of headers.
 */
static void add_words(struct cm_buf *out, struct cm_str text)
{
        while (text.len > 0) {
                size_t len = word_length(text);

                cm_buf_add_str(out, CM_STR("=?utf-8?B?"));
                cm_base64_encode(text.data, len, out);
                cm_buf_add_str(out, CM_STR("?="));
                text.data += len;
                text.len -= len;
                if (text.len > 0)
                        cm_buf_add_str(out, CM_STR("\r\n "));
        }
}

/* "Sun, 29 Nov 2026 08:00:00 +0000" */
static void add_date(struct cm_buf *out, cm_time date)
{
        static const char days[][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };
        static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        int64_t s = date / CM_SECOND;
        int year, month, day;

        cm_date_to_civil((cm_date)(s / 86400), &year, &month, &day);
        cm_buf_printf(out, "%s, %02d %s %04d %02d:%02d:%02d +0000", days[s / 86400 % 7], day,
                      months[month - 1], year, (int)(s / 3600 % 24), (int)(s / 60 % 60),
                      (int)(s % 60));
}

static void add_body(struct cm_buf *out, struct cm_str body)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf lines = { 0 };

        for (size_t i = 0; i < body.len; i++) {
                if (body.data[i] == '\n')
                        cm_buf_add_char(&lines, '\r');
                cm_buf_add_char(&lines, body.data[i]);
        }
        for (size_t at = 0; at < lines.len; at += LINE_BYTES) {
                cm_base64_encode(lines.data + at,
                                 lines.len - at < LINE_BYTES ? lines.len - at : LINE_BYTES, out);
                cm_buf_add_str(out, CM_STR("\r\n"));
        }
}

static bool is_address(struct cm_str text)
{
        char address[MAX_ADDRESS + 1];

        if (!text.data || text.len > MAX_ADDRESS || memchr(text.data, '\0', text.len))
                return false;
        (void)snprintf(address, sizeof(address), "%.*s", CM_STR_ARG(text));
        return cm_mail_is_address(address);
}

static bool is_sound(const struct cm_mail_message *message)
{
        return is_address(message->from) && is_address(message->to) && is_address(message->id) &&
               is_ascii(message->id) && cm_line_is_valid(message->subject) &&
               (!message->from_name.data || cm_line_is_valid(message->from_name)) &&
               (!message->language.data || cm_language_is_valid(message->language)) &&
               cm_utf8_is_valid(message->body) && message->date >= 0;
}

bool cm_mail_message_write(const struct cm_mail_message *message, struct cm_buf *out)
{
        if (!is_sound(message))
                return false;
        cm_buf_add_str(out, CM_STR("Date: "));
        add_date(out, message->date);
        cm_buf_add_str(out, CM_STR("\r\nFrom: "));
        if (message->from_name.data)
                add_words(out, message->from_name);
        cm_buf_printf(out, "\r\n <%.*s>\r\nTo: <%.*s>\r\n", CM_STR_ARG(message->from),
                      CM_STR_ARG(message->to));
        cm_buf_printf(out, "Message-ID: <%.*s>\r\nSubject: ", CM_STR_ARG(message->id));
        add_words(out, message->subject);
        cm_buf_add_str(out, CM_STR("\r\nMIME-Version: 1.0\r\n"
                                   "Content-Type: text/plain; charset=utf-8\r\n"
                                   "Content-Transfer-Encoding: base64\r\n"
                                   "Auto-Submitted: auto-generated\r\n"));
        if (message->language.data)
                cm_buf_printf(out, "Content-Language: %.*s\r\n", CM_STR_ARG(message->language));
        cm_buf_add_str(out, CM_STR("\r\n"));
        add_body(out, message->body);
        return true;
}
