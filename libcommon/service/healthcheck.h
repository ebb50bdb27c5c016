#pragma once
#include "base/attr.h"

/* Asks the daemon that listens there (`listen` as in SALUS_LISTEN, its wildcard addresses meaning
 * this machine) for /healthz. 0 when it says 200 within three seconds, otherwise -CM_E_UNAVAILABLE
 * with a word on standard error. Blocking. */
int healthcheck(const char *listen) CM_MUST_CHECK;
