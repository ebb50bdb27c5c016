#include "sys/log.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/fiber.h"
#include "sys/loop.h"
#include "sys/metrics.h"

/*
 * Each thread formats into a buffer of its own, so logging takes no lock and, on a thread with a
 * loop, no system call either: the loop writes the buffer once a turn. The buffers are written
 * under one mutex, because a pipe takes only PIPE_BUF bytes in one piece and lines of two threads
 * must not mix.
 *
 * Whatever stands in a text, a line stays one line and valid JSON: control characters and the
 * line separators of Unicode are escaped, bytes that are not UTF-8 become U+FFFD.
 */
#define FLUSH_AT    (32 * 1024)
#define TEXT_MAX    4096 /* bytes of one text; the rest is cut and marked */
#define REPLACEMENT "\xef\xbf\xbd"

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static atomic_int least_level = CM_LOG_INFO;
static const char *service_name;
static void (*hook_fn)(enum cm_log_level level, struct cm_str line, void *arg);
static void *hook_arg;

static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t buffer_key;

static struct cm_metric lines_lost =
        CM_COUNTER("salus_log_lost_bytes_total", "Bytes of log that standard error did not take");

void cm_log_set_level(enum cm_log_level level)
{
        atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

void cm_log_set_service(const char *name)
{
        service_name = name;
}

void cm_log_set_hook(void (*hook)(enum cm_log_level level, struct cm_str line, void *arg),
                     void *arg)
{
        hook_fn = hook;
        hook_arg = arg;
}

static void write_all(const char *data, size_t len)
{
        pthread_mutex_lock(&write_lock);
        while (len > 0) {
                ssize_t n = write(STDERR_FILENO, data, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                data += n;
                len -= (size_t)n;
        }
        pthread_mutex_unlock(&write_lock);
        if (len > 0)
                cm_counter_add(&lines_lost, (int64_t)len);
}

static void buffer_write(struct cm_buf *buf)
{
        if (buf->len == 0)
                return;
        write_all(buf->data, buf->len);
        cm_buf_reset(buf);
}

static void buffer_end(void *arg)
{
        struct cm_buf *buf = arg;

        buffer_write(buf);
        cm_buf_deinit(buf);
        cm_free(buf);
}

static void key_make(void)
{
        (void)pthread_key_create(&buffer_key, buffer_end);
}

static struct cm_buf *thread_buffer(void)
{
        struct cm_buf *buf;

        pthread_once(&key_once, key_make);
        buf = pthread_getspecific(buffer_key);
        if (!buf) {
                buf = CM_NEW(struct cm_buf);
                (void)pthread_setspecific(buffer_key, buf);
        }
        return buf;
}

void cm_log_flush(void)
{
        buffer_write(thread_buffer());
}

/* Length of the well-formed UTF-8 sequence at `p` and its code point; 0 when there is none. */
static size_t sequence(const unsigned char *p, size_t left, uint32_t *code_r)
{
        size_t len = *p < 0x80         ? 1
                     : (*p >> 5) == 6  ? 2
                     : (*p >> 4) == 14 ? 3
                     : (*p >> 3) == 30 ? 4
                                       : 0;

        if (len == 0 || len > left || !cm_utf8_is_valid((struct cm_str){ (const char *)p, len }))
                return 0;
        *code_r = len == 1 ? *p : len == 2 ? *p & 0x1f : len == 3 ? *p & 0x0f : *p & 0x07;
        for (size_t i = 1; i < len; i++)
                *code_r = (*code_r << 6) | (p[i] & 0x3f);
        return len;
}

static bool is_plain(uint32_t code)
{
        return code >= 0x20 && code != '"' && code != '\\' && !(code >= 0x7f && code < 0xa0) &&
               code != 0x2028 && code != 0x2029;
}

static void add_text(struct cm_buf *out, struct cm_str text)
{
        size_t len = text.len > TEXT_MAX ? TEXT_MAX : text.len;

        cm_buf_add_char(out, '"');
        for (size_t i = 0; i < len;) {
                uint32_t code = 0;
                size_t n = sequence((const unsigned char *)text.data + i, len - i, &code);

                if (n == 0)
                        cm_buf_add(out, REPLACEMENT, 3);
                else if (is_plain(code))
                        cm_buf_add(out, text.data + i, n);
                else if (code == '"' || code == '\\')
                        cm_buf_printf(out, "\\%c", (int)code);
                else
                        cm_buf_printf(out, "\\u%04x", (unsigned)code);
                i += n ? n : 1;
        }
        if (len < text.len)
                cm_buf_add(out, "…", strlen("…"));
        cm_buf_add_char(out, '"');
}

static void add_member(struct cm_buf *out, const char *name, struct cm_str text)
{
        cm_buf_printf(out, ",\"%s\":", name);
        add_text(out, text);
}

static void add_uuid(struct cm_buf *out, const char *name, const struct cm_uuid *uuid)
{
        char text[CM_UUID_TEXT_SIZE];

        add_member(out, name, cm_str_from(cm_uuid_format(uuid, text)));
}

static void add_real(struct cm_buf *out, const char *name, double value)
{
        if (isfinite(value))
                cm_buf_printf(out, ",\"%s\":%.15g", name, value);
        else
                cm_buf_printf(out, ",\"%s\":null", name);
}

static void add_field(struct cm_buf *out, const struct cm_field *field)
{
        switch (field->kind) {
        case CM_FIELD_STR:
                if (field->value.str.data)
                        add_member(out, field->name, field->value.str);
                break;
        case CM_FIELD_INT:
                cm_buf_printf(out, ",\"%s\":%lld", field->name, (long long)field->value.integer);
                break;
        case CM_FIELD_REAL:
                add_real(out, field->name, field->value.real);
                break;
        case CM_FIELD_UUID:
                add_uuid(out, field->name, &field->value.uuid);
                break;
        case CM_FIELD_ERROR:
                add_member(out, field->name, cm_str_from(cm_error_name((int)field->value.integer)));
                break;
        case CM_FIELD_END:
                break;
        }
}

static void add_context(struct cm_buf *out, const struct cm_context *context)
{
        if (context->request_id[0])
                add_member(out, "request_id", cm_str_from(context->request_id));
        if (strlen(context->traceparent) >= 35) /* 00-<32 digits>-… */
                add_member(out, "trace_id", (struct cm_str){ context->traceparent + 3, 32 });
        if (context->operation)
                add_member(out, "operation", cm_str_from(context->operation));
        if (context->has_user)
                add_uuid(out, "user_id", &context->user_id);
}

static void add_line(struct cm_buf *out, enum cm_log_level level, const struct cm_field *fields)
{
        char now[CM_TIME_TEXT_SIZE];

        cm_buf_printf(out, "{\"time\":\"%s\",\"level\":\"%s\"",
                      cm_time_format(cm_now(&cm_clock_system), now), level_names[level]);
        if (service_name)
                add_member(out, "service", cm_str_from(service_name));
        for (; fields->kind != CM_FIELD_END; fields++)
                add_field(out, fields);
        add_context(out, cm_fiber_context());
        cm_buf_add(out, "}\n", 2);
}

void cm_log_line(enum cm_log_level level, const struct cm_field *fields)
{
        struct cm_buf *buf;
        size_t start;

        if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
                return;

        buf = thread_buffer();
        start = buf->len;
        add_line(buf, level, fields);
        if (hook_fn && level >= CM_LOG_WARN) {
                hook_fn(level, (struct cm_str){ buf->data + start, buf->len - start - 1 },
                        hook_arg);
                buf->len = start;
                return;
        }
        if (level >= CM_LOG_ERROR || buf->len >= FLUSH_AT || !cm_loop_current())
                buffer_write(buf);
}
