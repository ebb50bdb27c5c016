#include "refusals.h"

#include "errors.h"

int refuse_unauthorized(struct cm_request *request, const char *code, const char *title)
{
        const struct cm_problem problem = { .status = 401, .code = code, .title = title };

        cm_reply_header(request, "WWW-Authenticate", CM_STR("Bearer"));
        return cm_reply_problem(request, &problem);
}

int refuse_too_many(struct cm_request *request, const char *title, int64_t wait_us)
{
        const struct cm_problem problem = {
                .status = 429,
                .code = CM_CODE_RATE_LIMITED,
                .title = title,
                .retry_after_s = (int)((wait_us + CM_SECOND - 1) / CM_SECOND),
        };

        return cm_reply_problem(request, &problem);
}
