#pragma once
#include <stdint.h>

#include "base/str.h"

/* A term is a 64-bit number of its text. It is the same in every process and for ever, because
 * vectors are made of terms; somebody who makes two texts collide confuses their own memories. */
static inline uint64_t term_mix(uint64_t x)
{
        x ^= x >> 33;
        x *= UINT64_C(0xff51afd7ed558ccd);
        x ^= x >> 33;
        x *= UINT64_C(0xc4ceb9fe1a85ec53);
        return x ^ (x >> 33);
}

/* FNV-1a, mixed; `kind` keeps texts of different kinds apart. */
static inline uint64_t term_of(char kind, const char *data, size_t len)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint8_t)kind;

        for (size_t i = 0; i < len; i++)
                hash = (hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
        return term_mix(hash);
}
