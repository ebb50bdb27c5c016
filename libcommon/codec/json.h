#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"

/*
 * Writing JSON straight into a buffer, without a tree. Commas are the writer's business. Text must
 * be well-formed UTF-8. Numbers are written with 15 significant digits ("%.15g"), so a decimal that
 * came in with up to 15 goes out as it came.
 */
struct cm_json_writer {
        struct cm_buf *out;
        bool comma;
};

void cm_json_writer_init(struct cm_json_writer *writer, struct cm_buf *out);
void cm_json_object(struct cm_json_writer *writer);
void cm_json_object_end(struct cm_json_writer *writer);
void cm_json_array(struct cm_json_writer *writer);
void cm_json_array_end(struct cm_json_writer *writer);
void cm_json_key(struct cm_json_writer *writer, const char *key);       /* needs no escapes */
void cm_json_member(struct cm_json_writer *writer, struct cm_str name); /* a key of any text */
void cm_json_text(struct cm_json_writer *writer, struct cm_str value);  /* absent: null */
void cm_json_integer(struct cm_json_writer *writer, int64_t value);
void cm_json_number(struct cm_json_writer *writer, double value);
void cm_json_bool(struct cm_json_writer *writer, bool value);
void cm_json_null(struct cm_json_writer *writer);
void cm_json_raw(struct cm_json_writer *writer, struct cm_str json); /* JSON already */
void cm_json_time(struct cm_json_writer *writer, cm_time value);
void cm_json_date(struct cm_json_writer *writer, cm_date value);
void cm_json_uuid(struct cm_json_writer *writer, const struct cm_uuid *value);
