#pragma once
#include <stddef.h>
#include <stdint.h>

/* SHA-256, for comparing texts and keys of requests; not for passwords. */
#define CM_SHA256_SIZE 32

void cm_sha256(const void *data, size_t len, uint8_t digest_r[CM_SHA256_SIZE]);
