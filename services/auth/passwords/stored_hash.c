#include "stored_hash.h"

#include <string.h>

#include "base/mem.h"
#include "bcrypt.h"

/*
 * The bounds are on time as well, because whoever signs in decides how often they are paid: about a
 * second on a slow core for the dearest that is taken, and room for what OWASP advises (PBKDF2 with
 * 1.3 million rounds of SHA-1, scrypt with 2^17, Argon2 with 46 MiB) and what libraries have as
 * their default.
 */
enum {
        MAX_BCRYPT_COST = 14,
        MAX_PBKDF2_BLOCKS = 4000000,     /* rounds times blocks of the digest */
        MAX_ARGON2_KIB_PASSES = 1 << 20, /* memory times passes: 64 MiB sixteen times */
        MAX_ARGON2_LANES = 64,
        MAX_SCRYPT_WORK = 1 << 21, /* n * r * p */
        MIN_KEY = 16,
        MIN_ARGON2_SALT = 8, /* as Argon2 itself says */
};

/* ---- pieces */

/* Base64 as PHC strings have it: the plain alphabet, without padding. */
static bool read_bytes(struct cm_str text, uint8_t out[HASH_MAX_BYTES], size_t *len_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf url = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf bytes = { 0 };

        for (size_t i = 0; i < text.len; i++) {
                char c = text.data[i];

                if (c == '-' || c == '_')
                        return false;
                cm_buf_add_char(&url, (char)(c == '+' ? '-' : c == '/' ? '_' : c));
        }
        if (!url.len || !cm_base64url_decode(cm_buf_str(&url), &bytes) || !bytes.len ||
            bytes.len > HASH_MAX_BYTES)
                return false;
        memcpy(out, bytes.data, bytes.len);
        *len_r = bytes.len;
        return true;
}

/* "NAME=NUMBER" with a plain positive number. */
static bool read_number(struct cm_str text, struct cm_str name, int64_t max, int64_t *value_r)
{
        struct cm_str digits = { text.data + name.len, text.len - name.len };

        if (!cm_str_starts(text, name) || !digits.len || digits.len > 10 || digits.data[0] < '1' ||
            digits.data[0] > '9')
                return false;
        return cm_str_to_int(digits, value_r) && *value_r <= max;
}

/* "a=1,b=2,c=3" in this order, nothing else. */
static bool read_numbers(struct cm_str text, const struct cm_str names[3], int64_t values[3])
{
        struct cm_str part;

        for (int i = 0; i < 3; i++)
                if (!cm_str_split(&text, ',', &part) ||
                    !read_number(part, names[i], INT32_MAX, &values[i]))
                        return false;
        return !text.data;
}

/* salt$key at the end of a text. */
static bool read_salt_and_key(struct cm_str rest, struct stored_hash *hash)
{
        struct cm_str salt;

        return cm_str_split(&rest, '$', &salt) && rest.data &&
               read_bytes(salt, hash->salt, &hash->salt_len) &&
               read_bytes(rest, hash->key, &hash->key_len) && hash->key_len >= MIN_KEY;
}

/* Cuts off "PREFIX" and what follows it up to the next $. */
static bool read_parameters(struct cm_str text, struct cm_str prefix, struct cm_str *parameters_r,
                            struct cm_str *rest_r)
{
        struct cm_str rest = { text.data + prefix.len, text.len - prefix.len };

        if (!cm_str_split(&rest, '$', parameters_r) || !rest.data)
                return false;
        *rest_r = rest;
        return true;
}

/* ---- schemes */

static bool is_bcrypt_digit(char c)
{
        return (c >= '.' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int parse_bcrypt(struct cm_str text, struct stored_hash *hash)
{
        int64_t cost;

        if (text.len != BCRYPT_SIZE || text.data[0] != '$' || text.data[1] != '2' ||
            (text.data[2] != 'a' && text.data[2] != 'b' && text.data[2] != 'y') ||
            text.data[3] != '$' || text.data[6] != '$' || text.data[4] == '+' ||
            text.data[4] == '-' || !cm_str_to_int((struct cm_str){ text.data + 4, 2 }, &cost) ||
            cost < 4 || cost > 31)
                return STORED_HASH_MALFORMED;
        for (size_t i = 7; i < BCRYPT_SIZE; i++)
                if (!is_bcrypt_digit(text.data[i]))
                        return STORED_HASH_MALFORMED;
        hash->bcrypt = text;
        hash->cost = (int)cost;
        return 0;
}

static int parse_foreign_bcrypt(struct cm_str text, struct stored_hash *hash)
{
        int r = parse_bcrypt(text, hash);

        if (!r && hash->cost > MAX_BCRYPT_COST)
                return STORED_HASH_TOO_DEAR;
        return r;
}

static int parse_ours(struct cm_str text, struct stored_hash *hash)
{
        struct cm_str rest = { text.data + 4, text.len - 4 };

        if (rest.len < HASH_KEY_ID_SIZE)
                return STORED_HASH_MALFORMED;
        hash->key_id = (struct cm_str){ rest.data, HASH_KEY_ID_SIZE };
        return parse_bcrypt(
                (struct cm_str){ rest.data + HASH_KEY_ID_SIZE, rest.len - HASH_KEY_ID_SIZE }, hash);
}

static int parse_argon2(struct cm_str text, int64_t max_memory, struct stored_hash *hash)
{
        static const struct cm_str names[] = { CM_STR("m="), CM_STR("t="), CM_STR("p=") };
        struct cm_str prefix = cm_str_starts(text, CM_STR("$argon2id$v=19$"))
                                       ? CM_STR("$argon2id$v=19$")
                                       : CM_STR("$argon2i$v=19$");
        struct cm_str parameters, rest;
        int64_t n[3];

        if (!cm_str_starts(text, prefix) || !read_parameters(text, prefix, &parameters, &rest) ||
            !read_numbers(parameters, names, n) || !read_salt_and_key(rest, hash) ||
            hash->salt_len < MIN_ARGON2_SALT || n[0] < 8 * n[2])
                return STORED_HASH_MALFORMED;
        hash->memory = n[0] * 1024;
        hash->iterations = (int32_t)n[1];
        if (hash->memory > max_memory || n[0] * n[1] > MAX_ARGON2_KIB_PASSES ||
            n[2] > MAX_ARGON2_LANES)
                return STORED_HASH_TOO_DEAR;
        return 0;
}

static int parse_pbkdf2(struct cm_str text, struct cm_str prefix, struct stored_hash *hash)
{
        static const size_t sizes[] = {
                [CM_KDF_SHA1] = 20, [CM_KDF_SHA256] = 32, [CM_KDF_SHA512] = 64
        };
        struct cm_str parameters, rest;
        int64_t rounds, blocks;

        if (!read_parameters(text, prefix, &parameters, &rest) ||
            !read_number(parameters, CM_STR("i="), INT32_MAX, &rounds) ||
            !read_salt_and_key(rest, hash))
                return STORED_HASH_MALFORMED;
        hash->iterations = (int32_t)rounds;
        blocks = (int64_t)((hash->key_len + sizes[hash->digest] - 1) / sizes[hash->digest]);
        return rounds * blocks > MAX_PBKDF2_BLOCKS ? STORED_HASH_TOO_DEAR : 0;
}

static int parse_scrypt(struct cm_str text, int64_t max_memory, struct stored_hash *hash)
{
        static const struct cm_str names[] = { CM_STR("ln="), CM_STR("r="), CM_STR("p=") };
        struct cm_str parameters, rest;
        int64_t n[3];

        if (!read_parameters(text, CM_STR("$scrypt$"), &parameters, &rest) ||
            !read_numbers(parameters, names, n) || !read_salt_and_key(rest, hash))
                return STORED_HASH_MALFORMED;
        if (n[0] > 30 || n[1] > 1024 || n[2] > 1024 || (n[1] << n[0]) * n[2] > MAX_SCRYPT_WORK ||
            (n[1] << n[0]) * 128 > max_memory)
                return STORED_HASH_TOO_DEAR;
        hash->memory = (n[1] << n[0]) * 128;
        hash->scrypt = (struct cm_scrypt){ .n = UINT64_C(1) << n[0],
                                           .r = (uint32_t)n[1],
                                           .p = (uint32_t)n[2],
                                           .max_memory = (uint64_t)hash->memory };
        return 0;
}

/* A scheme by how its texts begin. */
static const struct {
        struct cm_str prefix;
        enum hash_scheme scheme;
        enum cm_kdf_digest digest;
} schemes[] = {
        { CM_STR("$s1$"), HASH_OURS, 0 },
        { CM_STR("$2a$"), HASH_BCRYPT, 0 },
        { CM_STR("$2b$"), HASH_BCRYPT, 0 },
        { CM_STR("$2y$"), HASH_BCRYPT, 0 },
        { CM_STR("$argon2id$"), HASH_ARGON2, 0 },
        { CM_STR("$argon2i$"), HASH_ARGON2, 0 },
        { CM_STR("$pbkdf2-sha1$"), HASH_PBKDF2, CM_KDF_SHA1 },
        { CM_STR("$pbkdf2-sha256$"), HASH_PBKDF2, CM_KDF_SHA256 },
        { CM_STR("$pbkdf2-sha512$"), HASH_PBKDF2, CM_KDF_SHA512 },
        { CM_STR("$scrypt$"), HASH_SCRYPT, 0 },
};

int stored_hash_parse(struct cm_str text, int64_t max_memory, struct stored_hash *hash_r)
{
        *hash_r = (struct stored_hash){ .text = text };
        if (cm_str_equal(text, CM_STR(HASH_NO_PASSWORD))) {
                hash_r->scheme = HASH_NONE;
                return 0;
        }
        for (size_t i = 0; i < CM_COUNT(schemes); i++) {
                if (!cm_str_starts(text, schemes[i].prefix))
                        continue;
                hash_r->scheme = schemes[i].scheme;
                hash_r->digest = schemes[i].digest;
                if (text.len > HASH_MAX_TEXT || memchr(text.data, 0, text.len))
                        return STORED_HASH_MALFORMED;
                switch (hash_r->scheme) {
                case HASH_OURS:
                        return parse_ours(text, hash_r);
                case HASH_BCRYPT:
                        return parse_foreign_bcrypt(text, hash_r);
                case HASH_ARGON2:
                        return parse_argon2(text, max_memory, hash_r);
                case HASH_PBKDF2:
                        return parse_pbkdf2(text, schemes[i].prefix, hash_r);
                default:
                        return parse_scrypt(text, max_memory, hash_r);
                }
        }
        return STORED_HASH_UNKNOWN;
}

const char *stored_hash_fault(int outcome)
{
        switch (outcome) {
        case STORED_HASH_UNKNOWN:
                return "the password's hash is of no scheme that is known here";
        case STORED_HASH_TOO_DEAR:
                return "the password's hash would take too much memory or time to check";
        default:
                return "the password's hash is malformed";
        }
}

/* ---- checks */

static bool bcrypt_fits(const struct stored_hash *hash, struct cm_str password)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf stored = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf computed = { 0 };

        cm_buf_add_str(&stored, hash->bcrypt);
        return bcrypt_hash(password.data, stored.data, &computed) && computed.len == stored.len &&
               cm_equal_secret(computed.data, stored.data, stored.len);
}

static bool argon2_fits(const struct stored_hash *hash, struct cm_str password)
{
        char encoded[HASH_MAX_TEXT + 1];

        memcpy(encoded, hash->text.data, hash->text.len);
        encoded[hash->text.len] = 0;
        return cm_argon2_fits(encoded, password);
}

bool stored_hash_fits(const struct stored_hash *hash, struct cm_str password)
{
        struct cm_str salt = { (const char *)hash->salt, hash->salt_len };
        uint8_t key[HASH_MAX_BYTES];
        bool fits = false;

        /* Where bcrypt would stop, and what HMAC pads with: it would fit without as well. */
        if (memchr(password.data, 0, password.len))
                return false;
        switch (hash->scheme) {
        case HASH_BCRYPT:
                return bcrypt_fits(hash, password);
        case HASH_ARGON2:
                return argon2_fits(hash, password);
        case HASH_PBKDF2:
                fits = !cm_pbkdf2(hash->digest, password, salt, hash->iterations, key,
                                  hash->key_len);
                break;
        case HASH_SCRYPT:
                fits = !cm_scrypt(&hash->scrypt, password, salt, key, hash->key_len);
                break;
        default:
                return false;
        }
        fits = fits && cm_equal_secret(key, hash->key, hash->key_len);
        cm_wipe(key, sizeof(key));
        return fits;
}
