#pragma once
#include "analysis.h"
#include "codec/schema.h"
#include "memory_api.h"

/*
 * What a memory must be, and what it is when nothing else is said. Pure: the clock and the person
 * come in.
 */

/* Bits of user_consent, as stored. */
enum { CONSENT_RECALL = 1, CONSENT_EXTERNAL_MODEL = 2, CONSENT_ANALYTICS = 4 };

enum { CONTENT_DIGEST_SIZE = 16 };

/* A memory on its way to the store. */
struct new_memory {
        struct memory memory;
        bool is_dated; /* valid_from was given */
        uint8_t digest[CONTENT_DIGEST_SIZE];
        struct cm_str key;  /* the request's idempotency key; absent: none */
        struct cm_str body; /* what came in with the key */
};

struct memory_rules {
        struct analyser *analyser;
        struct cm_uuid user_id;
        cm_time now;
        size_t max_content; /* bytes */
        struct cm_arena *arena;
        struct cm_faults *faults; /* what is wrong, by pointer */
};

enum memory_rules_outcome {
        MEMORY_INVALID = 1, /* see faults */
        MEMORY_UNCHANGED,   /* the patch says nothing new */
};

/* 0 or MEMORY_INVALID. */
int memory_rules_complete(const struct memory_rules *rules, const struct memory_input *in,
                          struct new_memory *new_r);
/* Applies a patch to what is stored. 0, MEMORY_UNCHANGED or MEMORY_INVALID. */
int memory_rules_change(const struct memory_rules *rules, const struct memory_patch *patch,
                        struct memory *memory, uint8_t digest_r[CONTENT_DIGEST_SIZE]);

/* What the three scores make together. */
void memory_set_composite(struct memory *memory);

uint8_t consent_bits(const struct memory_consent *consent);
struct memory_consent consent_from(uint8_t bits);
/* Bits that a memory must have for this purpose (enum recall_purpose). */
uint8_t consent_for(int32_t purpose);
