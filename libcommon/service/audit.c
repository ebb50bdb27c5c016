#include "service/audit.h"

#include "base/error.h"
#include "sys/fiber.h"

#define AGENT_MAX 300

const struct cm_pg_statement cm_audit_insert = {
        .name = "audit_insert",
        .sql = "INSERT INTO audit_log (actor, user_id, action, target, outcome, method, reason,"
               "   at, ip, user_agent, request_id)"
               " VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::text, $7::text,"
               "   $8::timestamptz, $9::text, $10::text, $11::text)",
        .writes = true,
};

/* Bytes of a header are anything; the database takes UTF-8 without NUL only. */
static struct cm_str printable(struct cm_arena *arena, struct cm_str text)
{
        size_t len = text.len < AGENT_MAX ? text.len : AGENT_MAX;
        char *copy = cm_arena_alloc(arena, len + 1);

        for (size_t i = 0; i < len; i++)
                copy[i] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? text.data[i] : '?';
        return (struct cm_str){ copy, len };
}

struct cm_audit_context cm_audit_context(struct cm_request *request)
{
        return (struct cm_audit_context){
                .at = cm_request_now(request),
                .ip = cm_request_peer(request),
                .user_agent = printable(cm_request_arena(request),
                                        cm_request_header(request, "user-agent")),
                .request_id = cm_str_from(cm_fiber_context()->request_id),
        };
}

static void put_entry(const struct cm_audit_entry *entry, const struct cm_uuid *actor,
                      struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, actor);
        cm_pg_put_uuid(params, entry->user);
        cm_pg_put_text(params, cm_str_from(entry->action));
        cm_pg_put_text(params, entry->target);
        cm_pg_put_text(params, cm_str_from(entry->outcome));
        cm_pg_put_text(params, cm_str_from(entry->method));
        cm_pg_put_text(params, cm_str_from(entry->reason));
}

static void put_context(const struct cm_audit_context *context, struct cm_pg_params *params)
{
        cm_pg_put_time(params, context->at);
        cm_pg_put_text(params, context->ip);
        cm_pg_put_text(params, context->user_agent);
        cm_pg_put_text(params, context->request_id);
}

void cm_audit_context_params(struct cm_request *request, struct cm_pg_params *params)
{
        const struct cm_audit_context context = cm_audit_context(request);

        put_context(&context, params);
}

void cm_audit_params(struct cm_request *request, const struct cm_audit_entry *entry,
                     struct cm_pg_params *params)
{
        const struct cm_context *context = cm_fiber_context();
        const struct cm_uuid *actor = entry->actor;

        if (!actor && context->has_user)
                actor = &context->user_id;
        put_entry(entry, actor, params);
        cm_audit_context_params(request, params);
}

void cm_audit_params_of(const struct cm_audit_entry *entry, const struct cm_audit_context *context,
                        struct cm_pg_params *params)
{
        put_entry(entry, entry->actor, params);
        put_context(context, params);
}

void cm_audit_params_own(const struct cm_audit_entry *entry, cm_time now,
                         struct cm_pg_params *params)
{
        const struct cm_audit_context nowhere = {
                .at = now,
                .ip = CM_STR(""),
                .user_agent = CM_STR(""),
                .request_id = CM_STR(""),
        };

        cm_audit_params_of(entry, &nowhere, params);
}
