#pragma once
#include "codec/json_tree.h"

/* What the reader of trees and the scanners of its scalars share. */
struct cm_json_reader {
        const char *start, *p, *end;
        struct cm_arena *arena;
        const char *what; /* the fault, once there is one; `p` is where */
};

/* Notes the fault; returns false. */
bool cm_json_fail(struct cm_json_reader *reader, const char *what);
/* `p` is at the opening quote. */
bool cm_json_scan_text(struct cm_json_reader *reader, struct cm_str *text_r);
/* `p` is at the first character of what should be a number. */
bool cm_json_scan_number(struct cm_json_reader *reader, struct cm_json_node *node);
