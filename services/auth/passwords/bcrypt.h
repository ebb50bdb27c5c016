#pragma once
#include <stdbool.h>

#include "base/str.h"

/* bcrypt as libcrypt has it. Blocks for 2^cost rounds: on a lane. */

#define BCRYPT_SIZE         60 /* of the text: "$2b$12$", 22 of salt, 31 of digest */
#define BCRYPT_SETTING_SIZE 30 /* of its first part, with the NUL */

/* A setting with a fresh salt. False for a cost that bcrypt does not have. */
bool bcrypt_setting(int cost, char out[BCRYPT_SETTING_SIZE]);

/* Appends the text of `password` under a setting, or under another text of bcrypt. Reads the first
 * 72 bytes of the password, up to its NUL. False when the setting is none. */
bool bcrypt_hash(const char *password, const char *setting, struct cm_buf *out);
