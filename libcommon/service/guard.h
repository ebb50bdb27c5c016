#pragma once
#include "http/request.h"
#include "http/route.h"
#include "service/daemon.h"

/*
 * Who may: runs before each request. Checks, in this order: is the worker ready for anything but
 * its status; the limit by address; the token and its revocation; the scope; the account; the limit
 * by user. Replies itself to what it refuses.
 */
struct guard;

struct guard *guard_new(struct worker *worker);
/* Its fiber must have ended. */
void guard_free(struct guard **guard);
/* Subscribes to revocations and changes of keys, and keeps the keys fresh: a fiber that runs until
 * guard_stop(). */
int guard_start(struct guard *guard, struct cm_group *group) CM_MUST_CHECK;
void guard_stop(struct guard *guard);
int guard_set_keys(struct guard *guard, struct cm_str jwks) CM_MUST_CHECK;

/* A cm_guard_fn; `arg` is the struct worker. */
int guard_request(struct cm_request *request, const struct cm_route *route, void *arg);
