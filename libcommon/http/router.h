#pragma once
#include <stddef.h>
#include <stdint.h>

#include "http/route.h"
#include "http/target.h"
#include "sys/metrics.h"

/*
 * The route table as a tree of path segments, built once and then read only. A literal segment goes
 * before a parameter; literals are compared as they stand (an escaped letter is another path).
 */
#define CM_ROUTE_MAX_PARAMS  16
#define CM_ROUTE_MAX_VALUES  8 /* parameters in one path */
#define CM_ROUTE_STATUS_SETS 6 /* replies by hundreds: [2] is 2xx */

/* A route and what the server keeps about it. */
struct cm_endpoint {
        const struct cm_route *route;
        struct cm_str content; /* for /openapi.json: what is served; absent otherwise */
        uint8_t path_index[CM_ROUTE_MAX_PARAMS]; /* which value of the path a parameter is */
        struct cm_metric *duration;
        struct cm_metric *replies[CM_ROUTE_STATUS_SETS];
};

struct cm_match {
        struct cm_endpoint *endpoint; /* NULL when no method fits */
        const char *allow;            /* methods of the path, for Allow; NULL: no such path */
        struct cm_str values[CM_ROUTE_MAX_VALUES]; /* raw */
        size_t value_count;
};

struct cm_router;

/* Fails with -CM_E_CONFIG, logged, on two routes of one method and path or a template that is not
 * "/literal/{name}". The tables must outlive the router. */
int cm_router_new(const struct cm_routes *const *tables, size_t count,
                  struct cm_router **router_r) CM_MUST_CHECK;
void cm_router_free(struct cm_router **router);

/* HEAD finds the GET route. */
void cm_router_match(const struct cm_router *router, struct cm_str method,
                     const struct cm_target *target, struct cm_match *match_r);
