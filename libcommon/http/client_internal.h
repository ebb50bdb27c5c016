#pragma once
#include <curl/curl.h>

#include "http/client.h"
#include "sys/fiber.h"

/* What client.c (whole calls) and client_stream.c (replies that are read while they come) share. */
struct cm_client {
        struct cm_client_config config;
        CURLM *multi;
        struct cm_timer *timer;
};

/* One call under way. Zero-initialise; lives until cm_transfer_end(). */
struct cm_transfer {
        struct cm_client_call *call;
        CURL *easy;
        struct curl_slist *headers;
        struct cm_wait wait;
        struct cm_client_stream *stream; /* NULL: a whole call, which waits */
        CURLcode result;
        int64_t received;
        int error; /* ours, when a callback of ours ended it */
};

/* Starts it; cm_transfer_end() in any case. */
int cm_transfer_start(struct cm_client *client, struct cm_transfer *transfer) CM_MUST_CHECK;
/* Status and what is known of the reply's head goes to the call. */
void cm_transfer_take_reply(struct cm_transfer *transfer);
/* How it ended, once it has. */
int cm_transfer_outcome(const struct cm_transfer *transfer);
/* At any time: what is under way is cut, its connection closed. */
void cm_transfer_end(struct cm_client *client, struct cm_transfer *transfer);

/* For client.c: a piece came (the return value is libcurl's); the transfer has ended. */
size_t cm_client_stream_body(struct cm_client_stream *stream, struct cm_str piece);
void cm_client_stream_done(struct cm_client_stream *stream);
