#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"

/*
 * Refresh tokens as a chain: each session has one chain, each refresh adds a link. Pure: no store,
 * no clock; the database decides which link is the current one.
 */

/* Derived from the pepper; tells tokens that we made from any other bytes. */
struct token_chain_key {
        uint8_t bytes[32];
};

struct chain_link {
        struct cm_uuid session_id;
        int32_t generation; /* from 1 */
        uint8_t secret[32];
};

#define CHAIN_DIGEST_SIZE 32
#define CHAIN_TEXT_SIZE   92 /* with the NUL */

void token_chain_key_derive(struct token_chain_key *key_r, struct cm_str pepper);

/* A link with a fresh random secret. */
void chain_link_make(struct chain_link *link_r, const struct cm_uuid *session_id,
                     int32_t generation);

/* The token as its holder gets it. Returns `out`. */
const char *chain_link_format(const struct token_chain_key *key, const struct chain_link *link,
                              char out[CHAIN_TEXT_SIZE]);
/* False for anything that chain_link_format() did not write under this key. */
bool chain_link_parse(const struct token_chain_key *key, struct cm_str text,
                      struct chain_link *link_r);

/* What the database keeps of a link. */
void chain_link_digest(const struct chain_link *link, uint8_t digest_r[CHAIN_DIGEST_SIZE]);

/* The child's secret under its parent's: who holds the parent can have the child, nobody else.
 * Wrapping and unwrapping are the same operation. */
void chain_link_wrap(const struct chain_link *parent, const uint8_t secret[32],
                     uint8_t wrapped_r[32]);
