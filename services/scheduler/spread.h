#pragma once
#include <stdint.h>

/* Spreads ids evenly over all numbers: the finaliser of splitmix64. */
static inline uint64_t spread_mix(uint64_t x)
{
        x ^= x >> 30;
        x *= UINT64_C(0xbf58476d1ce4e5b9);
        x ^= x >> 27;
        x *= UINT64_C(0x94d049bb133111eb);
        return x ^ x >> 31;
}
