#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "codec/token_internal.h"

/*
 * Tokens made by chance, with our verdict on each, for others to judge:
 *
 *   token_verdicts COUNT SEED NOW      NOW in Unix seconds
 *
 * The first line is the key set; then, for each token, its outcome, a tab, the token. Most differ
 * from a good one by a little: those are the ones on which verifiers disagree.
 */
static uint64_t state;
static int64_t now_s;
static struct cm_signing_key *ours, *theirs;

static unsigned chance(unsigned below)
{
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (unsigned)(state >> 11) % below;
}

static bool one_in(unsigned n)
{
        return chance(n) == 0;
}

#define PICK(list) (list)[chance(CM_COUNT(list))]

/* ---- the header */

static const char *const algs[] = { "\"none\"",    "\"HS256\"",  "\"es256\"", "\"ES384\"", "null",
                                    "[\"ES256\"]", "\"ES256 \"", "1",         "\"\"" };
static const char *const typs[] = { "\"JWT\"", "\"AT+JWT\"", "\"application/at+jwt\"", "null",
                                    "1" };
static const char *const kids[] = { "\"x\"", "\"\"", "null", "7", "\"../../dev/null\"" };
static const char *const extras[] = { ",\"crit\":[]",
                                      ",\"crit\":[\"exp\"]",
                                      ",\"b64\":false",
                                      ",\"b64\":false,\"crit\":[\"b64\"]",
                                      ",\"cty\":\"JWT\"",
                                      ",\"zip\":\"DEF\"",
                                      ",\"jku\":\"https://x.example\"",
                                      ",\"x\":1",
                                      ",\"alg\":\"none\"",
                                      ",\"alg\":\"ES256\"" };
static const char *const spaces[] = { "", " ", "\n", "\t", "\r\n  " };

static void add_header(struct cm_buf *out)
{
        struct cm_buf text = { 0 }, kid = { 0 };

        cm_buf_printf(&kid, "\"%s\"", cm_signing_key_id(one_in(40) ? theirs : ours));
        cm_buf_printf(&text, "%s{\"alg\":%s,%s\"typ\":%s,\"kid\":%s%s}%s",
                      one_in(8) ? PICK(spaces) : "", one_in(25) ? PICK(algs) : "\"ES256\"",
                      one_in(8) ? PICK(spaces) : "", one_in(25) ? PICK(typs) : "\"at+jwt\"",
                      one_in(40) ? PICK(kids) : kid.data, one_in(20) ? PICK(extras) : "",
                      one_in(8) ? PICK(spaces) : "");
        cm_base64url_encode(text.data, text.len, out);
        cm_buf_deinit(&text);
        cm_buf_deinit(&kid);
}

/* ---- the claims */

static const char *const odd[] = { "null",
                                   "1",
                                   "-1",
                                   "true",
                                   "\"\"",
                                   "[]",
                                   "{}",
                                   "1.5",
                                   "1e400",
                                   "[\"salus\"]",
                                   "[\"salus\",\"x\"]",
                                   "\"salus \"",
                                   "\"Salus\"",
                                   "\"\\u0000\"",
                                   "\"\\u0073alus\"",
                                   "99999999999999999999" };
static const char *const unknown[] = { ",\"amr\":[\"pwd\"]",
                                       ",\"x\":{\"y\":[1,2.5,null]}",
                                       ",\"x\":1e5",
                                       ",\"x\":\"\\ud83d\\ude00\"",
                                       ",\"x\":\"\\ud83d\"",
                                       ",\"x\":\"\xff\"",
                                       ",\"x\":\"\xd7\xa9\"",
                                       ",\"\":1",
                                       ",\"exp\":1",
                                       ",\"x\":1,\"x\":2",
                                       ",\"x\":-0.0",
                                       ",\"x\":1E+2",
                                       ",\"x\":123456789012345678901234567890",
                                       ",\"x\":NaN",
                                       ",\"x\":[1,]",
                                       ",\"x\":\"\\/\"",
                                       ",\"x\":\"\x7f\"",
                                       ",\"x\":\"\x01\"",
                                       "," };

static void add_claim(struct cm_buf *text, const char *name, const char *value)
{
        if (one_in(150))
                return;
        cm_buf_printf(text, "%s\"%s\":%s", text->len > 1 ? "," : "", name,
                      one_in(80) ? PICK(odd) : value);
        if (one_in(300))
                cm_buf_printf(text, ",\"%s\":%s", name, value);
}

static void add_time(struct cm_buf *text, const char *name, int64_t seconds)
{
        static const char *const forms[] = { "%lld.0", "%lld.5", "\"%lld\"", "%llde0", "0%lld" };
        char value[40];

        (void)snprintf(value, sizeof(value), one_in(40) ? PICK(forms) : "%lld", (long long)seconds);
        add_claim(text, name, value);
}

/* Far enough from every edge that a slow reader judges alike. */
static int64_t some_time(int64_t usual)
{
        static const int64_t others[] = {
                -1000000, -86400, -7200, -300, 300, 7200, 86400, 1000000
        };

        return one_in(15) ? now_s + PICK(others) : now_s + usual;
}

static void add_claims(struct cm_buf *out)
{
        static const char *const ids[] = { "sub", "sid", "tenant", "jti" };
        int64_t shift = one_in(20) ? -86400 : 0;
        struct cm_buf text = { 0 };

        cm_buf_add_char(&text, '{');
        add_claim(&text, "iss", "\"salus\"");
        add_claim(&text, "aud", "\"salus\"");
        for (size_t i = 0; i < CM_COUNT(ids); i++)
                add_claim(&text, ids[i], "\"01890a5d-ac96-774b-bcce-b302099a8057\"");
        add_claim(&text, "type", one_in(2) ? "\"patient\"" : "\"doctor\"");
        add_claim(&text, "scope", one_in(2) ? "\"health:read\"" : "\"\"");
        add_time(&text, "iat", some_time(shift - 300));
        add_time(&text, "exp", some_time(shift + 3600));
        if (one_in(3))
                add_time(&text, "nbf", some_time(-300));
        if (one_in(3))
                cm_buf_add_str(&text, cm_str_from(PICK(unknown)));
        cm_buf_add_char(&text, '}');
        cm_base64url_encode(text.data, text.len, out);
        cm_buf_deinit(&text);
}

/* ---- the signature, and what becomes of the text */

static void add_signature(struct cm_buf *token)
{
        unsigned char der[80], raw[CM_ES256_SIZE];
        const unsigned char *p = der;
        size_t len = sizeof(der);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        ECDSA_SIG *sig;

        CM_ASSERT(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL,
                                     cm_signing_key_pkey(one_in(60) ? theirs : ours)) == 1);
        CM_ASSERT(EVP_DigestSign(context, der, &len, (const unsigned char *)token->data,
                                 token->len) == 1);
        EVP_MD_CTX_free(context);
        sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
        ECDSA_SIG_free(sig);
        if (one_in(60))
                memset(raw + (one_in(2) ? 32 : 0), one_in(2) ? 0 : 0xff, 32);
        cm_buf_add_char(token, '.');
        cm_base64url_encode(raw, one_in(60) ? chance(CM_ES256_SIZE) + 1 : CM_ES256_SIZE, token);
}

static void spoil(struct cm_buf *token)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ";
        size_t at = chance((unsigned)token->len);

        if (one_in(2))
                token->data[at] = digits[chance(sizeof(digits) - 1)];
        else if (one_in(2))
                token->len = at;
        else
                cm_buf_add_char(token, digits[chance(sizeof(digits) - 1)]);
}

static void make(struct cm_buf *token)
{
        cm_buf_reset(token);
        add_header(token);
        cm_buf_add_char(token, '.');
        add_claims(token);
        add_signature(token);
        if (one_in(20))
                spoil(token);
}

int main(int argc, char **argv)
{
        const struct cm_token_policy policy = { "salus", "salus", 30 * CM_SECOND };
        struct cm_key_set *keys = NULL;
        struct cm_buf set = { 0 }, token = { 0 };
        int64_t count, seed;

        if (argc != 4 || !cm_str_to_int(cm_str_from(argv[1]), &count) ||
            !cm_str_to_int(cm_str_from(argv[2]), &seed) ||
            !cm_str_to_int(cm_str_from(argv[3]), &now_s))
                return 1;
        state = (uint64_t)seed * 0x9e3779b97f4a7c15 + 1;
        if (cm_signing_key_generate(&ours) || cm_signing_key_generate(&theirs))
                return 1;
        cm_buf_add_str(&set, CM_STR("{\"keys\":["));
        cm_signing_key_jwk(ours, &set);
        cm_buf_add_str(&set, CM_STR("]}"));
        if (cm_key_set_parse(cm_buf_str(&set), &keys))
                return 1;
        printf("%.*s\n", CM_STR_ARG(cm_buf_str(&set)));
        for (int64_t i = 0; i < count; i++) {
                struct cm_claims claims;
                int r;

                make(&token);
                r = cm_token_verify(keys, &policy, cm_buf_str(&token), now_s * CM_SECOND, &claims);
                printf("%s\t%.*s\n", cm_token_outcome_name(r), CM_STR_ARG(cm_buf_str(&token)));
        }
        cm_key_set_free(&keys);
        cm_signing_key_free(&ours);
        cm_signing_key_free(&theirs);
        cm_buf_deinit(&set);
        cm_buf_deinit(&token);
        return 0;
}
