#include "bus/relay.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "bus/outbox.h"
#include "bus/relay_internal.h"
#include "keys.h"
#include "sys/log.h"

/*
 * One fiber: get the lead, bring stream and outbox together, then publish what comes. Whatever
 * fails (the lead lost, Redis or PostgreSQL gone, an id refused) ends in the same place: wait a
 * little and begin again with the lead. There is no other recovery.
 *
 * The lead is a session lock, so that only one relay works, and a term in a table, so that it does
 * not matter when two do: see relay_store.c.
 *
 * A row may be committed and still be hidden behind an older transaction that runs, whose end
 * nobody announces. So after each piece of news the relay looks again, at growing intervals.
 */

#define TICK_US        (500 * CM_MILLISECOND)
#define LEAD_RETRY_US  CM_SECOND
#define ERROR_RETRY_US (200 * CM_MILLISECOND)
#define NAP_FIRST_US   CM_MILLISECOND
#define STEP_LIMIT_US  (20 * CM_SECOND)
#define KEEP_US        (7 * CM_DAY)
#define SILENT_US      CM_DAY
#define WINDOW         1000
#define GATHERED       64 /* events in one go */
#define ARENA_BLOCK    65536

static struct cm_metric published =
        CM_COUNTER("salus_bus_published_total", "Events added to a stream");
static struct cm_metric leading =
        CM_GAUGE("salus_relay_leading", "1 while this process' relay leads");

void relay_limit(struct cm_relay *relay)
{
        cm_progress_step(relay->config.progress);
        cm_fiber_set_deadline(cm_monotonic_us() + STEP_LIMIT_US);
}

/* ---- waiting */

/* Until there is news or the time is over. */
static void nap(struct cm_relay *relay, int64_t duration_us)
{
        int64_t until = cm_monotonic_us() + duration_us, before;

        if (relay->has_news || relay->was_told || relay->is_stopping || duration_us <= 0)
                return;
        before = cm_fiber_set_deadline(until);
        cm_progress_idle(relay->config.progress);
        (void)!cm_cond_wait(&relay->woken);
        cm_fiber_set_deadline(before);
}

static void wake(struct cm_relay *relay)
{
        cm_cond_broadcast(&relay->woken);
}

void relay_told(void *arg)
{
        struct cm_relay *relay = arg;

        relay->was_told = true;
        wake(relay);
}

static void on_news(struct cm_relay *relay)
{
        relay->has_news = true;
        wake(relay);
}

static void on_posted_wake(void *arg)
{
        struct cm_relay *relay = arg;

        atomic_store(&relay->wake_posted, false);
        on_news(relay);
}

void cm_relay_wake(struct cm_relay *relay)
{
        if (cm_loop_current() == relay->loop)
                on_news(relay); /* without a turn of the loop and a system call */
        else if (!atomic_exchange(&relay->wake_posted, true))
                cm_loop_post(relay->loop, on_posted_wake, relay);
}

void cm_relay_wake_document(struct cm_relay *relay, const char *collection, struct cm_str id)
{
        CM_ASSERT(relay->store->hint);
        relay->store->hint(relay, collection, id);
        cm_relay_wake(relay);
}

/* A fault that tests ask for. */
static void hang(const struct cm_relay *relay)
{
#ifdef CM_FAULTS
        if (relay->config.hangs ||
            cm_str_equal(cm_str_from(getenv("TEST_FAULT")), CM_STR("hang-relay"))) {
                (void)cm_fiber_set_deadline(CM_NEVER);
                while (!relay->is_stopping)
                        (void)!cm_fiber_sleep(10 * CM_MILLISECOND);
        }
#else
        (void)relay;
#endif
}

/* ---- leading */

/* What comes in a moment goes along with what is there; not when there is much anyhow. */
static void gather(struct cm_relay *relay, size_t last_count)
{
        if (relay->has_news && !relay->is_stopping && relay->store->gather_us &&
            last_count < GATHERED)
                (void)!cm_fiber_sleep(relay->store->gather_us);
}

/* Publishes all that may be published now. Returns how many, or an error or outcome. */
static int publish_new(struct cm_relay *relay, size_t *count_r)
{
        struct relay_batch batch = { 0 };
        int r;

        hang(relay);
        r = relay->store->take(relay, &batch);
        if (r == 0)
                r = relay_publish(relay, &batch);
        if (r == 0 && relay->config.mirrors)
                relay_mirror(relay, &batch);
        *count_r = batch.count;
        relay_batch_clear(&batch);
        cm_arena_reset(&relay->arena);
        return r;
}

static int tick(struct cm_relay *relay)
{
        int r;

        if (cm_monotonic_us() < relay->next_tick_us)
                return 0;
        relay->next_tick_us = cm_monotonic_us() + TICK_US;
        r = relay->store->still_leads(relay);
        if (r == 0)
                r = relay_keep(relay);
        cm_arena_reset(&relay->arena);
        return r;
}

static int follow_outbox(struct cm_relay *relay)
{
        int64_t wait_us = NAP_FIRST_US;
        size_t count = 0;
        int r = 0;

        while (r == 0 && !relay->is_stopping) {
                int64_t left;

                gather(relay, count);
                relay->has_news = relay->was_told = false;
                relay_limit(relay);
                r = publish_new(relay, &count);
                if (r == 0)
                        r = tick(relay);
                if (r || count) {
                        wait_us = NAP_FIRST_US;
                        continue;
                }
                left = relay->next_tick_us - cm_monotonic_us();
                if (left > relay->store->most_nap_us)
                        left = relay->store->most_nap_us;
                nap(relay, wait_us < left ? wait_us : left);
                wait_us = relay->has_news || relay->was_told ? NAP_FIRST_US
                          : wait_us < TICK_US                ? wait_us * 2
                                                             : TICK_US;
        }
        return r;
}

static int lead(struct cm_relay *relay)
{
        int r;

        relay_limit(relay);
        r = relay->store->lead(relay);
        if (r)
                return r;
        relay_groups_free(relay);
        relay->trimmed = 0;
        r = relay->store->groups(relay);
        if (r == 0)
                r = relay_compare(relay);
        cm_arena_reset(&relay->arena);
        if (r)
                return r;
        cm_log(CM_LOG_INFO, "relay leads", CM_F_TEXT("stream", relay->config.service),
               CM_F_INT("term", relay->term), CM_F_INT("position", relay->cursor.position));
        relay->is_leading = true;
        cm_gauge_set(&leading, 1);
        r = follow_outbox(relay);
        relay->is_leading = false;
        cm_gauge_set(&leading, 0);
        return r;
}

/* What this process has written is the leader's to send. */
static void stand_by(struct cm_relay *relay)
{
        int64_t until = cm_monotonic_us() + LEAD_RETRY_US;

        while (cm_monotonic_us() < until && !relay->is_stopping) {
                relay->was_told = false;
                if (relay->has_news) {
                        relay->has_news = false;
                        relay_limit(relay);
                        if (relay->store->tell(relay))
                                return;
                }
                nap(relay, until - cm_monotonic_us());
        }
}

static void rest(struct cm_relay *relay)
{
        int64_t until = cm_monotonic_us() + ERROR_RETRY_US;

        while (cm_monotonic_us() < until && !relay->is_stopping) {
                relay->has_news = relay->was_told = false;
                nap(relay, until - cm_monotonic_us());
        }
}

static void relay_fiber(void *arg)
{
        struct cm_relay *relay = arg;

        while (!relay->is_stopping) {
                int r = lead(relay);

                cm_arena_reset(&relay->arena);
                if (r == RELAY_NOT_LEADING)
                        stand_by(relay);
                else if (r < 0)
                        rest(relay);
        }
        relay_limit(relay);
        relay->store->resign(relay);
        cm_progress_idle(relay->config.progress);
        relay->has_ended = true;
        wake(relay);
}

/* ---- life */

static void relay_free(struct cm_relay **relay)
{
        struct cm_relay *it = *relay;

        it->store->close(it);
        relay_groups_free(it);
        cm_arena_deinit(&it->arena);
        cm_arena_deinit(&it->keys);
        cm_free(it);
        *relay = NULL;
}

int cm_relay_start(struct cm_loop *loop, const struct cm_relay_config *config,
                   struct cm_relay **relay_r)
{
        struct cm_relay *relay = CM_NEW(struct cm_relay);
        int r;

        relay->loop = loop;
        relay->config = *config;
        relay->config.keep_us = config->keep_us ? config->keep_us : KEEP_US;
        relay->config.window = config->window ? config->window : WINDOW;
        relay->config.silent_us = config->silent_us ? config->silent_us : SILENT_US;
        relay->config.progress = config->progress ? config->progress : &relay->own_progress;
        cm_list_init(&relay->groups);
        cm_cond_init(&relay->woken);
        cm_arena_init(&relay->keys, 512);
        cm_arena_init(&relay->arena, ARENA_BLOCK);
        relay->stream = key_events(&relay->keys, cm_str_from(config->service));
        relay->missing = key_missing(&relay->keys, cm_str_from(config->service));
        relay->published = cm_metric_labeled(
                &published, cm_arena_printf(&relay->keys, "stream=\"%s\"", config->service).data);
        relay->store = config->outbox ? config->outbox : &relay_outbox_table;
        r = relay->store->open(relay);
        if (r == 0)
                r = cm_fiber_start("relay", relay_fiber, relay, CM_NEVER);
        if (r)
                relay_free(&relay);
        *relay_r = relay;
        return r;
}

void cm_relay_stop(struct cm_relay **relay)
{
        struct cm_relay *it = *relay;

        if (!it)
                return;
        it->is_stopping = true;
        wake(it);
        while (!it->has_ended || atomic_load(&it->wake_posted))
                (void)!cm_fiber_sleep(CM_MILLISECOND);
        relay_free(relay);
}
