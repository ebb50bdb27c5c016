#pragma once
#include <stdint.h>

#include "base/str.h"
#include "codec/kdf.h"

/*
 * What may stand in users.password_hash. Ours are made by passwords.c; the others came with people
 * who were imported, and give way to ours when their person signs in. Pure.
 *
 *   $s1$KEY$2b$12$…                    ours: bcrypt over a keyed hash; KEY names the pepper
 *   $2a$, $2b$, $2y$                   bcrypt
 *   $argon2id$v=19$m=…,t=…,p=…$…$…     Argon2; argon2i too
 *   $pbkdf2-sha256$i=…$salt$key        PBKDF2; -sha1 and -sha512 too
 *   $scrypt$ln=…,r=…,p=…$salt$key      scrypt
 *   !                                  no password: nothing fits
 *
 * Salt and key of the last two schemes are base64 without padding. A form is taken only as a whole
 * and only with a key of 16 bytes or more: of an empty or cut one nothing can be let in.
 */
enum hash_scheme { HASH_NONE = 1, HASH_OURS, HASH_BCRYPT, HASH_ARGON2, HASH_PBKDF2, HASH_SCRYPT };

#define HASH_NO_PASSWORD "!"
#define HASH_KEY_ID_SIZE 8 /* hexadecimal digits that name a pepper */
enum { HASH_MAX_TEXT = 400, HASH_MAX_BYTES = 64 };

struct stored_hash {
        enum hash_scheme scheme;
        struct cm_str text;   /* all of it; a view */
        struct cm_str key_id; /* ours: which pepper */
        struct cm_str bcrypt; /* ours and bcrypt: its 60 characters */
        int cost;             /* likewise: 4 to 31 */
        enum cm_kdf_digest digest;
        int32_t iterations; /* PBKDF2; Argon2: passes */
        int64_t memory;     /* bytes that a check takes; 0 when that is nothing to speak of */
        struct cm_scrypt scrypt;
        uint8_t salt[HASH_MAX_BYTES];
        size_t salt_len;
        uint8_t key[HASH_MAX_BYTES];
        size_t key_len;
};

enum stored_hash_outcome {
        STORED_HASH_UNKNOWN = 1, /* no scheme that is known here */
        STORED_HASH_MALFORMED,
        STORED_HASH_TOO_DEAR, /* a check would take more memory than allowed, or seconds */
};

/* Takes a stored form apart. `max_memory` bounds what a check of it may take, in bytes. 0 or an
 * outcome. */
int stored_hash_parse(struct cm_str text, int64_t max_memory,
                      struct stored_hash *hash_r) CM_MUST_CHECK;

/* The outcome for people: "has parameters …". Static text. */
const char *stored_hash_fault(int outcome);

/* Whether it is of this password, for the schemes that are not ours. Blocks: on a lane. `password`
 * is NUL-terminated. */
bool stored_hash_fits(const struct stored_hash *hash, struct cm_str password);
