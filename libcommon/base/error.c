#include "base/error.h"

#include <stdlib.h>

#include "base/attr.h"

static const char *const names[] = {
        [0] = "none",
        [CM_E_DEADLINE] = "deadline",
        [CM_E_CANCELLED] = "cancelled",
        [CM_E_UNAVAILABLE] = "unavailable",
        [CM_E_UNCERTAIN] = "uncertain",
        [CM_E_OVERLOAD] = "overload",
        [CM_E_TOO_LARGE] = "too_large",
        [CM_E_MALFORMED] = "malformed",
        [CM_E_PROTOCOL] = "protocol",
        [CM_E_DATABASE] = "database",
        [CM_E_IO] = "io",
        [CM_E_CONFIG] = "config",
        [CM_E_INTERNAL] = "internal",
};

_Static_assert(CM_COUNT(names) == CM_E_MAX, "each error has a name");

const char *cm_error_name(int error)
{
        int number = abs(error);

        return number < CM_E_MAX ? names[number] : "unknown";
}
