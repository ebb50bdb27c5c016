#include "provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "sse_parse.h"
#include "sys/fiber.h"

struct provider {
        struct cm_client *client;
        struct provider_config config;
        char *url;
        char *authorization; /* NULL: none */
};

struct provider_reply {
        const struct provider *provider;
        struct cm_client_call call;
        struct cm_client_header headers[3];
        struct cm_client_stream *http;
        struct sse_parser events;
        struct openai_stream stream;
        struct cm_buf bytes; /* that came and are not parsed yet */
        bool is_stream;      /* else one JSON document */
        char why[384];
};

struct provider *provider_new(struct cm_client *client, const struct provider_config *config)
{
        struct provider *provider = CM_NEW(struct provider);
        struct cm_buf text = { 0 };
        size_t len = strlen(config->base_url);

        provider->client = client;
        provider->config = *config;
        if (!config->attempts)
                provider->config.attempts = 3;
        if (!config->retry_us)
                provider->config.retry_us = CM_SECOND / 2;
        if (!config->max_retry_us)
                provider->config.max_retry_us = 20 * CM_SECOND;
        if (!config->stall_us)
                provider->config.stall_us = CM_MINUTE;
        if (!config->max_reply)
                provider->config.max_reply = 4 << 20;
        if (!config->max_event)
                provider->config.max_event = 1 << 20;
        while (len && config->base_url[len - 1] == '/')
                len--;
        cm_buf_printf(&text, "%.*s/chat/completions", (int)len, config->base_url);
        provider->url = text.data;
        if (config->api_key && *config->api_key) {
                text = (struct cm_buf){ 0 };
                cm_buf_printf(&text, "Bearer %s", config->api_key);
                provider->authorization = text.data;
        }
        return provider;
}

void provider_free(struct provider **provider)
{
        struct provider *it = *provider;

        if (!it)
                return;
        if (it->authorization)
                cm_wipe(it->authorization, strlen(it->authorization));
        cm_free(it->authorization);
        cm_free(it->url);
        cm_free(it);
        *provider = NULL;
}

/* ---- one attempt */

static void set_up(struct provider_reply *reply, struct cm_str body)
{
        const struct provider *provider = reply->provider;

        reply->headers[0] = (struct cm_client_header){ "Content-Type", "application/json" };
        reply->headers[1] =
                (struct cm_client_header){ "Accept", "text/event-stream, application/json" };
        reply->headers[2] = (struct cm_client_header){ "Authorization", provider->authorization };
        reply->call = (struct cm_client_call){ .method = "POST",
                                               .url = provider->url,
                                               .headers = reply->headers,
                                               .header_count = provider->authorization ? 3 : 2,
                                               .body = body,
                                               .max_reply = provider->config.max_reply };
}

static int64_t earlier(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

static bool is_own_deadline(int64_t deadline_us)
{
        return cm_monotonic_us() >= deadline_us;
}

/* A wait of at most the stall time. A stall is not the fiber's deadline. */
static int open_in_time(struct provider_reply *reply)
{
        int64_t own = cm_fiber_deadline_us();
        int64_t old = cm_fiber_set_deadline(
                earlier(own, cm_monotonic_us() + reply->provider->config.stall_us));
        int r = cm_client_open(reply->provider->client, &reply->call, &reply->http);

        (void)cm_fiber_set_deadline(old);
        return r == -CM_E_DEADLINE && !is_own_deadline(own) ? -CM_E_UNAVAILABLE : r;
}

static int read_in_time(struct provider_reply *reply, struct cm_buf *out)
{
        int64_t own = cm_fiber_deadline_us();
        int64_t old = cm_fiber_set_deadline(
                earlier(own, cm_monotonic_us() + reply->provider->config.stall_us));
        int r = cm_client_read(reply->http, out);

        (void)cm_fiber_set_deadline(old);
        return r == -CM_E_DEADLINE && !is_own_deadline(own) ? -CM_E_UNAVAILABLE : r;
}

static bool may_pass(int status)
{
        return status == 408 || status == 409 || status == 429 || status >= 500;
}

/* How long to wait before the next attempt; negative: not at all. */
static int64_t pause_us(struct provider_reply *reply, int attempt)
{
        const struct provider_config *config = &reply->provider->config;
        int64_t pause = config->retry_us << (attempt < 10 ? attempt : 10);
        const char *ms, *should;

        if (!reply->http)
                return earlier(pause, config->max_retry_us);
        should = cm_client_stream_header(reply->http, "x-should-retry");
        ms = cm_client_stream_header(reply->http, "retry-after-ms");
        if (strcasecmp(should, "false") == 0)
                return -1;
        if (*ms)
                pause = (int64_t)(strtod(ms, NULL) * 1000);
        else if (reply->call.retry_after_s > 0)
                pause = reply->call.retry_after_s * CM_SECOND;
        return pause >= 0 && pause <= config->max_retry_us ? pause : -1;
}

/* What the server says of a refusal, as far as it is short. */
static void read_refusal(struct provider_reply *reply)
{
        struct cm_buf text = { 0 };
        int r = 0;

        while (r == 0 && reply->bytes.len < 65536) {
                size_t before = reply->bytes.len;

                r = read_in_time(reply, &reply->bytes);
                if (reply->bytes.len == before)
                        break;
        }
        if (openai_stream_take(&reply->stream, cm_buf_str(&reply->bytes), &text) != OPENAI_ERROR)
                reply->stream.error[0] = 0;
        (void)snprintf(reply->why, sizeof(reply->why), "status %d: %s", reply->call.status,
                       reply->stream.error);
        cm_buf_deinit(&text);
}

static bool is_event_stream(const char *type)
{
        return strncasecmp(type, "text/event-stream", 17) == 0;
}

/* One attempt: 0, PROVIDER_REFUSED, PROVIDER_FAILED (may pass), negative. */
static int attempt(struct provider_reply *reply)
{
        int r = open_in_time(reply);

        if (r == -CM_E_DEADLINE || r == -CM_E_CANCELLED)
                return r;
        if (r < 0) {
                (void)snprintf(reply->why, sizeof(reply->why), "no answer: %s", cm_error_name(r));
                return r == -CM_E_MALFORMED || r == -CM_E_PROTOCOL ? PROVIDER_REFUSED
                                                                   : PROVIDER_FAILED;
        }
        if (reply->call.status == 200) {
                reply->is_stream = is_event_stream(reply->call.content_type);
                return 0;
        }
        (void)snprintf(reply->why, sizeof(reply->why), "status %d", reply->call.status);
        if (may_pass(reply->call.status))
                return PROVIDER_FAILED;
        read_refusal(reply);
        return PROVIDER_REFUSED;
}

static int ask(struct provider_reply *reply)
{
        const struct provider_config *config = &reply->provider->config;
        int r = PROVIDER_FAILED;

        for (int i = 0; i < config->attempts; i++) {
                int64_t pause;

                cm_client_close(&reply->http);
                r = attempt(reply);
                if (r != PROVIDER_FAILED || i + 1 == config->attempts)
                        break;
                pause = pause_us(reply, i);
                cm_client_close(&reply->http);
                if (pause < 0)
                        break;
                r = cm_fiber_sleep(pause);
                if (r < 0)
                        break;
                r = PROVIDER_FAILED;
        }
        return r;
}

int provider_ask(struct provider *provider, struct cm_str body, struct provider_reply **reply_r)
{
        struct provider_reply *reply = CM_NEW(struct provider_reply);
        int r;

        reply->provider = provider;
        sse_parser_init(&reply->events, provider->config.max_event);
        openai_stream_init(&reply->stream);
        set_up(reply, body);
        r = ask(reply);
        if (r < 0)
                provider_close(&reply);
        *reply_r = reply;
        return r;
}

/* ---- reading */

static int failed(struct provider_reply *reply, const char *why)
{
        (void)snprintf(reply->why, sizeof(reply->why), "%s", why);
        return PROVIDER_FAILED;
}

static int take(struct provider_reply *reply, struct cm_str data, struct cm_buf *text)
{
        int r = openai_stream_take(&reply->stream, data, text);

        if (r == OPENAI_DONE)
                return PROVIDER_END;
        if (r == OPENAI_ERROR)
                return failed(reply, reply->stream.error);
        return r < 0 ? failed(reply, "an event that is not JSON") : PROVIDER_TEXT;
}

/* All events that are whole in the bytes that came. */
static int take_events(struct provider_reply *reply, struct cm_buf *text)
{
        struct cm_str rest = cm_buf_str(&reply->bytes);
        struct sse_event event;
        int r = PROVIDER_TEXT, parsed;

        while (r == PROVIDER_TEXT) {
                parsed = sse_parse(&reply->events, &rest, &event);
                if (parsed < 0)
                        r = failed(reply, "an event that is too long");
                if (parsed != SSE_EVENT)
                        break;
                r = take(reply, event.data, text);
        }
        cm_buf_consume(&reply->bytes, reply->bytes.len - rest.len);
        return r;
}

/* The connection is at its end: whole when the server said so before, or when it ended it properly
 * and something had come. */
static int end_of_stream(struct provider_reply *reply, int result, struct cm_buf *text)
{
        struct sse_event event;
        int r = PROVIDER_TEXT;

        /* What a cut left of an event is none. */
        if (reply->is_stream && result == 0 && sse_parse_end(&reply->events, &event))
                r = take(reply, event.data, text);
        if (r != PROVIDER_TEXT)
                return r;
        if (reply->stream.finish != OPENAI_FINISH_NONE)
                return PROVIDER_END;
        if (result < 0)
                return failed(reply, result == -CM_E_TOO_LARGE ? "the reply is too long"
                                                               : "the reply was cut or stalled");
        return reply->stream.has_choices ? PROVIDER_END : failed(reply, "an empty reply");
}

/* A body that is not an event stream: the server does not stream. */
static int next_whole(struct provider_reply *reply, struct cm_buf *text)
{
        size_t before;
        int r;

        do {
                before = reply->bytes.len;
                r = read_in_time(reply, &reply->bytes);
        } while (r == 0 && reply->bytes.len > before);
        if (r < 0)
                return r == -CM_E_DEADLINE || r == -CM_E_CANCELLED ? r
                                                                   : end_of_stream(reply, r, text);
        r = take(reply, cm_buf_str(&reply->bytes), text);
        return r == PROVIDER_TEXT ? end_of_stream(reply, 0, text) : r;
}

int provider_next(struct provider_reply *reply, struct cm_buf *text)
{
        size_t before = reply->bytes.len;
        int r;

        if (!reply->is_stream)
                return next_whole(reply, text);
        r = read_in_time(reply, &reply->bytes);
        if (r == -CM_E_CANCELLED || r == -CM_E_DEADLINE)
                return r;
        if (r < 0 || reply->bytes.len == before)
                return end_of_stream(reply, r, text);
        return take_events(reply, text);
}

const struct openai_stream *provider_stream(const struct provider_reply *reply)
{
        return &reply->stream;
}

const char *provider_why(const struct provider_reply *reply)
{
        return reply->why;
}

void provider_close(struct provider_reply **reply)
{
        struct provider_reply *it = *reply;

        if (!it)
                return;
        cm_client_close(&it->http);
        cm_client_call_deinit(&it->call);
        sse_parser_deinit(&it->events);
        openai_stream_deinit(&it->stream);
        cm_buf_deinit(&it->bytes);
        cm_free(it);
        *reply = NULL;
}
