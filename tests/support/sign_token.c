#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/seal.h"
#include "codec/token.h"

/*
 * An access token of one's own making, as auth would sign it: for scopes and times that auth itself
 * does not give. Prints the token.
 *
 *   SALUS_SEAL_KEYS=… sign_token KID SEALED SUB SID TENANT TYPE SCOPE ISSUED EXPIRES [ISSUER
 * AUDIENCE]
 *
 * KID and SEALED are of a row of signing_keys, TYPE a number, times in Unix seconds.
 */
static int fail(const char *what)
{
        (void)fprintf(stderr, "sign_token: %s\n", what);
        return 1;
}

static int open_key(const char *kid, const char *sealed, struct cm_signing_key **key_r)
{
        CM_CLEANUP(cm_seal_keys_free) struct cm_seal_keys *seal = NULL;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf context = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf pem = { 0 };
        const char *keys = getenv("SALUS_SEAL_KEYS");

        cm_buf_printf(&context, "signing_keys.sealed:%s", kid);
        return !keys || cm_seal_keys_parse(cm_str_from(keys), &seal) ||
               cm_unseal(seal, cm_buf_str(&context), cm_str_from(sealed), &pem) ||
               cm_signing_key_parse(cm_buf_str(&pem), key_r);
}

int main(int argc, char **argv)
{
        CM_CLEANUP(cm_signing_key_free) struct cm_signing_key *key = NULL;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf token = { 0 };
        struct cm_token_policy policy = { .issuer = "salus", .audience = "salus" };
        struct cm_claims claims = { 0 };
        int64_t type, issued_s, expires_s;

        if (argc != 10 && argc != 12)
                return fail("wrong number of arguments");
        if (open_key(argv[1], argv[2], &key))
                return fail("SALUS_SEAL_KEYS does not open this key");
        if (!cm_uuid_parse(cm_str_from(argv[3]), &claims.sub) ||
            !cm_uuid_parse(cm_str_from(argv[4]), &claims.sid) ||
            !cm_uuid_parse(cm_str_from(argv[5]), &claims.tenant))
                return fail("an id is no UUID");
        if (!cm_str_to_int(cm_str_from(argv[6]), &type) ||
            !cm_str_to_int(cm_str_from(argv[8]), &issued_s) ||
            !cm_str_to_int(cm_str_from(argv[9]), &expires_s))
                return fail("a number is none");
        (void)snprintf(claims.scope, sizeof(claims.scope), "%s", argv[7]);
        claims.type = (int32_t)type;
        claims.issued_at = issued_s * CM_SECOND;
        claims.expires_at = expires_s * CM_SECOND;
        claims.jti = cm_uuid7(claims.issued_at);
        if (argc == 12) {
                policy.issuer = argv[10];
                policy.audience = argv[11];
        }
        if (cm_token_sign(key, &policy, &claims, &token))
                return fail("cannot sign");
        printf("%.*s\n", CM_STR_ARG(cm_buf_str(&token)));
        return 0;
}
