#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "service/audit.h"

/*
 * Refused requests of a window of time, told apart by who, what and why. The first of a kind is a
 * row of the audit log; the others of that kind are counted. There are at most `rows` kinds: what
 * is beyond is counted as one. So a stranger can write no more than a set number of rows, and what
 * they did is still known. Pure.
 */
struct refusal {
        const char *action, *reason; /* static */
        const char *method;          /* static; NULL: none */
        struct cm_uuid actor;        /* nil: nobody was signed in, the network counts */
        struct cm_uuid user;         /* the account that it concerns; nil: none */
        struct cm_str network;
        struct cm_str email_key; /* instead of `user`: of whoever has this address; may be absent */
        struct cm_str target;
        bool by_target;                  /* another target is another kind */
        struct cm_audit_context context; /* of the first */
};

struct refusal_tally;
struct refusal_tally *refusal_tally_new(size_t rows);
void refusal_tally_free(struct refusal_tally **tally);

/* True: it is the first of its kind, and a row is due. */
bool refusal_tally_count(struct refusal_tally *tally, const struct refusal *refusal);
/* Nothing was counted since the beginning. */
bool refusal_tally_is_empty(const struct refusal_tally *tally);
/* Visits the kinds of which more than the first came; start with *position = 0. */
bool refusal_tally_next(const struct refusal_tally *tally, size_t *position,
                        const struct refusal **refusal_r, int64_t *more_r);
/* How many had no kind of their own. */
int64_t refusal_tally_others(const struct refusal_tally *tally);
