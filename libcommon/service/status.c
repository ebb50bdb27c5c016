#include <stdio.h>
#include <unistd.h>

#include "codec/json.h"
#include "service/daemon.h"
#include "service/version.h"
#include "sys/metrics.h"

/*
 * Three questions, and each answer is for somebody else. /healthz: does every loop still turn, and
 * do relay and consumer come to the end of their steps? A "no" means: kill it. It never asks a
 * dependency, and a step that fails has ended. /readyz: may requests come here? /metrics: what
 * has been going on?
 *
 * A dependency that is needed to begin counts until it was there once. After that its own store
 * alone decides: without the bus a service goes on with its own data, and taking all replicas out
 * because Redis restarts would turn a delay into an outage.
 */
#define STUCK_US (10 * CM_SECOND) /* a loop turns at least once a second */

static struct cm_metric build_info = CM_GAUGE("salus_build_info", "1; the labels say what runs");
static struct cm_metric ready_gauge = CM_GAUGE("salus_ready", "1 while /readyz would say yes");
static struct cm_metric resident =
        CM_GAUGE("salus_process_resident_bytes", "Resident memory of the process");
static struct cm_metric loop_late = CM_HISTOGRAM(
        "salus_loop_late_seconds", "How late a timer of each second was: what blocks the loop");
static const struct cm_metric up =
        CM_GAUGE("salus_dependency_up", "1 while the dependency is there");
static const struct cm_metric fibers = CM_GAUGE("salus_fibers_running", "Fibers of a worker");
static const struct cm_metric most_fibers =
        CM_GAUGE("salus_fibers_most", "Most fibers that a worker has had at a time");
static const struct cm_metric stack_used =
        CM_GAUGE("salus_fiber_stack_high_water_bytes",
                 "Most bytes of one fiber's stack that were ever used");

/* ---- what holds */

struct dependency {
        const char *name;
        const char *state; /* "ok", or what is wrong */
        bool blocks;       /* readiness */
};

enum { DEPENDENCIES = 6 };

static bool all(const struct daemon *daemon, bool (*holds)(const struct worker *worker))
{
        for (size_t i = 0; i < daemon->worker_count; i++)
                if (!holds(&daemon->workers[i]))
                        return false;
        return true;
}

static bool has_store(const struct worker *worker)
{
        return atomic_load(&worker->store_ready);
}
static bool has_bus(const struct worker *worker)
{
        return atomic_load(&worker->bus_ready);
}
static bool has_seen_bus(const struct worker *worker)
{
        return atomic_load(&worker->bus_seen);
}
static bool has_cache(const struct worker *worker)
{
        return atomic_load(&worker->cache_ready);
}
static bool has_keys(const struct worker *worker)
{
        return atomic_load(&worker->has_keys);
}
static bool has_started(const struct worker *worker)
{
        return atomic_load(&worker->started);
}

static struct dependency schema_state(const struct daemon *daemon)
{
        int state = atomic_load(&daemon->schema);

        return (struct dependency){ "schema",
                                    state == CM_SCHEMA_CURRENT ? "ok"
                                    : state == 0               ? "unknown"
                                                               : cm_schema_state_name(state),
                                    state != CM_SCHEMA_CURRENT };
}

static struct dependency state_of(const char *name, bool there, bool blocks)
{
        return (struct dependency){ name, there ? "ok" : "missing", !there && blocks };
}

/* Returns whether requests may come. */
static bool look(const struct daemon *daemon, struct dependency found_r[DEPENDENCIES])
{
        bool ready = !atomic_load(&daemon->draining);

        found_r[0] = state_of(daemon->service->documents ? "mongo" : "postgres",
                              all(daemon, has_store), true);
        found_r[1] = schema_state(daemon);
        found_r[2] = state_of("redis-bus", all(daemon, has_bus), !all(daemon, has_seen_bus));
        found_r[3] = state_of("redis-cache", all(daemon, has_cache), false);
        found_r[4] = state_of("jwks", all(daemon, has_keys), true);
        found_r[5] = state_of("workers", all(daemon, has_started), true);
        for (size_t i = 0; i < DEPENDENCIES; i++)
                ready = ready && !found_r[i].blocks;
        return ready;
}

static bool is_degraded(const struct dependency found[DEPENDENCIES])
{
        return found[2].state[0] != 'o' || found[3].state[0] != 'o';
}

/* ---- replies */

static void reply_head(struct cm_json_writer *writer, const struct daemon *daemon,
                       const char *status)
{
        cm_json_object(writer);
        cm_json_key(writer, "status");
        cm_json_text(writer, cm_str_from(status));
        cm_json_key(writer, "service");
        cm_json_text(writer, cm_str_from(daemon->service->name));
        cm_json_key(writer, "version");
        cm_json_text(writer, CM_STR(CM_VERSION));
}

static int reply(struct cm_request *request, int status, struct cm_buf *body)
{
        int r;

        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        r = cm_reply_body(request, status, "application/json", cm_buf_str(body));
        cm_buf_deinit(body);
        return r;
}

static int readyz(struct cm_request *request, CM_UNUSED const void *params,
                  CM_UNUSED const void *in)
{
        const struct daemon *daemon = worker_here()->daemon;
        struct dependency found[DEPENDENCIES];
        bool ready = look(daemon, found);
        struct cm_json_writer writer;
        struct cm_buf body = { 0 };

        cm_json_writer_init(&writer, &body);
        reply_head(&writer, daemon,
                   !ready               ? "unavailable"
                   : is_degraded(found) ? "degraded"
                                        : "ok");
        cm_json_key(&writer, "draining");
        cm_json_bool(&writer, atomic_load(&daemon->draining));
        cm_json_key(&writer, "dependencies");
        cm_json_object(&writer);
        for (size_t i = 0; i < DEPENDENCIES; i++) {
                cm_json_key(&writer, found[i].name);
                cm_json_text(&writer, cm_str_from(found[i].state));
        }
        cm_json_object_end(&writer);
        cm_json_object_end(&writer);
        return reply(request, ready ? 200 : 503, &body);
}

/* One that is still being opened is the main thread's business. */
static bool moves(const struct worker *worker)
{
        return !atomic_load(&worker->open) ||
               cm_monotonic_us() - cm_loop_heartbeat_us(worker->public.loop) < STUCK_US;
}

static bool relays(const struct worker *worker)
{
        return cm_progress_age_us(&worker->relaying) < worker->daemon->settings->stuck_after_us;
}

static bool consumes(const struct worker *worker)
{
        return cm_progress_age_us(&worker->consuming) < worker->daemon->settings->stuck_after_us;
}

static struct cm_str health_of(bool moving)
{
        return moving ? CM_STR("ok") : CM_STR("stuck");
}

static int healthz(struct cm_request *request, CM_UNUSED const void *params,
                   CM_UNUSED const void *in)
{
        const struct daemon *daemon = worker_here()->daemon;
        struct cm_json_writer writer;
        struct cm_buf body = { 0 };
        bool alive;

        alive = all(daemon, moves) && all(daemon, relays) && all(daemon, consumes);
        cm_json_writer_init(&writer, &body);
        reply_head(&writer, daemon, alive ? "ok" : "stuck");
        cm_json_key(&writer, "workers");
        cm_json_array(&writer);
        for (size_t i = 0; i < daemon->worker_count; i++)
                cm_json_text(&writer, health_of(moves(&daemon->workers[i])));
        cm_json_array_end(&writer);
        if (daemon->service->publishes) {
                cm_json_key(&writer, "relay");
                cm_json_text(&writer, health_of(all(daemon, relays)));
        }
        if (daemon->service->subscriptions) {
                cm_json_key(&writer, "consumer");
                cm_json_text(&writer, health_of(all(daemon, consumes)));
        }
        cm_json_object_end(&writer);
        return reply(request, alive ? 200 : 503, &body);
}

static int metrics(struct cm_request *request, CM_UNUSED const void *params,
                   CM_UNUSED const void *in)
{
        struct cm_buf body = { 0 };
        int r;

        cm_metrics_write(&body);
        r = cm_reply_body(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                          cm_buf_str(&body));
        cm_buf_deinit(&body);
        return r;
}

static const struct cm_route items[] = {
        { .method = "GET", .path = "/healthz", .operation = "healthz", .call = healthz },
        { .method = "GET", .path = "/readyz", .operation = "readyz", .call = readyz },
        { .method = "GET", .path = "/metrics", .operation = "metrics", .call = metrics },
};
const struct cm_routes status_routes = { items, CM_COUNT(items), NULL };

bool status_has_route(const struct cm_route *route)
{
        return route >= items && route < items + CM_COUNT(items);
}

/* ---- gauges */

/* The second number of statm: pages in memory. */
static int64_t resident_bytes(void)
{
        FILE *file = fopen("/proc/self/statm", "re");
        char line[128] = "";
        struct cm_str rest, word;
        int64_t pages = 0;

        if (!file)
                return 0;
        rest = cm_str_from(fgets(line, sizeof(line), file));
        (void)fclose(file);
        if (!cm_str_split(&rest, ' ', &word)) /* the whole size; the second is the resident one */
                return 0;
        if (!cm_str_split(&rest, ' ', &word) || !cm_str_to_int(word, &pages))
                return 0;
        return pages * sysconf(_SC_PAGESIZE);
}

static void set(const struct cm_metric *base, const char *label, const char *value, int64_t number)
{
        char labels[96];

        (void)snprintf(labels, sizeof(labels), "%s=\"%s\"", label, value);
        cm_gauge_set(cm_metric_labeled(base, labels), number);
}

static void sample_daemon(const struct daemon *daemon)
{
        struct dependency found[DEPENDENCIES];
        char labels[96];

        cm_gauge_set(&ready_gauge, look(daemon, found));
        for (size_t i = 0; i < DEPENDENCIES; i++)
                set(&up, "dependency", found[i].name, found[i].state[0] == 'o');
        cm_gauge_set(&resident, resident_bytes());
        (void)snprintf(labels, sizeof(labels), "service=\"%s\",version=\"%s\"",
                       daemon->service->name, CM_VERSION);
        cm_gauge_set(cm_metric_labeled(&build_info, labels), 1);
}

void status_sample(struct worker *worker)
{
        struct cm_fiber_stats stats;
        char index[12];

        (void)snprintf(index, sizeof(index), "%d", worker->public.index);
        cm_fiber_stats(worker->public.loop, &stats);
        set(&fibers, "worker", index, (int64_t)stats.running);
        set(&most_fibers, "worker", index, (int64_t)stats.most_running);
        set(&stack_used, "worker", index, (int64_t)stats.stack_high_water);
        if (worker->tick_due_us)
                cm_histogram_observe_us(&loop_late, cm_monotonic_us() - worker->tick_due_us);
        if (worker->public.index == 0)
                sample_daemon(worker->daemon);
}
