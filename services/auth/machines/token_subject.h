#pragma once
#include "base/attr.h"
#include "codec/token.h"
#include "store/pg.h"

/* Whether what a token says of its person still holds: the table knows it before any signal does.
 */

enum token_subject_outcome {
        TOKEN_SUBJECT_CHANGED = 1 /* session over, account or type not as then */
};

/* Suspends. 0, TOKEN_SUBJECT_CHANGED or an error. */
int token_subject_check(struct cm_pg *pg, const struct cm_claims *claims) CM_MUST_CHECK;
