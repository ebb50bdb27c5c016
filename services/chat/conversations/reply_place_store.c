#include "reply_place_store.h"

#include "base/error.h"

#define FRESH_US (10 * CM_SECOND)

int reply_place_insert(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *reply_id,
                       const struct reply_document *place)
{
        struct reply_document document = *place;
        int r;

        document.id = cm_uuid_text(arena, reply_id);
        r = cm_mongo_insert(chat->mongo, &reply_collection, document.id, &document, NULL);
        return r == CM_MONGO_DUPLICATE ? 0 : r > 0 ? -CM_E_DATABASE : r;
}

static bool is_placed(const struct cm_items *placed, struct cm_str id)
{
        const struct reply_document *documents = placed->items;

        for (size_t i = 0; i < placed->count; i++)
                if (cm_str_equal(documents[i].id, id))
                        return true;
        return false;
}

int reply_places_complete(struct chat *chat, struct cm_arena *arena,
                          const struct cm_uuid *reply_ids, const struct reply_document *places,
                          size_t count)
{
        static const struct cm_sort by_id[] = { { CM_FIELD(reply_document, id), false } };
        const struct cm_mongo_page page = { by_id, 1, .limit = (int64_t)count };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str *ids = cm_arena_array(arena, count + 1, sizeof(*ids));
        struct cm_items placed = { 0 };
        int r = 0;

        for (size_t i = 0; i < count; i++)
                ids[i] = cm_uuid_text(arena, &reply_ids[i]);
        CM_FILTER_IN(&filter, reply_document, id, ids, count);
        if (count)
                r = cm_mongo_list(chat->mongo, &reply_collection, ids[0], &filter, &page, arena,
                                  &placed, NULL);
        for (size_t i = 0; i < count && r == 0; i++)
                if (!is_placed(&placed, ids[i]))
                        r = reply_place_insert(chat, arena, &reply_ids[i], &places[i]);
        return r > 0 ? -CM_E_DATABASE : r;
}

int reply_place_find(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *reply_id,
                     const struct cm_uuid *user_id, struct reply_document *place_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str id = cm_uuid_text(arena, reply_id);
        int r;

        *place_r = (struct reply_document){ .seq = 0 };
        CM_FILTER_IS(&filter, reply_document, id, &id);
        r = cm_mongo_find(chat->mongo, &reply_collection, id, &filter, arena, place_r);
        if (r == CM_MONGO_NO_MATCH)
                return MESSAGE_NONE;
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return cm_uuid_equal(&place_r->user_id, user_id) ? 0 : MESSAGE_NONE;
}

/* A UUID of version 7 begins with the time at which it was made. */
static bool is_fresh(const struct cm_uuid *id)
{
        cm_time at = 0, age;

        for (size_t i = 0; i < 6; i++)
                at = at << 8 | id->bytes[i];
        age = cm_now(&cm_clock_system) - at * CM_MILLISECOND;
        return id->bytes[6] >> 4 == 7 && age > -FRESH_US && age < FRESH_US;
}

int reply_place_find_fresh(struct chat *chat, struct cm_arena *arena,
                           const struct cm_uuid *reply_id, const struct cm_uuid *user_id,
                           struct reply_document *place_r)
{
        int r = reply_place_find(chat, arena, reply_id, user_id, place_r);

        if (r != MESSAGE_NONE || !is_fresh(reply_id) || place_r->seq)
                return r;
        return -CM_E_UNAVAILABLE;
}
