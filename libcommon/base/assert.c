#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void cm_assert_failed(const char *what, const char *file, int line)
{
        fprintf(stderr, "assertion failed: %s at %s:%d\n", what, file, line);
        abort();
}
