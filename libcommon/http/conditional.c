#include "errors.h"
#include "http/server_internal.h"

/* Conditional requests (RFC 9110 section 13) with strong entity tags: a version in quotes. */

/* Cuts the next tag off a list; false at its end or at something that is no tag. */
static bool next_tag(struct cm_str *list, struct cm_str *tag_r, bool *weak_r)
{
        struct cm_str rest = *list;
        size_t end = 1;

        while (rest.len && (rest.data[0] == ' ' || rest.data[0] == '\t' || rest.data[0] == ','))
                rest = (struct cm_str){ rest.data + 1, rest.len - 1 };
        *weak_r = cm_str_starts(rest, CM_STR("W/"));
        if (*weak_r)
                rest = (struct cm_str){ rest.data + 2, rest.len - 2 };
        if (!rest.len || rest.data[0] != '"')
                return false;
        while (end < rest.len && rest.data[end] != '"')
                end++;
        if (end == rest.len)
                return false;
        *tag_r = (struct cm_str){ rest.data + 1, end - 1 };
        *list = (struct cm_str){ rest.data + end + 1, rest.len - end - 1 };
        return true;
}

/* If-Match compares strongly, If-None-Match weakly. */
static bool matches(struct cm_str list, struct cm_str version, bool strongly)
{
        struct cm_str tag;
        bool weak;

        if (cm_str_equal(cm_str_trim(list), CM_STR("*")))
                return true;
        while (next_tag(&list, &tag, &weak))
                if (cm_str_equal(tag, version) && !(strongly && weak))
                        return true;
        return false;
}

int cm_reply_json_tagged(struct cm_request *request, int status, const struct cm_schema *schema,
                         const void *value, struct cm_str version)
{
        struct cm_str known = cm_request_header(request, "if-none-match");
        bool is_read =
                cm_request_is_head(request) || cm_str_equal(request->head.method, CM_STR("GET"));

        cm_reply_header(request, "ETag",
                        cm_arena_printf(&request->arena, "\"%.*s\"", CM_STR_ARG(version)));
        if (status == 200 && is_read && known.data && matches(known, version, false))
                return cm_reply_empty(request, 304);
        return cm_reply_json(request, status, schema, value);
}

int cm_request_if_match(struct cm_request *request, struct cm_str version)
{
        struct cm_str wanted = cm_request_header(request, "if-match");
        struct cm_problem problem = { .status = 412, .code = CM_CODE_PRECONDITION_FAILED };

        if (wanted.data && matches(wanted, version, true))
                return 0;
        if (!wanted.data) {
                problem.status = 428;
                problem.code = CM_CODE_PRECONDITION_REQUIRED;
                problem.detail = CM_STR("send If-Match with the version that you have seen");
        }
        (void)cm_reply_problem(request, &problem);
        return 1;
}
