#pragma once
#include <stddef.h>

#include "base/attr.h"

/*
 * Heap memory that never fails: out of memory aborts, because limits on every queue, buffer and
 * table make it rare and nothing sensible can go on without. Returned memory is zeroed.
 */
void *cm_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *cm_alloc_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* Like realloc; bytes beyond the old size are not initialised. */
void *cm_realloc(void *ptr, size_t size) __attribute__((returns_nonnull));
char *cm_strdup(const char *text) __attribute__((malloc, returns_nonnull));
void cm_free(void *ptr);

/* Overwrites memory in a way that the compiler does not remove. */
void cm_wipe(void *ptr, size_t size);

#define CM_NEW(type) ((type *)cm_alloc(sizeof(type)))
