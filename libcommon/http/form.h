#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "codec/schema.h"

/*
 * Bodies of application/x-www-form-urlencoded, as OAuth has them (RFC 6749 section 3.2): a name
 * without a value counts as left out, a name that the schema does not know is ignored, and a known
 * one stands at most once. The schema is an object of texts.
 *
 * As cm_schema_decode(): 0, CM_DECODE_NOT_JSON when the text is no form at all (bad escapes, not
 * UTF-8), or CM_DECODE_FAULTS. Does not suspend.
 */
int cm_form_decode(const struct cm_schema *schema, struct cm_str text, struct cm_arena *arena,
                   void *out, struct cm_faults *faults) CM_MUST_CHECK;
