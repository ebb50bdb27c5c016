#include "base/map.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/uuid.h"

/*
 * Open addressing with linear probing; a removed entry pulls its followers back, so there are no
 * tombstones. The hash is SipHash-1-3 (Aumasson and Bernstein 2012, reduced rounds as in Rust's and
 * Python's tables) under a key drawn once per process.
 */
struct entry {
        char *key; /* NULL: free */
        size_t len;
        uint64_t hash;
        void *value;
};

struct cm_map {
        struct entry *entries;
        size_t size; /* a power of two */
        size_t count;
};

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void hash_key_draw(void)
{
        cm_random(hash_key, sizeof(hash_key));
}

static inline uint64_t rotate(uint64_t x, int bits)
{
        return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
}

uint64_t cm_hash(const void *data, size_t len)
{
        const unsigned char *bytes = data;
        uint64_t word, v[4];
        size_t i;

        pthread_once(&hash_key_once, hash_key_draw);
        v[0] = hash_key[0] ^ UINT64_C(0x736f6d6570736575);
        v[1] = hash_key[1] ^ UINT64_C(0x646f72616e646f6d);
        v[2] = hash_key[0] ^ UINT64_C(0x6c7967656e657261);
        v[3] = hash_key[1] ^ UINT64_C(0x7465646279746573);
        for (i = 0; i + 8 <= len; i += 8) {
                memcpy(&word, bytes + i, 8);
                v[3] ^= word;
                sip_round(v);
                v[0] ^= word;
        }
        word = (uint64_t)len << 56;
        for (size_t k = 0; k < len - i; k++)
                word |= (uint64_t)bytes[i + k] << (8 * k);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        v[2] ^= 0xFF;
        for (int k = 0; k < 3; k++)
                sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct cm_map *cm_map_new(void)
{
        struct cm_map *map = CM_NEW(struct cm_map);

        map->size = 16;
        map->entries = cm_alloc_array(map->size, sizeof(struct entry));
        return map;
}

void cm_map_free(struct cm_map **map, void (*free_value)(void *value))
{
        if (!*map)
                return;
        for (size_t i = 0; i < (*map)->size; i++) {
                struct entry *entry = &(*map)->entries[i];

                if (entry->key && free_value)
                        free_value(entry->value);
                cm_free(entry->key);
        }
        cm_free((*map)->entries);
        cm_free(*map);
        *map = NULL;
}

size_t cm_map_count(const struct cm_map *map)
{
        return map->count;
}

/* The entry that holds `key`, or the free one where it would go. */
static struct entry *find(const struct cm_map *map, struct cm_str key, uint64_t hash)
{
        for (size_t i = hash & (map->size - 1);; i = (i + 1) & (map->size - 1)) {
                struct entry *entry = &map->entries[i];

                if (!entry->key)
                        return entry;
                if (entry->hash == hash && entry->len == key.len &&
                    memcmp(entry->key, key.data, key.len) == 0)
                        return entry;
        }
}

void *cm_map_get(const struct cm_map *map, struct cm_str key)
{
        return find(map, key, cm_hash(key.data, key.len))->value;
}

static void grow(struct cm_map *map)
{
        struct cm_map larger = { .size = map->size * 2 };

        larger.entries = cm_alloc_array(larger.size, sizeof(struct entry));
        for (size_t i = 0; i < map->size; i++) {
                struct entry *entry = &map->entries[i];

                if (entry->key)
                        *find(&larger, (struct cm_str){ entry->key, entry->len }, entry->hash) =
                                *entry;
        }
        cm_free(map->entries);
        map->entries = larger.entries;
        map->size = larger.size;
}

void *cm_map_put(struct cm_map *map, struct cm_str key, void *value)
{
        uint64_t hash = cm_hash(key.data, key.len);
        struct entry *entry;
        void *old;

        CM_ASSERT(value);
        if ((map->count + 1) * 4 > map->size * 3)
                grow(map);
        entry = find(map, key, hash);
        old = entry->value;
        if (!entry->key) {
                entry->key = cm_alloc(key.len + 1);
                memcpy(entry->key, key.data, key.len);
                entry->len = key.len;
                entry->hash = hash;
                map->count++;
        }
        entry->value = value;
        return old;
}

/* Moves later entries of the same run into the hole, when they may live there. */
static void close_hole(struct cm_map *map, size_t hole)
{
        size_t mask = map->size - 1;

        for (size_t i = (hole + 1) & mask; map->entries[i].key; i = (i + 1) & mask) {
                size_t home = map->entries[i].hash & mask;

                if (((i - home) & mask) >= ((i - hole) & mask)) {
                        map->entries[hole] = map->entries[i];
                        hole = i;
                }
        }
        map->entries[hole] = (struct entry){ 0 };
}

void *cm_map_remove(struct cm_map *map, struct cm_str key)
{
        struct entry *entry = find(map, key, cm_hash(key.data, key.len));
        void *value = entry->value;

        if (!entry->key)
                return NULL;
        cm_free(entry->key);
        map->count--;
        close_hole(map, (size_t)(entry - map->entries));
        return value;
}

bool cm_map_next(const struct cm_map *map, size_t *position, struct cm_str *key_r, void **value_r)
{
        for (; *position < map->size; (*position)++) {
                struct entry *entry = &map->entries[*position];

                if (!entry->key)
                        continue;
                *key_r = (struct cm_str){ entry->key, entry->len };
                *value_r = entry->value;
                (*position)++;
                return true;
        }
        return false;
}
