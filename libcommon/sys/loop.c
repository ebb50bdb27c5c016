#include "sys/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/loop_internal.h"

/*
 * A turn of the loop: libevent dispatches what is ready, then deferred calls run until there are
 * none left, then the each-turn calls. Deferred calls are how a fiber that was woken gets to run:
 * cheap, in order, and never inside the callback that woke it.
 */

struct call {
        cm_loop_fn *fn;
        void *arg;
};

/* A queue that is emptied whole; calls made meanwhile go to the next round. */
struct calls {
        struct call *items;
        size_t count;
        size_t cap;
};

struct cm_loop {
        struct event_base *base;
        struct calls deferred;
        struct calls running;
        struct calls each_turn;
        bool stopping;
        _Atomic int64_t heartbeat_us;
        void *fibers;

        int wake_fd;
        struct event *wake;
        pthread_mutex_t posted_lock;
        struct calls posted;
        struct event *tick;
};

static _Thread_local struct cm_loop *current;

static void calls_add(struct calls *calls, cm_loop_fn *fn, void *arg)
{
        if (calls->count == calls->cap) {
                calls->cap = calls->cap ? calls->cap * 2 : 32;
                calls->items = cm_realloc(calls->items, calls->cap * sizeof(struct call));
        }
        calls->items[calls->count++] = (struct call){ fn, arg };
}

/* Takes all calls out of `from` into `into`, which is empty, and runs them. */
static void calls_run(struct calls *from, struct calls *into)
{
        struct calls taken = *from;

        *from = *into;
        *into = taken;
        for (size_t i = 0; i < into->count; i++)
                into->items[i].fn(into->items[i].arg);
        into->count = 0;
}

static void on_wake(evutil_socket_t fd, short events CM_UNUSED, void *arg)
{
        struct cm_loop *loop = arg;
        struct calls taken;
        uint64_t count;

        while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
                ;
        pthread_mutex_lock(&loop->posted_lock);
        taken = loop->posted;
        loop->posted = (struct calls){ 0 };
        pthread_mutex_unlock(&loop->posted_lock);
        for (size_t i = 0; i < taken.count; i++)
                cm_loop_defer(loop, taken.items[i].fn, taken.items[i].arg);
        cm_free(taken.items);
}

static void on_tick(evutil_socket_t fd CM_UNUSED, short events CM_UNUSED, void *arg CM_UNUSED)
{
        /* Its only purpose is that an idle loop still turns, and so shows its heartbeat. */
}

int cm_loop_new(struct cm_loop **loop_r)
{
        struct cm_loop *loop = CM_NEW(struct cm_loop);
        const struct timeval second = { 1, 0 };
        struct event_config *config = event_config_new();

        pthread_mutex_init(&loop->posted_lock, NULL);
        loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        /* One thread owns the base; posts come through the eventfd, so it needs no lock. */
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
        loop->base = event_base_new_with_config(config);
        event_config_free(config);
        if (loop->wake_fd < 0 || !loop->base) {
                cm_loop_free(&loop);
                return -CM_E_IO;
        }
        loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
        loop->tick = event_new(loop->base, -1, EV_PERSIST, on_tick, loop);
        CM_ASSERT(loop->wake && loop->tick);
        event_add(loop->wake, NULL);
        event_add(loop->tick, &second);
        atomic_store(&loop->heartbeat_us, cm_monotonic_us());
        *loop_r = loop;
        return 0;
}

void cm_loop_free(struct cm_loop **loop)
{
        struct cm_loop *it = *loop;

        if (!it)
                return;
        CM_ASSERT(!it->fibers);
        if (it->wake)
                event_free(it->wake);
        if (it->tick)
                event_free(it->tick);
        if (it->base)
                event_base_free(it->base);
        if (it->wake_fd >= 0)
                close(it->wake_fd);
        pthread_mutex_destroy(&it->posted_lock);
        cm_free(it->deferred.items);
        cm_free(it->running.items);
        cm_free(it->each_turn.items);
        cm_free(it->posted.items);
        cm_free(it);
        *loop = NULL;
}

static void turn(struct cm_loop *loop)
{
        event_base_loop(loop->base, EVLOOP_ONCE | (loop->deferred.count ? EVLOOP_NONBLOCK : 0));
        atomic_store_explicit(&loop->heartbeat_us, cm_monotonic_us(), memory_order_relaxed);
        while (loop->deferred.count)
                calls_run(&loop->deferred, &loop->running);
        for (size_t i = 0; i < loop->each_turn.count; i++)
                loop->each_turn.items[i].fn(loop->each_turn.items[i].arg);
}

void cm_loop_run(struct cm_loop *loop)
{
        struct cm_loop *outer = current;

        current = loop;
        loop->stopping = false;
        while (!loop->stopping)
                turn(loop);
        current = outer;
}

void cm_loop_stop(struct cm_loop *loop)
{
        loop->stopping = true;
}

struct cm_loop *cm_loop_current(void)
{
        return current;
}

void cm_loop_defer(struct cm_loop *loop, cm_loop_fn *fn, void *arg)
{
        calls_add(&loop->deferred, fn, arg);
}

void cm_loop_each_turn(struct cm_loop *loop, cm_loop_fn *fn, void *arg)
{
        calls_add(&loop->each_turn, fn, arg);
}

void cm_loop_post(struct cm_loop *loop, cm_loop_fn *fn, void *arg)
{
        uint64_t one = 1;
        bool first;

        pthread_mutex_lock(&loop->posted_lock);
        first = loop->posted.count == 0;
        calls_add(&loop->posted, fn, arg);
        pthread_mutex_unlock(&loop->posted_lock);
        if (!first)
                return;
        while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
                ;
}

int64_t cm_loop_heartbeat_us(const struct cm_loop *loop)
{
        return atomic_load_explicit(&loop->heartbeat_us, memory_order_relaxed);
}

struct event_base *cm_loop_event_base(struct cm_loop *loop)
{
        return loop->base;
}

void **cm_loop_fibers(struct cm_loop *loop)
{
        return &loop->fibers;
}

struct cm_timer {
        struct event *event;
        cm_loop_fn *fn;
        void *arg;
};

static void on_timer(evutil_socket_t fd CM_UNUSED, short events CM_UNUSED, void *arg)
{
        struct cm_timer *timer = arg;

        timer->fn(timer->arg);
}

struct cm_timer *cm_timer_new(struct cm_loop *loop, cm_loop_fn *fn, void *arg)
{
        struct cm_timer *timer = CM_NEW(struct cm_timer);

        timer->fn = fn;
        timer->arg = arg;
        timer->event = event_new(loop->base, -1, 0, on_timer, timer);
        CM_ASSERT(timer->event);
        return timer;
}

void cm_timer_free(struct cm_timer **timer)
{
        if (!*timer)
                return;
        event_free((*timer)->event);
        cm_free(*timer);
        *timer = NULL;
}

void cm_timer_start(struct cm_timer *timer, int64_t delay_us)
{
        struct timeval delay = { 0 };

        if (delay_us > 0) {
                delay.tv_sec = delay_us / CM_SECOND;
                delay.tv_usec = delay_us % CM_SECOND;
        }
        event_add(timer->event, &delay);
}

void cm_timer_stop(struct cm_timer *timer)
{
        event_del(timer->event);
}

struct cm_watch {
        struct event *event;
        struct event_base *base;
        int fd;
        int events;
        cm_watch_fn *fn;
        void *arg;
};

static void on_watch(evutil_socket_t fd CM_UNUSED, short events, void *arg)
{
        struct cm_watch *watch = arg;

        watch->fn(watch->arg,
                  (events & EV_READ ? CM_READABLE : 0) | (events & EV_WRITE ? CM_WRITABLE : 0));
}

struct cm_watch *cm_watch_new(struct cm_loop *loop, int fd, cm_watch_fn *fn, void *arg)
{
        struct cm_watch *watch = CM_NEW(struct cm_watch);

        *watch = (struct cm_watch){ .base = loop->base, .fd = fd, .fn = fn, .arg = arg };
        watch->event = event_new(loop->base, fd, EV_PERSIST, on_watch, watch);
        CM_ASSERT(watch->event);
        return watch;
}

void cm_watch_free(struct cm_watch **watch)
{
        if (!*watch)
                return;
        event_free((*watch)->event);
        cm_free(*watch);
        *watch = NULL;
}

void cm_watch_set(struct cm_watch *watch, int events)
{
        short mask = EV_PERSIST;

        if (events == watch->events)
                return;
        if (watch->events)
                event_del(watch->event);
        watch->events = events;
        if (!events)
                return;
        mask |= (events & CM_READABLE ? EV_READ : 0) | (events & CM_WRITABLE ? EV_WRITE : 0);
        event_assign(watch->event, watch->base, watch->fd, mask, on_watch, watch);
        event_add(watch->event, NULL);
}
