#pragma once
#include "service/service.h"

/* What an operator does with signing keys: salus-auth --list-keys, --rotate-keys, --withdraw-key.
 */
extern const struct cm_command key_commands[];
