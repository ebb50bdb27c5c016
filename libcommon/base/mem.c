#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CM_NORETURN void out_of_memory(size_t size)
{
        fprintf(stderr, "out of memory: %zu bytes\n", size);
        abort();
}

void *cm_alloc(size_t size)
{
        return cm_alloc_array(1, size);
}

void *cm_alloc_array(size_t count, size_t size)
{
        void *ptr = calloc(count ? count : 1, size ? size : 1);

        if (!ptr)
                out_of_memory(count * size);
        return ptr;
}

void *cm_realloc(void *ptr, size_t size)
{
        void *grown = realloc(ptr, size ? size : 1);

        if (!grown)
                out_of_memory(size);
        return grown;
}

char *cm_strdup(const char *text)
{
        size_t size = strlen(text) + 1;

        return memcpy(cm_alloc(size), text, size);
}

void cm_free(void *ptr)
{
        free(ptr);
}

void cm_wipe(void *ptr, size_t size)
{
        if (ptr)
                explicit_bzero(ptr, size);
}
