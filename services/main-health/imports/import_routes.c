#include <string.h>

#include "errors.h"
#include "events/event_replies.h"
#include "http/cursor.h"
#include "import_store.h"
#include "imports_internal.h"

/* What people see of their imports. */

enum { DEFAULT_LIMIT = 30 };

static struct health *health_of(struct cm_request *request)
{
        return cm_request_service(request);
}

static const struct cm_uuid *user_of(struct cm_request *request)
{
        return &cm_request_claims(request)->sub;
}

int import_read(struct cm_request *request, const struct import_read_params *params)
{
        struct import import;
        int r = import_store_read(health_of(request)->pg, cm_request_arena(request),
                                  user_of(request), &params->id, &import);

        if (r == IMPORT_NOT_FOUND)
                return cm_reply_not_found(request);
        return r ? r : cm_reply_json(request, 200, &import_schema, &import);
}

int import_cancel(struct cm_request *request, const struct import_cancel_params *params)
{
        struct health *health = health_of(request);
        int r = import_store_cancel(health->pg, user_of(request), &params->id);

        if (r == IMPORT_NOT_FOUND)
                return cm_reply_not_found(request);
        if (r)
                return r;
        import_jobs_wake(health->imports->jobs); /* to clean up */
        return cm_reply_empty(request, 204);
}

/* A cursor's bytes as `size` bytes at `place`; 0, or a positive value after a reply. */
static int open_cursor(struct cm_request *request, struct cm_str cursor, struct cm_str filters,
                       void *place, size_t size)
{
        struct cm_str text;
        int r = cm_request_cursor_open(request, filters, cursor, &text);

        if (r)
                return r;
        if (text.len != size)
                return cm_reply_invalid(request, "/query/cursor", "is not a cursor of this list")
                               ?: REPLIED;
        memcpy(place, text.data, size);
        return 0;
}

int import_list(struct cm_request *request, const struct import_list_params *params)
{
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        bool is_next = params->has_cursor == CM_PRESENT;
        struct import_page page = { 0 };
        struct import_place place;
        struct import_array list;
        int r = is_next ? open_cursor(request, params->cursor, CM_STR_NONE, &place, sizeof(place))
                        : 0;

        if (r)
                return r < 0 ? r : 0;
        r = import_store_list(health_of(request)->pg, cm_request_arena(request), user_of(request),
                              is_next ? &place : NULL, (int32_t)limit + 1, &list);
        if (r)
                return r;
        page.items.items = list.items;
        page.items.count = list.count > limit ? limit : list.count;
        if (list.count > limit) {
                place = (struct import_place){ list.items[limit - 1].created_at,
                                               list.items[limit - 1].id };
                page.next_cursor = cm_request_cursor_seal(
                        request, CM_STR_NONE, (struct cm_str){ (void *)&place, sizeof(place) });
                page.has_next_cursor = CM_PRESENT;
        }
        return cm_reply_json(request, 200, &import_page_schema, &page);
}

static int reply_findings(struct cm_request *request,
                          const struct import_report_read_params *params, int64_t place)
{
        const struct cm_str filters = { (const void *)&params->id, sizeof(params->id) };
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        struct import_report report = { 0 };
        struct finding_array list;
        int r = import_store_findings(health_of(request)->pg, cm_request_arena(request),
                                      user_of(request), &params->id, place, (int32_t)limit + 1,
                                      &list);

        if (r)
                return r;
        report.items.items = list.items;
        report.items.count = list.count > limit ? limit : list.count;
        if (list.count > limit) {
                place += (int64_t)limit;
                report.next_cursor = cm_request_cursor_seal(
                        request, filters, (struct cm_str){ (void *)&place, sizeof(place) });
                report.has_next_cursor = CM_PRESENT;
        }
        return cm_reply_json(request, 200, &import_report_schema, &report);
}

int import_report_read(struct cm_request *request, const struct import_report_read_params *params)
{
        const struct cm_str filters = { (const void *)&params->id, sizeof(params->id) };
        struct import import;
        int64_t place = 0;
        int r = 0;

        if (params->has_cursor == CM_PRESENT)
                r = open_cursor(request, params->cursor, filters, &place, sizeof(place));
        if (r)
                return r < 0 ? r : 0;
        r = import_store_read(health_of(request)->pg, cm_request_arena(request), user_of(request),
                              &params->id, &import);
        if (r == IMPORT_NOT_FOUND)
                return cm_reply_not_found(request);
        return r ? r : reply_findings(request, params, place);
}
