#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Digests of bytes that come in pieces, to notice damage on the way. SHA-1 is for protocols that
 * ask for it; it protects against accidents only. */
enum cm_checksum_kind { CM_CHECKSUM_SHA1, CM_CHECKSUM_SHA256 };

#define CM_CHECKSUM_MAX_SIZE 32

struct cm_checksum;

struct cm_checksum *cm_checksum_new(enum cm_checksum_kind kind);
void cm_checksum_free(struct cm_checksum **checksum);
void cm_checksum_add(struct cm_checksum *checksum, struct cm_str bytes);
/* The digest of all that was added; returns its size. Nothing can be added any more. */
size_t cm_checksum_finish(struct cm_checksum *checksum, uint8_t digest_r[CM_CHECKSUM_MAX_SIZE]);
