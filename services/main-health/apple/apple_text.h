#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/time.h"

/* How an Apple Health export writes text, numbers and times. Pure. */

/* Decoding makes a value at most this many times longer (a stray byte becomes U+FFFD). */
#define APPLE_TEXT_GROWTH 3

/*
 * Appends an attribute's value as the text it means to `out`, which must have the room: predefined
 * entities and character references decoded (others stay as they are written), blanks for line
 * breaks and tabs, other control characters left out, U+FFFD for what is no UTF-8. The result is
 * a view into `out`.
 */
struct cm_str apple_text_decode(struct cm_str raw, struct cm_buf *out);

/* "2024-03-31 07:05:09 +0200", years 1 to 9999. */
bool apple_time_parse(struct cm_str text, cm_time *time_r, int *offset_minutes_r);

/* A decimal number, exact: digits * 10^-scale. */
struct apple_decimal {
        int64_t digits;
        int scale;
};

/* "72", "-0.5", "36,6" (decimal comma), "1.5e-05"; cut to 18 significant digits. False for anything
 * else, and beyond 10^18. */
bool apple_decimal_parse(struct cm_str text, struct apple_decimal *decimal_r);
/* With `factor`, to 15 significant digits, as all else here. */
struct apple_decimal apple_decimal_multiply(struct apple_decimal value,
                                            struct apple_decimal factor);
double apple_decimal_real(struct apple_decimal value); /* the nearest */
