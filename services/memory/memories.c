#include <string.h>

#include "base/error.h"
#include "errors.h"
#include "http/cursor.h"
#include "replies.h"
#include "short_term.h"

/* Looking at one's memories, and changing them. */

enum { DEFAULT_LIMIT = 30, MAX_ATTEMPTS = 5 };

/* What a cursor is bound to. */
struct filters {
        int16_t memory_type;
        uint8_t current;
        uint8_t unused;
};

static struct cm_str bytes_of(const void *data, size_t len)
{
        return (struct cm_str){ data, len };
}

static int read_place(struct cm_request *request, const struct memory_list_params *params,
                      const struct filters *filters, struct cm_uuid *before_r)
{
        struct cm_str place;
        int r;

        if (params->has_cursor != CM_PRESENT)
                return 0;
        r = cm_request_cursor_open(request, bytes_of(filters, sizeof(*filters)), params->cursor,
                                   &place);
        if (r)
                return r;
        if (place.len != sizeof(*before_r))
                return cm_reply_invalid(request, "/query/cursor", "is not a cursor of this list")
                               ?: REPLIED;
        memcpy(before_r, place.data, sizeof(*before_r));
        return 0;
}

static int reply_page(struct cm_request *request, struct memory_list *list, size_t limit,
                      const struct filters *filters)
{
        struct memory_page page = { .items = { list->items, list->count } };

        if (list->count > limit) {
                const struct cm_uuid *last = &list->items[limit - 1].id;

                page.items.count = limit;
                page.has_next_cursor = CM_PRESENT;
                page.next_cursor =
                        cm_request_cursor_seal(request, bytes_of(filters, sizeof(*filters)),
                                               bytes_of(last, sizeof(*last)));
        }
        for (size_t i = 0; i < page.items.count; i++)
                memory_at(cm_request_service(request), cm_request_now(request), &list->items[i]);
        return cm_reply_json(request, 200, &memory_page_schema, &page);
}

int memory_list(struct cm_request *request, const struct memory_list_params *params)
{
        struct memory_service *service = cm_request_service(request);
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        const struct filters filters = {
                .memory_type =
                        params->has_memory_type == CM_PRESENT ? (int16_t)params->memory_type : 0,
                .current = params->has_current == CM_PRESENT && params->current,
        };
        struct memory_list_query query = {
                .user = cm_request_claims(request)->sub,
                .memory_type = filters.memory_type,
                .current = filters.current,
                .short_term_since = short_term_since(service, cm_request_now(request)),
                .limit = (int32_t)limit + 1, /* one more tells whether there is a next page */
        };
        struct memory_list list;
        int r = read_place(request, params, &filters, &query.before);

        if (r)
                return r < 0 ? r : 0;
        r = memory_store_list(service->pg, cm_request_arena(request), &query, &list);
        return r ? r : reply_page(request, &list, limit, &filters);
}

int memory_recent(struct cm_request *request)
{
        struct memory_recent recent = { .items = { NULL, 0 } };
        int r = short_term_read(cm_request_service(request), cm_request_arena(request),
                                &cm_request_claims(request)->sub, cm_request_now(request), &recent);

        return r ? r : cm_reply_json(request, 200, &memory_recent_schema, &recent);
}

/* The vector is made of the text again: the embedder gives the same one for the same text. */
static int add_embedding(struct memory_service *service, struct cm_arena *arena,
                         struct memory *memory)
{
        struct embedding vector;
        struct analysis text;
        double *values = cm_arena_array(arena, EMBEDDING_DIMENSIONS, sizeof(*values));
        int r = analyse(service->analyser, memory->content, arena, &text);

        if (r == 0)
                r = service->embedder->embed(service->embedder, &text, &vector);
        if (r)
                return r;
        for (int i = 0; i < EMBEDDING_DIMENSIONS; i++)
                values[i] = vector.norm > 0 ? vector.values[i] / (double)vector.norm : 0;
        memory->embedding.items = values;
        memory->embedding.count = EMBEDDING_DIMENSIONS;
        memory->has_embedding = CM_PRESENT;
        return 0;
}

static int find(struct cm_request *request, const struct cm_uuid *id, struct memory *memory_r)
{
        struct memory_service *service = cm_request_service(request);
        int r = memory_store_read(service->pg, cm_request_arena(request),
                                  &cm_request_claims(request)->sub, id, memory_r);

        if (r != MEMORY_NOT_FOUND)
                return r;
        r = cm_reply_not_found(request);
        return r < 0 ? r : REPLIED;
}

int memory_read(struct cm_request *request, const struct memory_read_params *params)
{
        struct memory memory;
        int r = find(request, &params->id, &memory);

        if (r == 0 && params->has_include_embedding == CM_PRESENT && params->include_embedding)
                r = add_embedding(cm_request_service(request), cm_request_arena(request), &memory);
        if (r)
                return r < 0 ? r : 0;
        return memory_reply(request, 200, &memory);
}

/* ---- change */

static int store(struct cm_request *request, const struct memory *memory,
                 const uint8_t digest[CONTENT_DIGEST_SIZE])
{
        struct memory_service *service = cm_request_service(request);
        int64_t generation;
        int r = memory_store_change(service->pg, memory, digest, &generation);

        if (r == 0)
                short_term_drop(service, cm_request_arena(request), &memory->user_id, generation);
        return r;
}

/* 0, REPLIED, MEMORY_CHANGED (again, with what is there now) or an error. */
static int change_once(struct cm_request *request, const struct memory_change_params *params,
                       const struct memory_patch *in)
{
        struct cm_faults faults = { .count = 0 };
        struct memory_rules rules = memory_rules_of(request, &faults);
        uint8_t digest[CONTENT_DIGEST_SIZE];
        struct memory memory;
        int r = find(request, &params->id, &memory);

        if (r == 0 && params->has_if_match == CM_PRESENT)
                r = cm_request_if_match(
                        request, cm_arena_printf(rules.arena, "%lld", (long long)memory.version));
        if (r)
                return r < 0 ? r : REPLIED;
        r = memory_rules_change(&rules, in, &memory, digest);
        if (r == MEMORY_INVALID)
                return memory_problem(request, CM_CODE_INVALID, &faults) ?: REPLIED;
        if (r == 0) {
                memory.version++;
                memory.updated_at = rules.now;
                r = store(request, &memory, digest);
        }
        if (r == MEMORY_TEXT_TAKEN)
                return memory_problem(request, CM_CODE_MEMORY_KNOWN, NULL) ?: REPLIED;
        if (r == 0 || r == MEMORY_UNCHANGED)
                return memory_reply(request, 200, &memory) ?: REPLIED;
        return r;
}

int memory_change(struct cm_request *request, const struct memory_change_params *params,
                  const struct memory_patch *in)
{
        int r = MEMORY_CHANGED;

        for (int i = 0; r == MEMORY_CHANGED && i < MAX_ATTEMPTS; i++)
                r = change_once(request, params, in);
        if (r == MEMORY_CHANGED)
                return memory_problem(request, CM_CODE_PRECONDITION_FAILED, NULL);
        if (r == CM_PG_REFUSED)
                return memory_problem(request, CM_CODE_INVALID, NULL);
        if (r == REPLIED)
                return 0;
        return r < 0 ? r : -CM_E_DATABASE;
}
