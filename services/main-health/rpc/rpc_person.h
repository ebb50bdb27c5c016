#pragma once
#include "bus/rpc_server.h"
#include "health.h"

/* Whom a call is for. */
struct rpc_person {
        struct person person;
        struct cm_str language;
        struct cm_str time_zone; /* the present one */
        cm_date today;           /* there */
};

/* 0; CM_RPC_REFUSED when there is no such person or the account is not active; or an error. Text is
 * in the call's arena. Suspends. */
int rpc_person_get(struct cm_rpc_request *call, struct rpc_person *person_r) CM_MUST_CHECK;
