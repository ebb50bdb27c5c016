#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Hash map from text to pointer. Keys are copied; values belong to the caller. The hash is keyed
 * with random bytes per process, so that input from outside cannot choose collisions.
 */
struct cm_map;

struct cm_map *cm_map_new(void);
/* Calls `free_value` (may be NULL) for each value that is left. */
void cm_map_free(struct cm_map **map, void (*free_value)(void *value));
size_t cm_map_count(const struct cm_map *map);
void *cm_map_get(const struct cm_map *map, struct cm_str key); /* NULL when absent */
/* Returns the value that was replaced, or NULL. `value` must not be NULL. */
void *cm_map_put(struct cm_map *map, struct cm_str key, void *value);
void *cm_map_remove(struct cm_map *map, struct cm_str key);
/* Visits entries in no order; start with *position = 0. The map must not change meanwhile. */
bool cm_map_next(const struct cm_map *map, size_t *position, struct cm_str *key_r, void **value_r);

/* The keyed hash itself, for tables of other shapes. */
uint64_t cm_hash(const void *data, size_t len);
