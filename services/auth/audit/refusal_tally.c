#include "refusal_tally.h"

#include "base/map.h"
#include "base/mem.h"

struct kind {
        struct refusal refusal;
        int64_t more;
};

struct refusal_tally {
        struct cm_arena arena;
        struct cm_map *kinds;
        size_t rows;
        int64_t others;
};

struct refusal_tally *refusal_tally_new(size_t rows)
{
        struct refusal_tally *tally = CM_NEW(struct refusal_tally);

        cm_arena_init(&tally->arena, 4096);
        tally->kinds = cm_map_new();
        tally->rows = rows;
        return tally;
}

void refusal_tally_free(struct refusal_tally **tally)
{
        struct refusal_tally *it = *tally;

        *tally = NULL;
        if (!it)
                return;
        cm_map_free(&it->kinds, NULL);
        cm_arena_deinit(&it->arena);
        cm_free(it);
}

static void add_part(struct cm_buf *key, struct cm_str part)
{
        cm_buf_printf(key, "%zu:", part.len);
        cm_buf_add_str(key, part);
}

static void add_id(struct cm_buf *key, const struct cm_uuid *id)
{
        add_part(key, (struct cm_str){ (const char *)id->bytes, sizeof(id->bytes) });
}

static void key_of(const struct refusal *refusal, struct cm_buf *key)
{
        add_part(key, cm_str_from(refusal->action));
        add_part(key, cm_str_from(refusal->reason));
        add_id(key, &refusal->actor);
        add_id(key, &refusal->user);
        add_part(key, cm_uuid_is_nil(&refusal->actor) ? refusal->network : CM_STR(""));
        add_part(key, refusal->email_key);
        add_part(key, refusal->by_target ? refusal->target : CM_STR(""));
}

/* What it points to becomes the tally's. */
static struct kind *copy(struct refusal_tally *tally, const struct refusal *refusal)
{
        struct kind *kind = cm_arena_array(&tally->arena, 1, sizeof(*kind));
        struct cm_str *texts[] = {
                &kind->refusal.network,
                &kind->refusal.email_key,
                &kind->refusal.target,
                &kind->refusal.context.ip,
                &kind->refusal.context.user_agent,
                &kind->refusal.context.request_id,
        };

        *kind = (struct kind){ .refusal = *refusal };
        for (size_t i = 0; i < CM_COUNT(texts); i++)
                *texts[i] = cm_arena_str(&tally->arena, *texts[i]);
        return kind;
}

bool refusal_tally_count(struct refusal_tally *tally, const struct refusal *refusal)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf key = { 0 };
        struct kind *kind;

        key_of(refusal, &key);
        kind = cm_map_get(tally->kinds, cm_buf_str(&key));
        if (kind) {
                kind->more++;
                return false;
        }
        if (cm_map_count(tally->kinds) >= tally->rows) {
                tally->others++;
                return false;
        }
        cm_map_put(tally->kinds, cm_buf_str(&key), copy(tally, refusal));
        return true;
}

bool refusal_tally_is_empty(const struct refusal_tally *tally)
{
        return !cm_map_count(tally->kinds) && !tally->others;
}

bool refusal_tally_next(const struct refusal_tally *tally, size_t *position,
                        const struct refusal **refusal_r, int64_t *more_r)
{
        struct cm_str key;
        void *value;

        while (cm_map_next(tally->kinds, position, &key, &value)) {
                const struct kind *kind = value;

                if (!kind->more)
                        continue;
                *refusal_r = &kind->refusal;
                *more_r = kind->more;
                return true;
        }
        return false;
}

int64_t refusal_tally_others(const struct refusal_tally *tally)
{
        return tally->others;
}
