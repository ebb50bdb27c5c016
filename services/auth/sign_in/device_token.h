#pragma once
#include <stdbool.h>

#include "base/str.h"
#include "base/time.h"

/*
 * What a device gets when somebody has signed in on it, and shows at the next login to the same
 * account: failures are then counted for the device, and those that others cause do not lock it
 * out (the device cookies of OWASP). Pure. It proves nothing but that: whoever steals one may guess
 * as often as any stranger.
 */
#define DEVICE_TOKEN_SIZE 76 /* with the NUL */

/* A fresh one for the account with this address. `secret` is the pepper. Returns `out`. */
const char *device_token_make(struct cm_str secret, struct cm_str email_key, cm_time now,
                              char out[DEVICE_TOKEN_SIZE]);
/* Whether we made it for this account, less than `life_us` ago. */
bool device_token_is_good(struct cm_str secret, struct cm_str email_key, struct cm_str token,
                          cm_time now, int64_t life_us);
