#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/time.h"

/* What a session may do, and what is written down of the device that holds it. Pure. */

/* The scopes of an account of this type (enum user_type), blank-separated; "" for none. One that
 * has to choose a password first may do only that. */
const char *session_rules_scope(int32_t user_type, bool must_change);

/* A header's text as it may be kept: well-formed, no control characters, at most 300 bytes; never
 * absent. */
struct cm_str session_rules_user_agent(struct cm_arena *arena, struct cm_str header);

/* The network that failed logins are counted for: an IPv4 address as it is, an IPv6 address cut to
 * its /64, because that much belongs to one subscriber. Anything else is "unknown". */
struct cm_str session_rules_network(struct cm_arena *arena, struct cm_str address);

/* Whole seconds from `now` until `end`, never negative. */
int64_t session_rules_seconds_left(cm_time now, cm_time end);
