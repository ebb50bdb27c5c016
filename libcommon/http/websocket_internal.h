#pragma once
#include "http/server_internal.h"
#include "http/websocket.h"

/* websocket_handshake.c. Public for the fuzzer. */
#define CM_WEBSOCKET_ACCEPT_SIZE 29

/* The answer to a key; false when it is not 16 bytes in base64. */
bool cm_websocket_accept(struct cm_str key, char out[CM_WEBSOCKET_ACCEPT_SIZE]);
/* True when the comma-separated list holds `token`, in any case. */
bool cm_token_list_has(struct cm_str list, struct cm_str token);
/* `allowed`: origins by comma; NULL: none but the host's own. */
bool cm_origin_is_allowed(struct cm_str origin, struct cm_str host, const char *allowed);
/* Sends the 101. 0, or a positive value after another reply. */
int cm_websocket_upgrade(struct cm_request *request) CM_MUST_CHECK;
