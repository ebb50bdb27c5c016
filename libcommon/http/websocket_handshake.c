#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "errors.h"
#include "http/websocket_internal.h"

/* The handshake (RFC 6455 section 4.2), strictly: what is not one is told what is missing. */
#define GUID     "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_LEN  24
#define SHA1_LEN 20

bool cm_token_list_has(struct cm_str list, struct cm_str token)
{
        struct cm_str one;

        while (cm_str_split(&list, ',', &one))
                if (cm_str_equal_nocase(cm_str_trim(one), token))
                        return true;
        return false;
}

static bool is_base64(char c)
{
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '+' || c == '/';
}

/* 16 bytes: 22 characters, of the last one only the upper two bits, and two for padding. */
static bool is_key(struct cm_str key)
{
        static const char last[] = { 'A', 'Q', 'g', 'w' };

        if (key.len != KEY_LEN || memcmp(key.data + 22, "==", 2) != 0 ||
            !memchr(last, key.data[21], sizeof(last)))
                return false;
        for (size_t i = 0; i < 22; i++)
                if (!is_base64(key.data[i]))
                        return false;
        return true;
}

bool cm_websocket_accept(struct cm_str key, char out[CM_WEBSOCKET_ACCEPT_SIZE])
{
        char text[KEY_LEN + sizeof(GUID)];
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;

        if (!is_key(key))
                return false;
        memcpy(text, key.data, KEY_LEN);
        memcpy(text + KEY_LEN, GUID, sizeof(GUID));
        if (!EVP_Digest(text, KEY_LEN + sizeof(GUID) - 1, digest, &len, EVP_sha1(), NULL))
                return false;
        (void)EVP_EncodeBlock((unsigned char *)out, digest, SHA1_LEN);
        return true;
}

/* ---- origins */

bool cm_origin_is_allowed(struct cm_str origin, struct cm_str host, const char *allowed)
{
        struct cm_str list = cm_str_from(allowed), one;

        if (!origin.data)
                return true; /* no browser */
        while (cm_str_split(&list, ',', &one))
                if (cm_str_equal_nocase(cm_str_trim(one), origin))
                        return true;
        for (size_t i = 0; i + 3 <= origin.len; i++) {
                if (memcmp(origin.data + i, "://", 3) != 0)
                        continue;
                struct cm_str authority = { origin.data + i + 3, origin.len - i - 3 };

                return authority.len && cm_str_equal_nocase(authority, host);
        }
        return false; /* "null" among others */
}

/* ---- the reply */

static int refuse(struct cm_request *request, int status, const char *code, const char *detail)
{
        if (status == 426) {
                request->keep_alive = false;
                cm_reply_header(request, "Upgrade", CM_STR("websocket"));
                cm_reply_header(request, "Sec-WebSocket-Version", CM_STR("13"));
        }
        (void)cm_reply_problem(request, &(struct cm_problem){ .status = status,
                                                              .code = code,
                                                              .detail = cm_str_from(detail) });
        return 1;
}

static void send_101(struct cm_request *request, const char *accept)
{
        struct cm_buf *out = &request->scratch;
        struct cm_str protocols = cm_request_header(request, "sec-websocket-protocol");

        cm_buf_reset(out);
        cm_buf_printf(out,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nX-Request-Id: %s\r\n",
                      accept, request->request_id);
        if (cm_token_list_has(protocols, CM_STR(CM_WEBSOCKET_PROTOCOL)))
                cm_buf_printf(out, "Sec-WebSocket-Protocol: %s\r\n", CM_WEBSOCKET_PROTOCOL);
        cm_buf_add(out, "\r\n", 2);
        cm_connection_send(request->connection, cm_buf_str(out));
        request->status = 101;
        request->reply = CM_REPLY_STREAM;
        request->keep_alive = false;
        request->answered_us = cm_monotonic_us();
        cm_connection_schedule(request->connection);
}

int cm_websocket_upgrade(struct cm_request *request)
{
        struct cm_str protocols = cm_request_header(request, "sec-websocket-protocol");
        char accept[CM_WEBSOCKET_ACCEPT_SIZE];

        if (request->head.minor == 0 || cm_request_is_head(request) ||
            !cm_token_list_has(cm_request_header(request, "upgrade"), CM_STR("websocket")) ||
            !cm_token_list_has(cm_request_header(request, "connection"), CM_STR("upgrade")))
                return refuse(request, 426, CM_CODE_UPGRADE_REQUIRED, "this is a WebSocket");
        if (!cm_str_equal(cm_request_header(request, "sec-websocket-version"), CM_STR("13")))
                return refuse(request, 426, CM_CODE_UPGRADE_REQUIRED, "only version 13 is spoken");
        if (!cm_websocket_accept(cm_request_header(request, "sec-websocket-key"), accept))
                return refuse(request, 400, CM_CODE_BAD_REQUEST,
                              "Sec-WebSocket-Key is not 16 bytes in base64");
        if (protocols.data && !cm_token_list_has(protocols, CM_STR(CM_WEBSOCKET_PROTOCOL)))
                return refuse(request, 400, CM_CODE_BAD_REQUEST,
                              "the subprotocol is " CM_WEBSOCKET_PROTOCOL);
        if (!cm_origin_is_allowed(cm_request_header(request, "origin"),
                                  cm_request_header(request, "host"),
                                  request->server->config.streams.origins))
                return refuse(request, 403, CM_CODE_FORBIDDEN, "the origin is not allowed");
        send_101(request, accept);
        return 0;
}
