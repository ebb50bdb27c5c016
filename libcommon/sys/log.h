#pragma once
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"

/*
 * The log: one JSON object a line on standard error. Each line has time, level, msg, the fields
 * given, and the current fiber's context (request_id, trace_id, operation; the user only by id).
 * Lines gather in a buffer per thread that is written once a loop turn, and at once for errors.
 * No personal data goes into a line: no names, addresses, bodies, tokens.
 */
enum cm_log_level { CM_LOG_DEBUG, CM_LOG_INFO, CM_LOG_WARN, CM_LOG_ERROR };

enum cm_field_kind {
        CM_FIELD_END,
        CM_FIELD_STR,
        CM_FIELD_INT,
        CM_FIELD_REAL,
        CM_FIELD_UUID,
        CM_FIELD_ERROR
};
struct cm_field {
        const char *name;
        enum cm_field_kind kind;
        union {
                struct cm_str str;
                int64_t integer;
                double real;
                struct cm_uuid uuid;
        } value;
};

#define CM_F_STR(n, v)  ((struct cm_field){ (n), CM_FIELD_STR, { .str = (v) } })
#define CM_F_TEXT(n, v) ((struct cm_field){ (n), CM_FIELD_STR, { .str = cm_str_from(v) } })
#define CM_F_INT(n, v)  ((struct cm_field){ (n), CM_FIELD_INT, { .integer = (v) } })
#define CM_F_REAL(n, v) ((struct cm_field){ (n), CM_FIELD_REAL, { .real = (v) } })
#define CM_F_UUID(n, v) ((struct cm_field){ (n), CM_FIELD_UUID, { .uuid = (v) } })
#define CM_F_ERROR(e)   ((struct cm_field){ "error", CM_FIELD_ERROR, { .integer = (e) } })

/* cm_log(CM_LOG_WARN, "postgres connection lost", CM_F_INT("attempt", n), CM_F_ERROR(r)); */
#define cm_log(level, ...) cm_log_line((level), (struct cm_field[]){ CM_LOG_FIELDS_(__VA_ARGS__) })
#define CM_LOG_FIELDS_(text, ...)                                                                  \
        CM_F_TEXT("msg", text), ##__VA_ARGS__,                                                     \
        {                                                                                          \
                NULL, CM_FIELD_END,                                                                \
                {                                                                                  \
                        .integer = 0                                                               \
                }                                                                                  \
        }
void cm_log_line(enum cm_log_level level, const struct cm_field *fields);

void cm_log_set_level(enum cm_log_level level);
void cm_log_set_service(const char *name); /* static text; appears in each line */
/* Writes this thread's buffer. The service calls it each turn. */
void cm_log_flush(void);
/* Tests: lines of WARN and above go to `hook` instead of standard error. NULL ends it. */
void cm_log_set_hook(void (*hook)(enum cm_log_level level, struct cm_str line, void *arg),
                     void *arg);
