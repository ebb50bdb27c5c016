#pragma once
#include "base/attr.h"

/*
 * Invariants of our own code, compiled into every build. Never for input from outside: that gets a
 * problem. A failed assertion writes one line to standard error and aborts.
 */
#define CM_ASSERT(x) ((x) ? (void)0 : cm_assert_failed(#x, __FILE__, __LINE__))

CM_NORETURN void cm_assert_failed(const char *what, const char *file, int line);
