#include "http/router.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "sys/log.h"

struct node {
        struct cm_str literal; /* empty for the parameter child */
        struct node **children;
        size_t child_count;
        struct node *param;
        struct cm_endpoint **endpoints; /* one a method */
        size_t endpoint_count;
        struct cm_buf allow;
};

struct cm_router {
        struct node *root;
        struct cm_route *openapi; /* routes of our own, one a table */
        size_t openapi_count;
};

static struct node *find_literal(const struct node *node, struct cm_str segment)
{
        for (size_t i = 0; i < node->child_count; i++)
                if (cm_str_equal(node->children[i]->literal, segment))
                        return node->children[i];
        return NULL;
}

static struct node *add_literal(struct node *node, struct cm_str segment)
{
        struct node *child = find_literal(node, segment);

        if (child)
                return child;
        child = CM_NEW(struct node);
        child->literal = segment;
        node->children =
                cm_realloc(node->children, (node->child_count + 1) * sizeof(*node->children));
        node->children[node->child_count++] = child;
        return child;
}

/* Notes in path_index which parameter of the route stands at this place. False: none does. */
static bool bind_param(struct cm_endpoint *endpoint, struct cm_str name, size_t value)
{
        const struct cm_route *route = endpoint->route;

        for (size_t i = 0; i < route->param_count; i++) {
                if (route->params[i].place != CM_IN_PATH ||
                    !cm_str_equal(cm_str_from(route->params[i].name), name))
                        continue;
                endpoint->path_index[i] = (uint8_t)value;
                return true;
        }
        return false;
}

static struct node *walk_param(struct node *node, struct cm_endpoint *endpoint,
                               struct cm_str segment, size_t value)
{
        struct cm_str name = { segment.data + 1, segment.len - 2 };

        if (segment.data[segment.len - 1] != '}' || value == CM_ROUTE_MAX_VALUES ||
            !bind_param(endpoint, name, value))
                return NULL;
        if (!node->param)
                node->param = CM_NEW(struct node);
        return node->param;
}

/* The node of a template, made where it is missing; NULL when the template is not understood. */
static struct node *walk_template(struct node *node, struct cm_endpoint *endpoint)
{
        struct cm_str rest = cm_str_from(endpoint->route->path), segment;
        size_t values = 0;

        if (!rest.len || rest.data[0] != '/' || endpoint->route->param_count > CM_ROUTE_MAX_PARAMS)
                return NULL;
        rest = (struct cm_str){ rest.data + 1, rest.len - 1 };
        while (node && rest.len && cm_str_split(&rest, '/', &segment)) {
                if (segment.len && segment.data[0] == '{')
                        node = walk_param(node, endpoint, segment, values++);
                else if (!segment.len || memchr(segment.data, '{', segment.len))
                        return NULL;
                else
                        node = add_literal(node, segment);
        }
        return node;
}

static struct cm_endpoint *find_method(const struct node *node, struct cm_str method)
{
        for (size_t i = 0; i < node->endpoint_count; i++)
                if (cm_str_equal(cm_str_from(node->endpoints[i]->route->method), method))
                        return node->endpoints[i];
        return NULL;
}

static const struct cm_metric durations =
        CM_HISTOGRAM("salus_http_request_seconds", "From the end of the head to the reply");
static const struct cm_metric replies =
        CM_COUNTER("salus_http_requests_total", "Replies by operation and status");

static void add_metrics(struct cm_endpoint *endpoint)
{
        char labels[160];

        (void)snprintf(labels, sizeof(labels), "operation=\"%s\"", endpoint->route->operation);
        endpoint->duration = cm_metric_labeled(&durations, labels);
        for (int i = 1; i < CM_ROUTE_STATUS_SETS; i++) {
                (void)snprintf(labels, sizeof(labels), "operation=\"%s\",status=\"%dxx\"",
                               endpoint->route->operation, i);
                endpoint->replies[i] = cm_metric_labeled(&replies, labels);
        }
}

static int add_route(struct cm_router *router, const struct cm_route *route, const char *content)
{
        struct cm_endpoint *endpoint = CM_NEW(struct cm_endpoint);
        struct node *node;

        endpoint->route = route;
        endpoint->content = cm_str_from(content);
        node = walk_template(router->root, endpoint);
        if (!node || find_method(node, cm_str_from(route->method))) {
                cm_log(CM_LOG_ERROR, "route cannot be served", CM_F_TEXT("method", route->method),
                       CM_F_TEXT("path", route->path));
                cm_free(endpoint);
                return -CM_E_CONFIG;
        }
        node->endpoints =
                cm_realloc(node->endpoints, (node->endpoint_count + 1) * sizeof(*node->endpoints));
        node->endpoints[node->endpoint_count++] = endpoint;
        add_metrics(endpoint);
        return 0;
}

static int add_table(struct cm_router *router, const struct cm_routes *table)
{
        struct cm_route *openapi = &router->openapi[router->openapi_count];

        for (size_t i = 0; i < table->count; i++) {
                int r = add_route(router, &table->items[i], NULL);

                if (r < 0)
                        return r;
        }
        if (!table->openapi_json)
                return 0;
        router->openapi_count++;
        *openapi = (struct cm_route){ .method = "GET",
                                      .path = "/openapi.json",
                                      .operation = "openapi" };
        return add_route(router, openapi, table->openapi_json);
}

static void add_allow(struct node *node, const char *method)
{
        if (node->allow.len)
                cm_buf_add(&node->allow, ", ", 2);
        cm_buf_add_str(&node->allow, cm_str_from(method));
}

static void fill_allow(struct node *node)
{
        bool get = find_method(node, CM_STR("GET")), head = find_method(node, CM_STR("HEAD"));

        for (size_t i = 0; i < node->endpoint_count; i++)
                add_allow(node, node->endpoints[i]->route->method);
        if (get && !head)
                add_allow(node, "HEAD");
        if (node->endpoint_count && !find_method(node, CM_STR("OPTIONS")))
                add_allow(node, "OPTIONS");
        for (size_t i = 0; i < node->child_count; i++)
                fill_allow(node->children[i]);
        if (node->param)
                fill_allow(node->param);
}

int cm_router_new(const struct cm_routes *const *tables, size_t count, struct cm_router **router_r)
{
        struct cm_router *router = CM_NEW(struct cm_router);

        router->root = CM_NEW(struct node);
        router->openapi = cm_alloc_array(count, sizeof(*router->openapi));
        for (size_t i = 0; i < count; i++) {
                int r = add_table(router, tables[i]);

                if (r < 0) {
                        cm_router_free(&router);
                        return r;
                }
        }
        fill_allow(router->root);
        *router_r = router;
        return 0;
}

static void node_free(struct node *node)
{
        if (!node)
                return;
        for (size_t i = 0; i < node->child_count; i++)
                node_free(node->children[i]);
        for (size_t i = 0; i < node->endpoint_count; i++)
                cm_free(node->endpoints[i]);
        node_free(node->param);
        cm_buf_deinit(&node->allow);
        cm_free(node->endpoints);
        cm_free(node->children);
        cm_free(node);
}

void cm_router_free(struct cm_router **router)
{
        if (!*router)
                return;
        node_free((*router)->root);
        cm_free((*router)->openapi);
        cm_free(*router);
        *router = NULL;
}

/* The node of the segments from `i` on. Depth is bounded by CM_TARGET_MAX_SEGMENTS. */
static const struct node *find(const struct node *node, const struct cm_target *target, size_t i,
                               struct cm_match *match)
{
        const struct node *found, *child;

        if (i == target->segment_count)
                return node->endpoint_count ? node : NULL;
        child = find_literal(node, target->segments[i]);
        found = child ? find(child, target, i + 1, match) : NULL;
        if (found || !node->param || match->value_count == CM_ROUTE_MAX_VALUES)
                return found;
        match->values[match->value_count++] = target->segments[i];
        found = find(node->param, target, i + 1, match);
        if (!found)
                match->value_count--;
        return found;
}

void cm_router_match(const struct cm_router *router, struct cm_str method,
                     const struct cm_target *target, struct cm_match *match_r)
{
        const struct node *node;

        match_r->endpoint = NULL;
        match_r->allow = NULL;
        match_r->value_count = 0;
        node = find(router->root, target, 0, match_r);
        if (!node)
                return;
        match_r->allow = node->allow.data;
        match_r->endpoint = find_method(node, method);
        if (!match_r->endpoint && cm_str_equal(method, CM_STR("HEAD")))
                match_r->endpoint = find_method(node, CM_STR("GET"));
}
