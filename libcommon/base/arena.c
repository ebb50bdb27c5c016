#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct cm_arena_block {
        struct cm_arena_block *next;
        size_t size; /* of data */
        size_t used;
        _Alignas(16) char data[];
};

void cm_arena_init(struct cm_arena *arena, size_t block_size)
{
        *arena = (struct cm_arena){ .block_size = block_size };
}

/* Blocks are zeroed when they are taken, once; a reset zeroes only what was used. */
static struct cm_arena_block *block_new(size_t size)
{
        struct cm_arena_block *block = cm_alloc(sizeof(*block) + size);

        block->size = size;
        return block;
}

void cm_arena_reset(struct cm_arena *arena)
{
        struct cm_arena_block *kept = NULL, *next;

        for (struct cm_arena_block *block = arena->blocks; block; block = next) {
                next = block->next;
                if (!kept && block->size == arena->block_size) {
                        kept = block;
                        memset(kept->data, 0, kept->used);
                        kept->used = 0;
                        kept->next = NULL;
                } else {
                        cm_free(block);
                }
        }
        arena->blocks = kept;
        arena->used = 0;
}

void cm_arena_deinit(struct cm_arena *arena)
{
        struct cm_arena_block *next;

        for (struct cm_arena_block *block = arena->blocks; block; block = next) {
                next = block->next;
                cm_free(block);
        }
        *arena = (struct cm_arena){ 0 };
}

/* A large piece gets a block of its own behind the newest, which goes on being filled. */
static void *alloc_large(struct cm_arena *arena, size_t size)
{
        struct cm_arena_block *block = block_new(size);

        block->used = size;
        if (arena->blocks) {
                block->next = arena->blocks->next;
                arena->blocks->next = block;
        } else {
                arena->blocks = block;
        }
        return block->data;
}

void *cm_arena_alloc(struct cm_arena *arena, size_t size)
{
        struct cm_arena_block *block = arena->blocks;
        void *ptr;

        CM_ASSERT(arena->block_size && size < SIZE_MAX / 2);
        size = (size + 15) & ~(size_t)15;
        arena->used += size;
        if (!block || block->size - block->used < size) {
                if (size > arena->block_size / 2)
                        return alloc_large(arena, size);
                block = block_new(arena->block_size);
                block->next = arena->blocks;
                arena->blocks = block;
        }
        ptr = block->data + block->used;
        block->used += size;
        return ptr;
}

void *cm_arena_array(struct cm_arena *arena, size_t count, size_t size)
{
        size_t bytes;

        CM_ASSERT(!__builtin_mul_overflow(count, size, &bytes));
        return cm_arena_alloc(arena, bytes);
}

struct cm_str cm_arena_str(struct cm_arena *arena, struct cm_str text)
{
        char *copy;

        if (!text.data)
                return CM_STR_NONE;
        copy = cm_arena_alloc(arena, text.len + 1);
        memcpy(copy, text.data, text.len);
        return (struct cm_str){ copy, text.len };
}

struct cm_str cm_arena_int(struct cm_arena *arena, int64_t value)
{
        char *text = cm_arena_alloc(arena, CM_INT_TEXT_SIZE);

        return (struct cm_str){ text, cm_int_format(value, text) };
}

struct cm_str cm_arena_printf(struct cm_arena *arena, const char *format, ...)
{
        char usual[256], *text;
        va_list args, again;
        int len;

        va_start(args, format);
        va_copy(again, args);
        len = vsnprintf(usual, sizeof(usual), format, args);
        va_end(args);
        CM_ASSERT(len >= 0);
        text = cm_arena_alloc(arena, (size_t)len + 1);
        if ((size_t)len < sizeof(usual))
                memcpy(text, usual, (size_t)len + 1);
        else
                vsnprintf(text, (size_t)len + 1, format, again);
        va_end(again);
        return (struct cm_str){ text, (size_t)len };
}
