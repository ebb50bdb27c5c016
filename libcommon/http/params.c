#include <string.h>

#include "errors.h"
#include "http/server_internal.h"

/* Path, query and header parameters into the generated struct of a route. */

struct decoding {
        struct cm_request *request;
        const struct cm_route *route;
        char *params;
        struct cm_faults faults;
        uint32_t seen; /* a bit for each parameter */
};

static void fault(struct decoding *decoding, struct cm_str pointer, const char *detail)
{
        cm_fault_add(&decoding->faults, &decoding->request->arena, pointer, "%s", detail);
}

/* Names of headers in lower case: they are compared without. */
static struct cm_str pointer_of(struct decoding *decoding, const struct cm_param *param)
{
        static const char *const places[] = { "path", "query", "header" };
        struct cm_str pointer = cm_arena_printf(&decoding->request->arena, "/%s/%s",
                                                places[param->place], param->name);
        char *text = (char *)pointer.data;

        for (size_t i = 0; param->place == CM_IN_HEADER && i < pointer.len; i++)
                if (text[i] >= 'A' && text[i] <= 'Z')
                        text[i] |= 0x20;
        return pointer;
}

static void take(struct decoding *decoding, size_t i, struct cm_str text)
{
        const struct cm_param *param = &decoding->route->params[i];

        decoding->seen |= UINT32_C(1) << i;
        if (!text.data) {
                fault(decoding, pointer_of(decoding, param), "is not well-formed text");
                return;
        }
        /* Its faults are in decoding->faults, which are looked at in the end. */
        if (cm_schema_decode_text(param->schema, text, pointer_of(decoding, param),
                                  &decoding->request->arena, decoding->params + param->offset,
                                  &decoding->faults))
                return;
        if (param->has_offset != CM_NO_OFFSET)
                *(uint8_t *)(decoding->params + param->has_offset) = CM_PRESENT;
}

static void take_path(struct decoding *decoding)
{
        const struct cm_endpoint *endpoint = decoding->request->match.endpoint;

        for (size_t i = 0; i < decoding->route->param_count; i++) {
                struct cm_str raw;

                if (decoding->route->params[i].place != CM_IN_PATH)
                        continue;
                raw = decoding->request->match.values[endpoint->path_index[i]];
                take(decoding, i, cm_percent_decode(&decoding->request->arena, raw, false));
        }
}

/* What is not UTF-8 in a header is ISO 8859-1 by tradition (RFC 9110 section 5.5). */
static struct cm_str header_text(struct cm_arena *arena, struct cm_str value)
{
        char *text, *at;

        if (cm_utf8_is_valid(value))
                return value;
        text = at = cm_arena_alloc(arena, value.len * 2 + 1);
        for (size_t i = 0; i < value.len; i++) {
                unsigned char c = (unsigned char)value.data[i];

                if (c >= 0x80)
                        *at++ = (char)(0xc0 | c >> 6);
                *at++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
        }
        return (struct cm_str){ text, (size_t)(at - text) };
}

static void take_headers(struct decoding *decoding)
{
        for (size_t i = 0; i < decoding->route->param_count; i++) {
                const struct cm_param *param = &decoding->route->params[i];
                struct cm_str value;

                if (param->place != CM_IN_HEADER)
                        continue;
                value = cm_request_header(decoding->request, param->name);
                if (value.data)
                        take(decoding, i, header_text(&decoding->request->arena, value));
        }
}

static int find_query(const struct cm_route *route, struct cm_str name)
{
        for (size_t i = 0; i < route->param_count; i++)
                if (route->params[i].place == CM_IN_QUERY &&
                    cm_str_equal(cm_str_from(route->params[i].name), name))
                        return (int)i;
        return -1;
}

/* event_stream.c reads it, behind the header of the same meaning. */
static bool is_resumption(const struct cm_route *route, struct cm_str name)
{
        return route->events && cm_str_equal(name, CM_STR(CM_LAST_EVENT_ID_QUERY));
}

/* JSON Pointer: '~' and '/' are escaped. A name that is no text has no pointer of its own. */
static struct cm_str unknown_pointer(struct cm_arena *arena, struct cm_str name)
{
        char *out, *at;

        if (!name.data)
                return CM_STR("/query");
        out = at = cm_arena_alloc(arena, sizeof("/query/") + name.len * 2);
        at += sizeof("/query/") - 1;
        memcpy(out, "/query/", sizeof("/query/") - 1);
        for (size_t i = 0; i < name.len; i++) {
                bool special = name.data[i] == '~' || name.data[i] == '/';

                if (special)
                        *at++ = '~';
                *at++ = !special ? name.data[i] : name.data[i] == '~' ? '0' : '1';
        }
        return (struct cm_str){ out, (size_t)(at - out) };
}

static void take_query(struct decoding *decoding)
{
        struct cm_arena *arena = &decoding->request->arena;
        struct cm_str rest = decoding->request->target.query, name, value;

        while (cm_query_next(&rest, &name, &value)) {
                int i;

                name = cm_percent_decode(arena, name, true);
                i = name.data ? find_query(decoding->route, name) : -1;
                if (i < 0 && is_resumption(decoding->route, name))
                        continue;
                if (i < 0)
                        fault(decoding, unknown_pointer(arena, name), "is not known");
                else if (decoding->seen & UINT32_C(1) << i)
                        fault(decoding, pointer_of(decoding, &decoding->route->params[i]),
                              "is given more than once");
                else
                        take(decoding, (size_t)i, cm_percent_decode(arena, value, true));
        }
}

static void check_required(struct decoding *decoding)
{
        for (size_t i = 0; i < decoding->route->param_count; i++) {
                const struct cm_param *param = &decoding->route->params[i];

                if (param->has_offset == CM_NO_OFFSET && !(decoding->seen & UINT32_C(1) << i))
                        fault(decoding, pointer_of(decoding, param), "is required");
        }
}

bool cm_params_decode(struct cm_request *request, void *params)
{
        struct decoding decoding = { .request = request,
                                     .route = request->match.endpoint->route,
                                     .params = params };

        take_path(&decoding);
        take_query(&decoding);
        take_headers(&decoding);
        check_required(&decoding);
        if (!decoding.faults.count)
                return true;
        (void)cm_reply_problem(request, &(struct cm_problem){ .status = 400,
                                                              .code = CM_CODE_BAD_REQUEST,
                                                              .faults = &decoding.faults });
        return false;
}

/* ---- media types */

/* charset is the one parameter that could change how we read; it must be UTF-8. */
static bool parameters_are_good(struct cm_str rest)
{
        struct cm_str part, name;

        while (cm_str_split(&rest, ';', &part)) {
                struct cm_str value = cm_str_trim(part);

                if (!cm_str_split(&value, '=', &name) ||
                    !cm_str_equal_nocase(name, CM_STR("charset")))
                        continue;
                if (!cm_str_equal_nocase(value, CM_STR("utf-8")) &&
                    !cm_str_equal_nocase(value, CM_STR("\"utf-8\"")))
                        return false;
        }
        return true;
}

bool cm_media_is_accepted(const char *accepted, struct cm_str content_type)
{
        struct cm_str list = cm_str_from(accepted), one, type;

        if (!cm_str_split(&content_type, ';', &type))
                return false;
        type = cm_str_trim(type);
        while (cm_str_split(&list, ',', &one))
                if (cm_str_equal_nocase(cm_str_trim(one), type))
                        return parameters_are_good(content_type);
        return false;
}
