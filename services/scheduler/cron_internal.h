#pragma once
#include "cron.h"

/* Inside the parser: one field of the expression at a time. */
enum cron_field {
        CRON_SECOND,
        CRON_MINUTE,
        CRON_HOUR,
        CRON_DAY,
        CRON_MONTH,
        CRON_WEEKDAY,
        CRON_YEAR,
        CRON_FIELDS
};

struct cron_scanner {
        const char *start; /* of the expression */
        const char *at, *end;
        enum cron_field field;
        uint64_t seed;
        struct cron *cron;
        struct cron_fault *fault;
};

/* Reads one whole field into the scanner's cron; false with the fault filled. */
bool cron_read_field(struct cron_scanner *scanner);
const char *cron_field_name(enum cron_field field);
/* Fills the fault, which is about the byte at `at`. Returns false. */
bool cron_refuse(struct cron_scanner *scanner, const char *at, const char *format, ...)
        CM_PRINTF(3, 4);
