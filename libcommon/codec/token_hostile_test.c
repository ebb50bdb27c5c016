#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "codec/test_token_rows.h"

/*
 * Tokens that somebody would like us to accept, each with the one reason for which it is refused.
 * Unless a row is about the signature, its token is signed with our own key: what refuses it is the
 * rule in question and nothing else.
 *
 *   token_hostile_test --table     prints them: group, input, expected, got
 *   token_hostile_test --tokens    the same, and the bytes of the token as base64url; its first
 *                                  line is the key set
 */
#define MAX_ROWS 2000

struct hostile {
        const char *group;
        char name[160];
        struct cm_buf token;
        int want;
};
static struct hostile rows[MAX_ROWS];
static size_t row_count;

/* A new row with an empty token. The name is made printable. */
static struct cm_buf *row(const char *group, int want, const char *format, ...)
{
        struct hostile *it = &rows[row_count++];
        va_list args;

        assert_true(row_count <= MAX_ROWS);
        va_start(args, format);
        (void)vsnprintf(it->name, sizeof(it->name), format, args);
        va_end(args);
        for (char *c = it->name; *c; c++)
                if (*c < 0x20 || *c > 0x7e)
                        *c = '?';
        it->group = group;
        it->want = want;
        return &it->token;
}

static int or_bad(int want)
{
        return want ? want : BAD;
}

/* ---- headers and payloads of any text, signed by us */

static void header_rows(const char *group, const char *name, const char *before, const char *after,
                        const struct value *values, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct cm_buf header = { 0 };

                cm_buf_add_str(&header, cm_str_from(before));
                cm_buf_add_str(&header, values[i].text);
                cm_buf_add_str(&header, cm_str_from(after));
                make_signed(row(group, or_bad(values[i].want), "%s%s", name, values[i].text.data),
                            cm_buf_str(&header), CM_STR(CLAIMS));
                cm_buf_deinit(&header);
        }
}

static void payload_rows(const char *group, const char *name, const char *before, const char *after,
                         const struct value *values, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct cm_buf payload = { 0 };

                cm_buf_add_str(&payload, cm_str_from(before));
                cm_buf_add_str(&payload, values[i].text);
                cm_buf_add_str(&payload, cm_str_from(after));
                make_signed(row(group, or_bad(values[i].want), "%s%s", name, values[i].text.data),
                            CM_STR(HEADER), cm_buf_str(&payload));
                cm_buf_deinit(&payload);
        }
}

static void long_texts(void)
{
        static const struct {
                const char *name, *before, *after;
                size_t length;
                int want;
        } texts[] = {
                { "alg of 300", "{\"alg\":\"", "\"," T "," K "}", 300, BAD },
                { "alg of 64 KiB", "{\"alg\":\"", "\"," T "," K "}", 65536, BAD },
                { "typ of 300", "{" A ",\"typ\":\"", "\"," K "}", 300, BAD },
                { "kid of 128", "{" A "," T ",\"kid\":\"", "\"}", 128, UNKNOWN },
                { "kid of 129", "{" A "," T ",\"kid\":\"", "\"}", 129, BAD },
                { "kid of 64 KiB", "{" A "," T ",\"kid\":\"", "\"}", 65536, BAD },
                { "a header of 2 KiB", "{" A "," T "," K ",\"x\":\"", "\"}", 2048, BAD },
        };

        for (size_t i = 0; i < CM_COUNT(texts); i++) {
                struct cm_buf header = { 0 };

                cm_buf_add_str(&header, cm_str_from(texts[i].before));
                for (size_t n = 0; n < texts[i].length; n++)
                        cm_buf_add_char(&header, 'a');
                cm_buf_add_str(&header, cm_str_from(texts[i].after));
                make_signed(row("long", texts[i].want, "%s", texts[i].name), cm_buf_str(&header),
                            CM_STR(CLAIMS));
                cm_buf_deinit(&header);
        }
}

static void header_groups(void)
{
        header_rows("alg", "", "{\"alg\":", "," T "," K "}", algs, CM_COUNT(algs));
        header_rows("typ", "", "{" A ",\"typ\":", "," K "}", typs, CM_COUNT(typs));
        header_rows("kid", "", "{" A "," T ",\"kid\":", "}", kids, CM_COUNT(kids));
        header_rows("header member", "", "{" A "," T "," K ",", "}", extras, CM_COUNT(extras));
        header_rows("header", "", "", "", whole_headers, CM_COUNT(whole_headers));
        long_texts();
}

/* ---- claims */

#define COUNTED(list) list, CM_COUNT(list)

/* All ten claims; `which` has another text, or stands not at all, or stands twice. */
static void ten(struct cm_buf *payload, size_t which, const char *text, const char *second_name)
{
        cm_buf_add_char(payload, '{');
        for (size_t i = 0; i < CM_COUNT(ten_claims); i++) {
                const char *value = i == which ? text : ten_claims[i].text;

                if (value)
                        cm_buf_printf(payload, "%s\"%s\":%s", payload->len > 1 ? "," : "",
                                      ten_claims[i].name, value);
        }
        if (second_name)
                cm_buf_printf(payload, ",\"%s\":%s", second_name, ten_claims[which].text);
        cm_buf_add_char(payload, '}');
}

static int want_of(const struct replacement *replacement, const char *claim)
{
        if (!*replacement->excused || !strstr(replacement->excused, claim))
                return BAD;
        return strcmp(claim, "iss") == 0   ? WRONG_ISS
               : strcmp(claim, "aud") == 0 ? WRONG_AUD
                                           : 0; /* an empty scope is a scope */
}

static void replaced_claims(void)
{
        for (size_t i = 0; i < CM_COUNT(ten_claims); i++) {
                for (size_t k = 0; k < CM_COUNT(replacements); k++) {
                        int want = want_of(&replacements[k], ten_claims[i].name);
                        struct cm_buf payload = { 0 };

                        if (!want)
                                continue;
                        ten(&payload, i, replacements[k].text, NULL);
                        make_signed(row("claim", want, "%s %s", ten_claims[i].name,
                                        replacements[k].text ? replacements[k].text : "missing"),
                                    CM_STR(HEADER), cm_buf_str(&payload));
                        cm_buf_deinit(&payload);
                }
        }
}

static void doubled_claims(void)
{
        for (size_t i = 0; i < CM_COUNT(ten_claims); i++) {
                struct cm_buf payload = { 0 };
                const char *name = ten_claims[i].name;
                char escaped[40];

                ten(&payload, i, ten_claims[i].text, name);
                make_signed(row("claim", BAD, "%s twice", name), CM_STR(HEADER),
                            cm_buf_str(&payload));
                cm_buf_reset(&payload);
                (void)snprintf(escaped, sizeof(escaped), "\\u%04x%s", (unsigned)name[0], name + 1);
                ten(&payload, i, ten_claims[i].text, escaped);
                make_signed(row("claim", BAD, "%s twice, once escaped", name), CM_STR(HEADER),
                            cm_buf_str(&payload));
                cm_buf_deinit(&payload);
        }
}

static void id_claims(void)
{
        for (size_t i = 2; i < 6; i++) {
                for (size_t k = 0; k < CM_COUNT(no_uuids); k++) {
                        struct cm_buf payload = { 0 };

                        ten(&payload, i, no_uuids[k].text.data, NULL);
                        make_signed(
                                row("id", BAD, "%s %s", ten_claims[i].name, no_uuids[k].text.data),
                                CM_STR(HEADER), cm_buf_str(&payload));
                        cm_buf_deinit(&payload);
                }
        }
}

static void time_claims(void)
{
        for (size_t i = 0; i < CM_COUNT(times); i++) {
                struct cm_buf payload = { 0 };

                cm_buf_printf(&payload, "{" WHO IDS WHAT "%s}", times[i].members);
                make_signed(row("time", times[i].want, "%s", times[i].name), CM_STR(HEADER),
                            cm_buf_str(&payload));
                cm_buf_deinit(&payload);
        }
}

static void kinds_of_token(void)
{
        for (size_t i = 0; i < CM_COUNT(other_kinds); i++) {
                struct cm_buf header = { 0 }, payload = { 0 };

                cm_buf_printf(&header, "{" A ",\"typ\":\"%s\"," K "}", other_kinds[i].typ);
                cm_buf_printf(&payload, "{%s}", other_kinds[i].claims);
                make_signed(row("kind", BAD, "%s", other_kinds[i].name), cm_buf_str(&header),
                            cm_buf_str(&payload));
                cm_buf_deinit(&header);
                cm_buf_deinit(&payload);
        }
}

static void claim_groups(void)
{
        replaced_claims();
        doubled_claims();
        id_claims();
        time_claims();
        kinds_of_token();
        payload_rows("issuer", "", "{\"iss\":", ",\"aud\":\"salus\"," IDS WHAT TIMES "}",
                     COUNTED(issuers));
        payload_rows("audience", "",
                     "{\"iss\":\"https://salus.example\",\"aud\":", "," IDS WHAT TIMES "}",
                     COUNTED(audiences));
        payload_rows("type", "", "{" WHO IDS "\"type\":", ",\"scope\":\"\"," TIMES "}",
                     COUNTED(types));
        payload_rows("scope", "", "{" WHO IDS "\"type\":\"patient\",\"scope\":", "," TIMES "}",
                     COUNTED(scopes));
        payload_rows("payload", "", "", "", COUNTED(whole_payloads));
}

/* ---- signatures */

#define FORGED CM_TOKEN_BAD_SIGNATURE

static const unsigned char order_n[32] = { 0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,
                                           0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                           0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };

static const char *const halves[] = { "as it is", "0", "1", "n", "n + 1", "n - 1", "2^256 - 1" };

static void put_half(unsigned char half[32], size_t which)
{
        if (which == 1 || which == 2) {
                memset(half, 0, 32);
                half[31] = which == 2;
        } else if (which >= 3 && which <= 5) {
                memcpy(half, order_n, 32);
                half[31] = (unsigned char)(half[31] + (which == 4) - (which == 5));
        } else if (which == 6) {
                memset(half, 0xff, 32);
        }
}

static void special_values(void)
{
        for (size_t i = 1; i < CM_COUNT(halves) * CM_COUNT(halves); i++) {
                size_t r = i / CM_COUNT(halves), s = i % CM_COUNT(halves);
                struct cm_buf *token =
                        row("signature", FORGED, "r = %s, s = %s", halves[r], halves[s]);
                unsigned char raw[CM_ES256_SIZE];

                make_unsigned(token, CM_STR(HEADER), CM_STR(CLAIMS));
                sign_raw(ours, EVP_sha256(), cm_buf_str(token), raw);
                put_half(raw, r);
                put_half(raw + 32, s);
                add_signature(token, raw, sizeof(raw));
        }
}

static void lengths(void)
{
        static const size_t sizes[] = { 0,  1,  2,  31, 32, 33, 48, 60, 61, 62,  63, 65,
                                        66, 67, 68, 70, 71, 72, 80, 96, 97, 128, 132 };

        for (size_t i = 0; i < CM_COUNT(sizes); i++) {
                struct cm_buf *token = row("signature", BAD, "%zu bytes", sizes[i]);
                unsigned char raw[256] = { 0 };

                make_unsigned(token, CM_STR(HEADER), CM_STR(CLAIMS));
                sign_raw(ours, EVP_sha256(), cm_buf_str(token), raw);
                add_signature(token, raw, sizes[i]);
        }
}

enum wrong {
        OF_OTHERS,
        OF_HEADER,
        OF_PAYLOAD,
        OF_NOTHING,
        OF_TEXT_WITH_DOT,
        BY_OTHERS,
        SWAPPED,
        REVERSED,
        HALVES_REVERSED,
        INVERTED,
        OVER_SHA384,
        OVER_SHA1,
        RANDOM,
};
static const char *const wrongs[] = {
        "of another token",
        "of the header alone",
        "of the payload alone",
        "of nothing",
        "of the text with its last dot",
        "by another key",
        "s and r",
        "backwards",
        "r and s little-endian",
        "all bits turned",
        "over SHA-384",
        "over SHA-1",
        "random",
};

static struct cm_str what_is_signed(const struct cm_buf *token, enum wrong wrong)
{
        struct cm_str text = cm_buf_str(token), rest = text, header = text;

        (void)cm_str_split(&rest, '.', &header);
        switch (wrong) {
        case OF_OTHERS:
                return CM_STR("eyJ9.e30");
        case OF_HEADER:
                return header;
        case OF_PAYLOAD:
                return rest;
        case OF_NOTHING:
                return CM_STR("");
        default:
                return text;
        }
}

static void swap_bytes(unsigned char *bytes, size_t count)
{
        for (size_t i = 0; i < count / 2; i++) {
                unsigned char kept = bytes[i];

                bytes[i] = bytes[count - 1 - i];
                bytes[count - 1 - i] = kept;
        }
}

static void spoil(unsigned char raw[CM_ES256_SIZE], enum wrong wrong)
{
        if (wrong == SWAPPED || wrong == REVERSED)
                swap_bytes(raw, 64);
        if (wrong == SWAPPED || wrong == HALVES_REVERSED) {
                swap_bytes(raw, 32);
                swap_bytes(raw + 32, 32);
        }
        for (size_t i = 0; wrong == INVERTED && i < CM_ES256_SIZE; i++)
                raw[i] ^= 0xff;
        if (wrong == RANDOM)
                cm_random(raw, CM_ES256_SIZE);
}

static void wrong_signatures(void)
{
        for (size_t i = 0; i < CM_COUNT(wrongs); i++) {
                struct cm_buf *token = row("signature", FORGED, "%s", wrongs[i]);
                enum wrong wrong = (enum wrong)i;
                unsigned char raw[CM_ES256_SIZE];

                make_unsigned(token, CM_STR(HEADER), CM_STR(CLAIMS));
                if (wrong == OF_TEXT_WITH_DOT)
                        cm_buf_add_char(token, '.');
                sign_raw(wrong == BY_OTHERS ? theirs : ours,
                         wrong == OVER_SHA384 ? EVP_sha384()
                         : wrong == OVER_SHA1 ? EVP_sha1()
                                              : EVP_sha256(),
                         what_is_signed(token, wrong), raw);
                token->len -= wrong == OF_TEXT_WITH_DOT;
                spoil(raw, wrong);
                add_signature(token, raw, sizeof(raw));
        }
}

static void other_encodings(void)
{
        unsigned char raw[CM_ES256_SIZE], der[80];
        struct cm_buf *token = row("signature", BAD, "DER");
        size_t len;

        make_unsigned(token, CM_STR(HEADER), CM_STR(CLAIMS));
        len = sign_der(ours, EVP_sha256(), cm_buf_str(token), der);
        add_signature(token, der, len);

        token = row("signature", BAD, "hexadecimal");
        make_unsigned(token, CM_STR(HEADER), CM_STR(CLAIMS));
        sign_raw(ours, EVP_sha256(), cm_buf_str(token), raw);
        cm_buf_add_char(token, '.');
        for (size_t i = 0; i < sizeof(raw); i++)
                cm_buf_printf(token, "%02x", raw[i]);

        token = row("signature", UNKNOWN, "by another key that names itself");
        cm_buf_reset(token);
        {
                struct cm_buf header = { 0 };

                cm_buf_printf(&header, "{" A "," T ",\"kid\":\"%s\"}", cm_signing_key_id(theirs));
                make_unsigned(token, cm_buf_str(&header), CM_STR(CLAIMS));
                cm_buf_deinit(&header);
        }
        sign_raw(theirs, EVP_sha256(), cm_buf_str(token), raw);
        add_signature(token, raw, sizeof(raw));
}

/* ---- HMAC with what everybody can know of our key */

static const char *const secret_names[] = { "PEM",           "PEM without its last newline",
                                            "PEM with CRLF", "DER",
                                            "JWK",           "x and y",
                                            "an empty key",  "white space",
                                            "the kid",       "PEM after a blank" };

static void public_pem(struct cm_buf *out, bool crlf)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        long len;

        PEM_write_bio_PUBKEY(bio, cm_signing_key_pkey(ours));
        len = BIO_get_mem_data(bio, &data);
        for (long i = 0; i < len; i++) {
                if (crlf && data[i] == '\n')
                        cm_buf_add_char(out, '\r');
                cm_buf_add_char(out, data[i]);
        }
        BIO_free(bio);
}

static void public_der(struct cm_buf *out)
{
        unsigned char *der = NULL;
        int len = i2d_PUBKEY(cm_signing_key_pkey(ours), &der);

        cm_buf_add(out, der, (size_t)len);
        OPENSSL_free(der);
}

static void secret(struct cm_buf *out, size_t which)
{
        struct cm_buf der = { 0 };

        public_der(&der);
        if (which == 9)
                cm_buf_add_char(out, ' ');
        if (which <= 2 || which == 9)
                public_pem(out, which == 2);
        out->len -= which == 1;
        if (which == 3)
                cm_buf_add(out, der.data, der.len);
        if (which == 4)
                cm_signing_key_jwk(ours, out);
        if (which == 5)
                cm_buf_add(out, der.data + der.len - 64, 64);
        if (which == 7)
                cm_buf_add_char(out, ' ');
        if (which == 8)
                cm_buf_add_str(out, cm_str_from(cm_signing_key_id(ours)));
        cm_buf_deinit(&der);
}

static void confusion_with(const char *alg, const EVP_MD *digest)
{
        for (size_t i = 0; i < CM_COUNT(secret_names); i++) {
                struct cm_buf key = { 0 }, header = { 0 };
                unsigned char mac[EVP_MAX_MD_SIZE] = { 0 };
                struct cm_buf *token;
                unsigned len = 0;

                secret(&key, i);
                cm_buf_printf(&header, "{\"alg\":\"%s\"," T "," K "}", alg);
                token = row("confusion", BAD, "%s with %s", alg, secret_names[i]);
                make_unsigned(token, cm_buf_str(&header), CM_STR(CLAIMS));
                HMAC(digest, key.data ? key.data : "", (int)key.len, (unsigned char *)token->data,
                     token->len, mac, &len);
                add_signature(token, mac, len);

                token = row("confusion", FORGED, "%s with %s under our header", alg,
                            secret_names[i]);
                make_unsigned(token, CM_STR(HEADER), CM_STR(CLAIMS));
                HMAC(digest, key.data ? key.data : "", (int)key.len, (unsigned char *)token->data,
                     token->len, mac, &len);
                add_signature(token, mac, CM_ES256_SIZE);
                cm_buf_deinit(&key);
                cm_buf_deinit(&header);
        }
}

static void signature_groups(void)
{
        special_values();
        lengths();
        wrong_signatures();
        other_encodings();
        confusion_with("HS256", EVP_sha256());
        confusion_with("HS384", EVP_sha384());
        confusion_with("HS512", EVP_sha512());
}

/* ---- the text itself */

/* H, P and S are the three parts of a good token. */
static const char *const shapes[] = {
        "",
        ".",
        "..",
        "...",
        "H",
        "H.",
        "H..",
        "H.P",
        "H.P.",
        "H..S",
        ".P.S",
        "..S",
        ".P.",
        "P.S",
        "H.S",
        "H.P.S.",
        ".H.P.S",
        "H.P.S.S",
        "H.P.S.x.y",
        "H.P..S",
        "H..P.S",
        "H.H.S",
        "P.P.S",
        "P.H.S",
        "S.P.H",
        "H.P.P",
        "H.P.S,H.P.S",
        "H.P.S H.P.S",
        "H.P.SH.P.S",
        "H,P,S",
        "H%2eP%2eS",
        "H:P:S",
        "H P S",
        "Bearer H.P.S",
        "bearer H.P.S",
        "\"H.P.S\"",
        "{\"payload\":\"P\",\"protected\":\"H\",\"signature\":\"S\"}",
        "{\"payload\":\"P\",\"signatures\":[{\"protected\":\"H\",\"signature\":\"S\"}]}",
        "H.P.S~",
        "H.P.S~x~",
        "H.S.P.S.S",
        "H.x.P.S.x",
        "-H.P.S",
        "H.P.S-",
        "H.P.S==",
        "H=.P.S",
        "H.P=.S",
        "H.P.S=",
        "HH.P.S",
        "H.PP.S",
        "H.P.SS",
        "xH.P.S",
        "H.xP.S",
        "H.P.xS",
};

/* What an extra character in the payload does is told by the signature. */
static int want_of_shape(const char *shape)
{
        static const char *const forged[] = { "H.xP.S", "H.PP.S", "H.H.S" };

        for (size_t i = 0; i < CM_COUNT(forged); i++)
                if (strcmp(shape, forged[i]) == 0)
                        return FORGED;
        return BAD;
}

static void shaped(const struct cm_str parts[3])
{
        for (size_t i = 0; i < CM_COUNT(shapes); i++) {
                struct cm_buf *token = row("structure", want_of_shape(shapes[i]), "%s", shapes[i]);

                for (const char *c = shapes[i]; *c; c++) {
                        if (*c == 'H' || *c == 'P' || *c == 'S')
                                cm_buf_add_str(token, parts[*c == 'H' ? 0 : *c == 'P' ? 1 : 2]);
                        else
                                cm_buf_add_char(token, *c);
                }
        }
}

static void inserted(struct cm_str good, const struct cm_str parts[3])
{
        static const unsigned char odd[] = {
                ' ', '\t', '\n', '\r', 0, '=', '+', '/', '~', '.', 0x80
        };
        const struct {
                const char *name;
                size_t at;
        } places[] = {
                { "before all", 0 },
                { "in the header", 5 },
                { "behind the header", parts[0].len },
                { "before the payload", parts[0].len + 1 },
                { "behind the payload", parts[0].len + 1 + parts[1].len },
                { "before the signature", good.len - parts[2].len },
                { "in the signature", good.len - 5 },
                { "behind all", good.len },
        };

        for (size_t i = 0; i < CM_COUNT(odd) * CM_COUNT(places); i++) {
                size_t place = i / CM_COUNT(odd);
                unsigned char c = odd[i % CM_COUNT(odd)];
                struct cm_buf *token =
                        row("structure", BAD, "byte 0x%02x %s", c, places[place].name);

                cm_buf_add(token, good.data, places[place].at);
                cm_buf_add_char(token, (char)c);
                cm_buf_add(token, good.data + places[place].at, good.len - places[place].at);
        }
}

/* The last of the 86 digits of a signature carries four bits that must be zero. */
static void trailing_bits(struct cm_str good)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        size_t last = (size_t)(strchr(digits, good.data[good.len - 1]) - digits);

        for (size_t i = 1; i < 16; i++) {
                struct cm_buf *token = row("structure", BAD, "trailing bits %zu", i);

                cm_buf_add(token, good.data, good.len - 1);
                cm_buf_add_char(token, digits[last + i]);
        }
}

static void sizes(void)
{
        static const struct {
                const char *name;
                size_t len;
                const char *piece;
        } big[] = {
                { "1 MB of dots", 1000000, "." },     { "1 MB of text", 1000000, "A" },
                { "64 KiB of parts", 65536, "A." },   { "4,097 bytes", 4097, "A" },
                { "4,096 bytes of dots", 4096, "." }, { "4,096 bytes", 4096, "A" },
                { "1 MB of NUL", 1000000, NULL },
        };

        for (size_t i = 0; i < CM_COUNT(big); i++) {
                struct cm_buf *token = row("size", BAD, "%s", big[i].name);

                while (token->len < big[i].len)
                        cm_buf_add(token, big[i].piece ? big[i].piece : "\0",
                                   big[i].piece ? strlen(big[i].piece) : 1);
        }
}

static void text_groups(void)
{
        struct cm_buf good = { 0 };
        struct cm_str rest, parts[3];

        make_signed(&good, CM_STR(HEADER), CM_STR(CLAIMS));
        rest = cm_buf_str(&good);
        for (size_t i = 0; i < 3; i++)
                assert_true(cm_str_split(&rest, '.', &parts[i]));
        shaped(parts);
        inserted(cm_buf_str(&good), parts);
        trailing_bits(cm_buf_str(&good));
        sizes();
        cm_buf_deinit(&good);
}

/* ---- which reason, when there are several */

static const struct value faulty[] = {
        W("{" WHO IDS WHAT I("1799999000") E("1799999001") "}", EXPIRED),
        W("{" WHO IDS WHAT I("1800000031") E("1800000590") "}", NOT_YET),
        W("{\"iss\":\"x\",\"aud\":\"salus\"," IDS WHAT TIMES "}", WRONG_ISS),
        W("{\"iss\":\"https://salus.example\",\"aud\":\"x\"," IDS WHAT TIMES "}", WRONG_AUD),
        W("{\"iss\":\"x\",\"aud\":\"x\"," IDS WHAT TIMES "}", WRONG_ISS),
        W("{\"iss\":\"x\",\"aud\":\"x\"," IDS WHAT I("1799999000") E("1799999001") "}", WRONG_ISS),
        W("{\"iss\":\"https://salus.example\",\"aud\":\"x\"," IDS WHAT I("1799999000")
                  E("1799999001") "}",
          WRONG_AUD),
        W("{" WHO IDS WHAT I("1799999000") E("1799999001") N("1800000031") "}", EXPIRED),
        W("{\"iss\":\"x\",\"aud\":\"salus\",\"type\":\"patient\"," TIMES "}", BAD),
        W("{" WHO IDS WHAT I("1799999000") E("1799999001") N("\"x\"") "}", BAD),
        W("x", BAD),
        W("{}", BAD),
};

static void several_reasons(void)
{
        for (size_t i = 0; i < CM_COUNT(faulty); i++) {
                unsigned char other[CM_ES256_SIZE];
                struct cm_str payload = faulty[i].text;
                struct cm_buf *token = row("order", faulty[i].want, "%s", payload.data);

                make_signed(token, CM_STR(HEADER), payload);
                sign_raw(ours, EVP_sha256(), CM_STR("something else"), other);
                token = row("order", FORGED, "%s and a bad signature", payload.data);
                make_unsigned(token, CM_STR(HEADER), payload);
                add_signature(token, other, sizeof(other));
                make_signed(row("order", UNKNOWN, "%s and an unknown key", payload.data),
                            CM_STR("{" A "," T ",\"kid\":\"other\"}"), payload);
                make_signed(row("order", BAD, "%s and alg none", payload.data),
                            CM_STR("{\"alg\":\"none\"," T "," K "}"), payload);
        }
}

/* ---- */

static int make_rows(void **state)
{
        if (set_up(state))
                return 1;
        header_groups();
        claim_groups();
        signature_groups();
        text_groups();
        several_reasons();
        return 0;
}

static int drop_rows(void **state)
{
        for (size_t i = 0; i < row_count; i++)
                cm_buf_deinit(&rows[i].token);
        return tear_down(state);
}

static void each_is_refused_for_its_reason(void **state CM_UNUSED)
{
        size_t wrong = 0;

        assert_true(row_count >= 600);
        for (size_t i = 0; i < row_count; i++) {
                int got = verify(cm_buf_str(&rows[i].token));

                assert_int_not_equal(rows[i].want, 0);
                if (got == rows[i].want)
                        continue;
                wrong++;
                print_error("%s: %s: %s instead of %s\n", rows[i].group, rows[i].name,
                            cm_token_outcome_name(got), cm_token_outcome_name(rows[i].want));
        }
        assert_int_equal(wrong, 0);
}

/* What all rows differ from by one thing. */
static void these_are_accepted(void **state CM_UNUSED)
{
        static const struct {
                const char *name;
                struct cm_str header, payload;
        } good[] = {
                { "ours", CM_STR(HEADER), CM_STR(CLAIMS) },
                { "another order", CM_STR("{" K "," T "," A "}"), CM_STR(CLAIMS) },
                { "an unknown claim", CM_STR(HEADER), CM_STR("{" ALL ",\"amr\":[\"pwd\"]}") },
                { "an empty scope", CM_STR(HEADER),
                  CM_STR("{" WHO IDS "\"type\":\"patient\",\"scope\":\"\"," TIMES "}") },
                { "nbf past", CM_STR(HEADER), CM_STR("{" ALL N("1799999990") "}") },
                { "exp = now - leeway + 1", CM_STR(HEADER),
                  CM_STR("{" WHO IDS WHAT I("1799999000") E("1799999971") "}") },
                { "iat within the leeway", CM_STR(HEADER),
                  CM_STR("{" WHO IDS WHAT I("1800000030") E("1800000590") "}") },
        };
        struct cm_buf token = { 0 };

        for (size_t i = 0; i < CM_COUNT(good); i++) {
                make_signed(&token, good[i].header, good[i].payload);
                if (verify(cm_buf_str(&token)))
                        fail_msg("%s", good[i].name);
        }
        cm_buf_deinit(&token);
}

/* The second form of a signature, (r, n - s), is as valid: nothing may depend on its bytes. */
static void the_other_signature_is_accepted(void **state CM_UNUSED)
{
        unsigned char raw[CM_ES256_SIZE];
        struct cm_buf token = { 0 };
        BIGNUM *n = BN_bin2bn(order_n, 32, NULL), *s;

        make_unsigned(&token, CM_STR(HEADER), CM_STR(CLAIMS));
        sign_raw(ours, EVP_sha256(), cm_buf_str(&token), raw);
        s = BN_bin2bn(raw + 32, 32, NULL);
        BN_sub(s, n, s);
        BN_bn2binpad(s, raw + 32, 32);
        add_signature(&token, raw, sizeof(raw));
        assert_int_equal(verify(cm_buf_str(&token)), 0);
        BN_free(n);
        BN_free(s);
        cm_buf_deinit(&token);
}

/* Each bit of a good token turned: never accepted; in the payload it is the signature that says so.
 */
static void each_bit_counts(void **state CM_UNUSED)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        struct cm_buf token = { 0 };
        char *first, *second;

        make_signed(&token, CM_STR(HEADER), CM_STR(CLAIMS));
        assert_int_equal(verify(cm_buf_str(&token)), 0);
        first = memchr(token.data, '.', token.len);
        second = memrchr(token.data, '.', token.len);
        for (size_t bit = 0; bit < token.len * 8; bit++) {
                char *c = &token.data[bit / 8];
                int got;

                *c = (char)(*c ^ 1 << bit % 8);
                got = verify(cm_buf_str(&token));
                assert_int_not_equal(got, 0);
                if (!*c || !strchr(digits, *c) || c == first || c == second)
                        assert_int_equal(got, BAD);
                else if (c > first && c < second - 1)
                        assert_int_equal(got, FORGED);
                *c = (char)(*c ^ 1 << bit % 8);
        }
        assert_int_equal(verify(cm_buf_str(&token)), 0);
        cm_buf_deinit(&token);
}

#ifdef CM_ASAN
static size_t allocated;

static void on_malloc(const volatile void *at CM_UNUSED, size_t size)
{
        allocated += size;
}

static void on_free(const volatile void *at CM_UNUSED)
{
}

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

/* CVE-2025-30204 and its like: a token that is too large costs nothing beside itself. */
static void dots_cost_no_memory(void **state CM_UNUSED)
{
        struct cm_buf token = { 0 };

        while (token.len < 1000000)
                cm_buf_add_char(&token, '.');
        assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free));
        allocated = 0;
        assert_int_equal(verify(cm_buf_str(&token)), BAD);
        token.len = 4096; /* within the limit */
        assert_int_equal(verify(cm_buf_str(&token)), BAD);
        assert_true(allocated <= 4096);
        cm_buf_deinit(&token);
}
#endif

static void print_rows(bool with_tokens)
{
        struct cm_buf set = { 0 };

        cm_signing_key_jwk(ours, &set);
        if (with_tokens)
                printf("{\"keys\":[%s]}\n", set.data);
        for (size_t i = 0; i < row_count; i++) {
                struct cm_buf text = { 0 };

                cm_base64url_encode(rows[i].token.data ? rows[i].token.data : "", rows[i].token.len,
                                    &text);
                printf("%s\t%s\t%s\t%s%s%s\n", rows[i].group, rows[i].name,
                       cm_token_outcome_name(rows[i].want),
                       cm_token_outcome_name(verify(cm_buf_str(&rows[i].token))),
                       with_tokens ? "\t" : "", with_tokens && text.data ? text.data : "");
                cm_buf_deinit(&text);
        }
        cm_buf_deinit(&set);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_is_refused_for_its_reason),
                cmocka_unit_test(these_are_accepted),
                cmocka_unit_test(the_other_signature_is_accepted),
                cmocka_unit_test(each_bit_counts),
#ifdef CM_ASAN
                cmocka_unit_test(dots_cost_no_memory),
#endif
        };

        if (argc == 2 && strncmp(argv[1], "--t", 3) == 0) {
                (void)make_rows(NULL);
                print_rows(strcmp(argv[1], "--tokens") == 0);
                return drop_rows(NULL);
        }
        return cmocka_run_group_tests(tests, make_rows, drop_rows);
}
