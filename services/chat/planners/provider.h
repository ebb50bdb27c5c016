#pragma once
#include "http/client.h"
#include "openai_stream.h"

/*
 * A server that speaks OpenAI's chat completions, asked over HTTP. One reply is read while it
 * comes.
 *
 * What can pass by itself is tried again before anything of a reply was given: no connection, 408,
 * 409, 429, 5xx; after what the server says (retry-after-ms, retry-after, x-should-retry), else
 * after a time that doubles. The fiber's deadline ends all of it.
 */
struct provider_config {
        const char *base_url; /* "http://localhost:11434/v1" */
        const char *api_key;  /* NULL: none is sent */
        int attempts;         /* in all. 0: 3 */
        int64_t retry_us;     /* before the second attempt. 0: 0.5 s */
        int64_t max_retry_us; /* a server that says more is not waited for. 0: 20 s */
        int64_t stall_us;     /* without a single byte. 0: 60 s */
        int64_t max_reply;    /* bytes of a reply. 0: 4 MiB */
        size_t max_event;     /* bytes of an event. 0: 1 MiB */
};

struct provider;
struct provider_reply;

/* The client and the texts of config must outlive it. One for a worker. */
struct provider *provider_new(struct cm_client *client, const struct provider_config *config);
void provider_free(struct provider **provider);

enum provider_outcome {
        PROVIDER_TEXT = 0, /* next: text was appended, or not; there may be more */
        PROVIDER_END = 1,  /* next: the reply is whole */
        PROVIDER_REFUSED,  /* the server said no, and would again: provider_why() */
        PROVIDER_FAILED    /* gone, stalled, cut, broken, or overloaded for too long */
};

/* Asks. 0, PROVIDER_REFUSED, PROVIDER_FAILED; -CM_E_DEADLINE, -CM_E_CANCELLED. Suspends. The reply
 * is there in any case but the negative ones. */
int provider_ask(struct provider *provider, struct cm_str body,
                 struct provider_reply **reply_r) CM_MUST_CHECK;
/* Appends text that has come. enum provider_outcome, or negative as above. Suspends. */
int provider_next(struct provider_reply *reply, struct cm_buf *text) CM_MUST_CHECK;
/* Calls, finish and usage; whole when PROVIDER_END was returned. */
const struct openai_stream *provider_stream(const struct provider_reply *reply);
/* For the log: what went wrong, in English; never holds what was sent. */
const char *provider_why(const struct provider_reply *reply);
/* At any time; what is under way is cut at once. */
void provider_close(struct provider_reply **reply);
