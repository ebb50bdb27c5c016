#pragma once
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * Memory that lives as long as one thing, usually a request: allocate freely, give all of it back
 * at once. Not thread-safe. Memory is zeroed.
 */
struct cm_arena {
        struct cm_arena_block *blocks; /* newest first */
        size_t block_size;
        size_t used; /* bytes handed out, for limits and metrics */
};

/* `block_size` is the size of a usual block; larger requests get a block of their own. */
void cm_arena_init(struct cm_arena *arena, size_t block_size);
/* Keeps one block for the next use. */
void cm_arena_reset(struct cm_arena *arena);
void cm_arena_deinit(struct cm_arena *arena);

void *cm_arena_alloc(struct cm_arena *arena, size_t size) __attribute__((returns_nonnull));
void *cm_arena_array(struct cm_arena *arena, size_t count, size_t size)
        __attribute__((returns_nonnull));
/* NUL-terminated copies. An absent text stays absent. */
struct cm_str cm_arena_str(struct cm_arena *arena, struct cm_str text);
struct cm_str cm_arena_int(struct cm_arena *arena, int64_t value); /* decimal */
struct cm_str cm_arena_printf(struct cm_arena *arena, const char *format, ...) CM_PRINTF(2, 3);

#define CM_ARENA_NEW(arena, type) ((type *)cm_arena_alloc(arena, sizeof(type)))
