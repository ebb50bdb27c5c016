#include "replies.h"

#include "errors.h"
#include "short_term.h"

int memory_problem(struct cm_request *request, const char *code, const struct cm_faults *faults)
{
        const struct cm_error_code *known = cm_error_code_find(code);
        const struct cm_problem problem = {
                .status = known->status,
                .code = code,
                .title = known->title,
                .faults = faults,
        };

        return cm_reply_problem(request, &problem);
}

void memory_at(const struct memory_service *service, cm_time now, struct memory *memory)
{
        if (memory->storage_type == MEMORY_STORAGE_TYPE_SHORT_TERM &&
            memory->updated_at <= short_term_since(service, now))
                memory->is_archived = true;
}

int memory_reply(struct cm_request *request, int status, struct memory *memory)
{
        struct cm_str tag =
                cm_arena_printf(cm_request_arena(request), "%lld", (long long)memory->version);

        memory_at(cm_request_service(request), cm_request_now(request), memory);
        return cm_reply_json_tagged(request, status, &memory_schema, memory, tag);
}

struct memory_rules memory_rules_of(struct cm_request *request, struct cm_faults *faults)
{
        struct memory_service *service = cm_request_service(request);

        return (struct memory_rules){
                .analyser = service->analyser,
                .user_id = cm_request_claims(request)->sub,
                .now = cm_request_now(request),
                .max_content = (size_t)service->settings->memory_max_content,
                .arena = cm_request_arena(request),
                .faults = faults,
        };
}
