#include "base/error.h"
#include "bus/consumer_internal.h"

/*
 * Streams whose facts have a delay: what they have is read at once and held until its youngest fact
 * is old enough, so that all that came in between costs one look and one write. Meanwhile the other
 * streams go on. What is held is kept alive; when the process dies it is another replica's after
 * the lease.
 */

static int64_t delay_of(const struct cm_consumer *consumer)
{
        int64_t delay_us = 0;

        for (size_t i = 0; i < consumer->stream_count; i++)
                if (consumer->streams[i].delay_us > delay_us)
                        delay_us = consumer->streams[i].delay_us;
        return delay_us;
}

int64_t consumer_held_wait_us(const struct cm_consumer *consumer)
{
        int64_t left_us = consumer->held.due_us - cm_monotonic_us();

        if (!delay_of(consumer))
                return CM_NEVER;
        return left_us > 1 ? left_us : 1;
}

/* How long until the youngest is old enough. A clock that is ahead makes nobody wait longer. */
static int64_t left_us(const struct cm_consumer *consumer)
{
        const struct consumer_held *held = &consumer->held;
        int64_t delay_us = delay_of(consumer), most_us = held->count ? 0 : delay_us;
        cm_time now = cm_now(&cm_clock_system);

        for (size_t i = 0; i < held->count; i++) {
                int64_t left_us = held->entries[i].event.time + delay_us - now;

                if (left_us > most_us)
                        most_us = left_us;
        }
        return most_us < delay_us ? most_us : delay_us;
}

static int read_some(struct cm_consumer *consumer)
{
        struct consumer_held *held = &consumer->held;
        int r;

        cm_arena_reset(&held->arena);
        consumer->reading = &held->arena;
        r = consumer_read(consumer, true, 0, &held->entries, &held->count);
        consumer->reading = &consumer->arena;
        held->due_us = cm_monotonic_us() + left_us(consumer);
        return r;
}

int consumer_held_work(struct cm_consumer *consumer)
{
        struct consumer_held *held = &consumer->held;
        int r = 0;

        if (!delay_of(consumer) || cm_monotonic_us() < held->due_us)
                return 0;
        if (held->count)
                r = consumer_work_out(consumer, held->entries, held->count);
        held->count = 0;
        return r ? r : read_some(consumer);
}

void consumer_held_end(struct cm_consumer *consumer)
{
        struct consumer_held *held = &consumer->held;

        if (held->count)
                (void)!consumer_work(consumer, held->entries, held->count);
        held->count = 0;
}
