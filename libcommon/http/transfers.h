#pragma once
#include <stddef.h>

#include "base/attr.h"
#include "sys/fiber.h"
#include "sys/loop.h"

/*
 * libcurl's multi interface in one loop, for the HTTP client and for mail. libcurl says which
 * sockets and what timer it wants; the loop tells it when they are ready. All of its work is done
 * in those calls, on the loop's stack: a fiber only adds its transfer and waits.
 */
struct cm_transfers;

/* -CM_E_INTERNAL when libcurl does not start. Further transfers than `max_connections` wait. */
int cm_transfers_new(struct cm_loop *loop, size_t max_connections,
                     struct cm_transfers **transfers_r) CM_MUST_CHECK;
/* None may be running. */
void cm_transfers_free(struct cm_transfers **transfers);

/* Runs one, a CURL that is set up except for CURLOPT_PRIVATE. Suspends. 0 when libcurl has ended
 * it, with its CURLcode in *result_r; else why the fiber's wait ended, and the transfer is taken
 * out. */
int cm_transfers_run(struct cm_transfers *transfers, void *easy, int *result_r) CM_MUST_CHECK;
