#include "recovery_codes.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"

enum { HALF = 5, LETTERS = 2 * HALF };
static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct cm_str recovery_code_make(struct cm_arena *arena)
{
        uint8_t random[LETTERS];
        char text[LETTERS];

        cm_random(random, sizeof(random));
        for (int i = 0; i < LETTERS; i++)
                text[i] = alphabet[random[i] & 31];
        return cm_arena_printf(arena, "%.*s-%.*s", HALF, text, HALF, text + HALF);
}

bool recovery_code_digest(struct cm_str pepper, struct cm_str code,
                          uint8_t digest_r[CM_SHA256_SIZE])
{
        static const char label[] = "recovery code:";
        char text[sizeof(label) - 1 + LETTERS];
        size_t len = 0;

        memcpy(text, label, sizeof(label) - 1);
        for (size_t i = 0; i < code.len; i++) {
                int c = toupper((unsigned char)code.data[i]);

                if (c == '-' || c == ' ')
                        continue;
                if (!c || !strchr(alphabet, c) || len == LETTERS)
                        return false;
                text[sizeof(label) - 1 + len++] = (char)c;
        }
        if (len != LETTERS)
                return false;
        cm_hmac_sha256(pepper, text, sizeof(text), digest_r);
        cm_wipe(text, sizeof(text));
        return true;
}
