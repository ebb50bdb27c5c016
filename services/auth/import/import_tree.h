#pragma once
#include <stdbool.h>

#include "base/time.h"
#include "codec/json_tree.h"

/* What is asked of records of other systems, whose shapes are theirs and not in proto/. NULL and
 * other types than asked for are like what is absent. */

const struct cm_json_node *import_member(const struct cm_json_node *object, const char *name);
/* A text; absent when it is none. */
struct cm_str import_text(const struct cm_json_node *object, const char *name);
/* The first text of a list of texts. */
struct cm_str import_first(const struct cm_json_node *object, const char *name);
/* A number, also one that is written as a text; 0 otherwise. */
int64_t import_integer(const struct cm_json_node *object, const char *name);
/* true, also "true" and "t". */
bool import_is_true(const struct cm_json_node *object, const char *name);
/* RFC 3339, or as PostgreSQL prints it ("2026-11-20 20:15:12.5+00"); 0 otherwise. */
cm_time import_time(const struct cm_json_node *object, const char *name);
/* An object, or the one that a text holds as JSON. NULL when it is neither. */
const struct cm_json_node *import_object(struct cm_arena *arena, const struct cm_json_node *node);
