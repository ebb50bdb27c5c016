#pragma once
#include "analysis.h"

/*
 * Facts of which one holds at a time. "My name is B" ends "my name is A"; two allergies do not end
 * each other. Found in plain sentences only: what is not certain is no slot, and a caller who knows
 * better names one.
 */

/* Static text; absent when the text states no such fact. */
struct cm_str slot_find(const struct analysis *text);
