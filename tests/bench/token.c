/* Prints how many fresh tokens one core verifies a second. */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "codec/token.h"

int main(void)
{
        const struct cm_token_policy policy = { "salus", "salus", 0 };
        struct cm_claims claims = { .issued_at = 1763669712 * CM_SECOND,
                                    .type = 1,
                                    .scope = "health:read" };
        struct cm_buf token = { 0 }, jwk = { 0 }, jwks = { 0 };
        struct cm_signing_key *key = NULL;
        struct cm_key_set *keys = NULL;
        int64_t begin;
        int count = 0;

        claims.expires_at = claims.issued_at + 600 * CM_SECOND;
        if (cm_signing_key_generate(&key) || cm_token_sign(key, &policy, &claims, &token))
                return 1;
        cm_signing_key_jwk(key, &jwk);
        cm_buf_printf(&jwks, "{\"keys\":[%s]}", jwk.data);
        if (cm_key_set_parse(cm_buf_str(&jwks), &keys))
                return 1;
        begin = cm_monotonic_us();
        while (cm_monotonic_us() - begin < 2 * CM_SECOND) {
                struct cm_claims read;

                if (cm_token_verify(keys, &policy, cm_buf_str(&token), claims.issued_at + CM_SECOND,
                                    &read))
                        return 1;
                count++;
        }
        printf("%f\n", (double)count * CM_SECOND / (double)(cm_monotonic_us() - begin));
        return 0;
}
