#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/consumer.h"
#include "bus/relay.h"
#include "service/daemon.h"
#include "sys/log.h"

/*
 * A worker's share in the bus. Each answers calls. The first one has more to do: it asks whether
 * the server may lose streams, moves the service's own events out and takes those of others in.
 * Replicas do the same; relays agree among themselves which one leads, and a group's consumers
 * share the work.
 */
#define LOOK_AGAIN_US (5 * CM_MILLISECOND)

/* A Redis that evicts streams is found out once it can be asked, and ends the daemon. */
static void check_fiber(void *arg)
{
        struct worker *worker = arg;

        for (;;) {
                int r = -CM_E_UNAVAILABLE;

                if (cm_redis_is_ready(worker->public.bus))
                        r = cm_bus_check(worker->public.bus);
                if (r == 0)
                        atomic_store(&worker->bus_seen, true);
                else if (r == -CM_E_CONFIG)
                        daemon_fail(worker->daemon);
                if (r == 0 || r == -CM_E_CONFIG || cm_fiber_sleep(LOOK_AGAIN_US))
                        return;
        }
}

int bus_check(struct worker *worker, struct cm_group *group)
{
        if (worker->public.index > 0)
                return 0;
        return cm_group_start(group, "bus check", check_fiber, worker);
}

static int start_relay(struct worker *worker)
{
        const struct cm_documents *documents = worker->public.service->documents;
        const struct cm_relay_config config = {
                .service = worker->public.service->name,
                .conninfo = worker->daemon->settings->database_url,
                .redis = worker->public.bus,
                .progress = &worker->relaying,
                .outbox = documents ? documents->store->outbox : NULL,
                .mongo = worker->public.mongo,
                .collections = documents ? documents->outboxes : NULL,
                .mirrors = worker->daemon->settings->mirror_topics,
        };

        return cm_relay_start(worker->public.loop, &config, &worker->relay);
}

static int start_consumer(struct worker *worker)
{
        const struct cm_documents *documents = worker->public.service->documents;
        const struct cm_consumer_config config = {
                .group = worker->public.service->name,
                .subscriptions = worker->public.service->subscriptions,
                .pg = worker->public.pg,
                .inbox = documents ? documents->store->inbox : NULL,
                .mongo = worker->public.mongo,
                .redis = worker->public.bus,
                .redis_url = worker->daemon->settings->redis_url,
                .service = worker->public.object,
                .lease_us = worker->daemon->settings->event_lease_us,
                .progress = &worker->consuming,
        };

        return cm_consumer_start(worker->public.loop, &config, &worker->consumer);
}

static int start_callee(struct worker *worker)
{
        const struct cm_service_settings *settings = worker->daemon->settings;
        const struct cm_rpc_server_config config = {
                .methods = worker->public.service->rpc,
                .redis = worker->public.bus,
                .redis_url = settings->redis_url,
                .service = worker->public.object,
                .max_running = (size_t)settings->rpc_concurrency,
                .max_data = (size_t)settings->rpc_max_data,
                .lease_us = settings->rpc_lease_us,
        };

        return cm_rpc_server_start(worker->public.loop, &config, &worker->callee);
}

int bus_start(struct worker *worker)
{
        const struct cm_service *service = worker->public.service;
        bool is_first = worker->public.index == 0;
        int r = 0;

        if (is_first && service->publishes)
                r = start_relay(worker);
        if (!r && is_first && service->subscriptions)
                r = start_consumer(worker);
        if (!r && service->rpc && service->rpc->count)
                r = start_callee(worker);
        return r;
}

/* In the first worker's thread, which alone knows whether the relay is still there. */
static void wake_relay(void *arg)
{
        struct worker *first = arg;

        atomic_store(&first->news_posted, false);
        if (first->relay)
                cm_relay_wake(first->relay);
}

void cm_worker_wake_relay(void *worker)
{
        struct worker *here = worker_of(worker);
        struct worker *first = &here->daemon->workers[0];

        if (here == first)
                wake_relay(first);
        else if (atomic_load(&first->open) && !atomic_exchange(&first->news_posted, true))
                cm_loop_post(first->public.loop, wake_relay, first);
}

struct document_news {
        struct worker *first;
        const char *collection;
        struct cm_str id; /* behind the struct */
};

static void wake_document(void *arg)
{
        struct document_news *news = arg;

        if (news->first->relay)
                cm_relay_wake_document(news->first->relay, news->collection, news->id);
        cm_free(news);
}

void cm_worker_wake_relay_document(struct cm_worker *worker, const char *collection,
                                   struct cm_str id)
{
        struct worker *here = worker_of(worker);
        struct worker *first = &here->daemon->workers[0];
        struct document_news *news;

        if (here == first && first->relay)
                cm_relay_wake_document(first->relay, collection, id);
        if (here == first || !atomic_load(&first->open))
                return;
        news = cm_alloc(sizeof(*news) + id.len + 1);
        memcpy(news + 1, id.data, id.len);
        *news = (struct document_news){ first, collection, { (const char *)(news + 1), id.len } };
        cm_loop_post(first->public.loop, wake_document, news);
}

void bus_stop_taking(struct worker *worker)
{
        if (worker->callee)
                cm_rpc_server_stop(&worker->callee);
        if (worker->consumer)
                cm_consumer_stop(&worker->consumer);
}

void bus_stop_sending(struct worker *worker)
{
        if (worker->relay)
                cm_relay_stop(&worker->relay);
}
