#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * The passwords that everybody tries first. A list is one password a line, the commonest first;
 * lines that begin with "#!comment:" and passwords that are too short to be accepted anyway are
 * passed over. What is kept of each is a keyed hash of 64 bits of its folded form (NFC,
 * case-folded): 8 bytes, and "PassWord1" is as common as "password1".
 */
struct common_passwords;

#define COMMON_PASSWORDS_MIN_LENGTH 8 /* characters, as NewPassword of proto/schemas */

/* Reads lists (paths by comma), at most `max` passwords of them together. Blocks. 0, or -CM_E_IO
 * when one cannot be read (logged). */
int common_passwords_load(const char *paths, size_t max,
                          struct common_passwords **common_r) CM_MUST_CHECK;
void common_passwords_free(struct common_passwords **common);

size_t common_passwords_count(const struct common_passwords *common);
/* `folded` as cm_text_fold() makes it. Any thread. NULL knows none. */
bool common_passwords_has(const struct common_passwords *common, struct cm_str folded);
