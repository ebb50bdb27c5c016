#include "token_chain.h"

#include <string.h>

#include "base/mem.h"
#include "codec/digest.h"

/*
 * A token is session id, generation, 256 random bits and a tag over the three, in base64url. The
 * tag is there for two reasons: a made-up token is refused without a query, and a token of an old
 * generation is known to be genuine although no row remembers it. Without that, anybody who knows a
 * session's id could claim an old generation and have the family revoked; the other remedy, one row
 * for each token ever given out, costs an insert a refresh and never stops growing.
 *
 * The same parent within the grace period must get the same child, yet only digests are stored. So
 * the child is kept wrapped by its parent: XOR with a keyed hash under the parent's secret, which
 * is random, and used for one child only. A copy of the database opens nothing.
 */
enum { ID_SIZE = 16, GENERATION_SIZE = 4, SECRET_SIZE = 32, TAG_SIZE = 16 };
enum { BODY_SIZE = ID_SIZE + GENERATION_SIZE + SECRET_SIZE, TOKEN_SIZE = BODY_SIZE + TAG_SIZE };

void token_chain_key_derive(struct token_chain_key *key_r, struct cm_str pepper)
{
        static const char purpose[] = "salus refresh token tag, version 1";

        cm_hmac_sha256(pepper, purpose, sizeof(purpose) - 1, key_r->bytes);
}

void chain_link_make(struct chain_link *link_r, const struct cm_uuid *session_id,
                     int32_t generation)
{
        link_r->session_id = *session_id;
        link_r->generation = generation;
        cm_random(link_r->secret, sizeof(link_r->secret));
}

static void tag_of(const struct token_chain_key *key, const void *body, uint8_t tag_r[32])
{
        cm_hmac_sha256((struct cm_str){ (const char *)key->bytes, sizeof(key->bytes) }, body,
                       BODY_SIZE, tag_r);
}

static void put_body(const struct chain_link *link, uint8_t body[BODY_SIZE])
{
        uint32_t generation = (uint32_t)link->generation;

        memcpy(body, link->session_id.bytes, ID_SIZE);
        for (int i = 0; i < GENERATION_SIZE; i++)
                body[ID_SIZE + i] = (uint8_t)(generation >> (24 - 8 * i));
        memcpy(body + ID_SIZE + GENERATION_SIZE, link->secret, SECRET_SIZE);
}

static void get_body(const uint8_t body[BODY_SIZE], struct chain_link *link_r)
{
        uint32_t generation = 0;

        memcpy(link_r->session_id.bytes, body, ID_SIZE);
        for (int i = 0; i < GENERATION_SIZE; i++)
                generation = generation << 8 | body[ID_SIZE + i];
        link_r->generation = (int32_t)generation;
        memcpy(link_r->secret, body + ID_SIZE + GENERATION_SIZE, SECRET_SIZE);
}

const char *chain_link_format(const struct token_chain_key *key, const struct chain_link *link,
                              char out[CHAIN_TEXT_SIZE])
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        uint8_t token[TOKEN_SIZE];
        uint8_t tag[32];

        put_body(link, token);
        tag_of(key, token, tag);
        memcpy(token + BODY_SIZE, tag, TAG_SIZE);
        cm_base64url_encode(token, sizeof(token), &text);
        memcpy(out, text.data, CHAIN_TEXT_SIZE);
        cm_wipe(text.data, text.len);
        cm_wipe(token, sizeof(token));
        return out;
}

bool chain_link_parse(const struct token_chain_key *key, struct cm_str text,
                      struct chain_link *link_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf token = { 0 };
        uint8_t tag[32];
        bool genuine;

        if (text.len != CHAIN_TEXT_SIZE - 1 || !cm_base64url_decode(text, &token))
                return false;
        tag_of(key, token.data, tag);
        genuine = cm_equal_secret(token.data + BODY_SIZE, tag, TAG_SIZE);
        if (genuine)
                get_body((const uint8_t *)token.data, link_r);
        cm_wipe(token.data, token.len);
        return genuine;
}

void chain_link_digest(const struct chain_link *link, uint8_t digest_r[CHAIN_DIGEST_SIZE])
{
        uint8_t body[BODY_SIZE];

        put_body(link, body);
        cm_sha256(body, sizeof(body), digest_r);
        cm_wipe(body, sizeof(body));
}

void chain_link_wrap(const struct chain_link *parent, const uint8_t secret[32],
                     uint8_t wrapped_r[32])
{
        static const char purpose[] = "salus refresh token child, version 1";
        struct cm_str key = { (const char *)parent->secret, SECRET_SIZE };

        cm_hmac_sha256(key, purpose, sizeof(purpose) - 1, wrapped_r);
        for (int i = 0; i < SECRET_SIZE; i++)
                wrapped_r[i] ^= secret[i];
}
