#pragma once
#include "base/attr.h"
#include "store/redis.h"

/*
 * Live signals: hints for whoever listens now, by Redis pub/sub on s1:signal:<name>. They can be
 * lost, so a signal says "look again" and never carries what nobody could find out otherwise. Each
 * has the next number of its name, by which a listener notices what it missed; the subscriber's
 * connection pings, so one that is dead is not taken for silence (store/redis.h).
 */
struct cm_signals;

struct cm_signals_config {
        struct cm_redis *redis;      /* commands: for sending */
        struct cm_redis *subscriber; /* subscriptions: for listening; outlives the object */
};

struct cm_signals *cm_signals_new(const struct cm_signals_config *config);
void cm_signals_free(struct cm_signals **signals);

/* Says it to all who listen now, this worker too. `name` as in proto/keys.yaml without the prefix,
 * `words` without line feeds. Suspends. */
int cm_signal_send(struct cm_signals *signals, struct cm_str name,
                   struct cm_str words) CM_MUST_CHECK;

/* What a listener gets: the words; or absent words when some may have been missed (after each
 * connection, and when a number was left out): then it loads its state anew. Must not suspend. */
typedef void cm_signal_fn(void *arg, struct cm_str words);
int cm_signals_listen(struct cm_signals *signals, struct cm_str name, cm_signal_fn *fn,
                      void *arg) CM_MUST_CHECK;
