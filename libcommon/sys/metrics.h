#pragma once
#include <stdint.h>

#include "base/str.h"

/*
 * Counters, gauges and histograms in the Prometheus text format. A metric is a static object that
 * registers itself on first use; adding to it is one relaxed atomic operation, from any thread.
 *
 *     static struct cm_metric bus_gaps = CM_COUNTER("salus_bus_gap_total", "Gaps seen in streams");
 *     cm_counter_add(&bus_gaps, 1);
 *
 * Labels are static text of the form `name="value"`; each label set is a metric object of its own
 * with the same name (cm_metric_labeled makes them at run time, from a bounded set only).
 */
enum cm_metric_kind { CM_METRIC_COUNTER, CM_METRIC_GAUGE, CM_METRIC_HISTOGRAM };

#define CM_HISTOGRAM_BUCKETS 20 /* 50 µs doubling, up to 26 s; then +Inf */

struct cm_metric {
        const char *name;
        const char *help;
        const char *labels; /* NULL for none */
        enum cm_metric_kind kind;
        int registered;
        struct cm_metric *next;
        int64_t value;                         /* counter, gauge; histogram: count */
        int64_t sum_us;                        /* histogram */
        int64_t buckets[CM_HISTOGRAM_BUCKETS]; /* histogram */
};

#define CM_COUNTER(n, h)                                                                           \
        {                                                                                          \
                .name = (n), .help = (h), .kind = CM_METRIC_COUNTER                                \
        }
#define CM_GAUGE(n, h)                                                                             \
        {                                                                                          \
                .name = (n), .help = (h), .kind = CM_METRIC_GAUGE                                  \
        }
#define CM_HISTOGRAM(n, h)                                                                         \
        {                                                                                          \
                .name = (n), .help = (h), .kind = CM_METRIC_HISTOGRAM                              \
        } /* seconds */

void cm_counter_add(struct cm_metric *metric, int64_t n);
void cm_gauge_set(struct cm_metric *metric, int64_t value);
void cm_gauge_add(struct cm_metric *metric, int64_t n);
void cm_histogram_observe_us(struct cm_metric *metric, int64_t duration_us);

/* The metric `base` with other labels; made once, then found again. Lives for ever. Any thread. */
struct cm_metric *cm_metric_labeled(const struct cm_metric *base, const char *labels);

/* The whole exposition, `# HELP` and `# TYPE` once a name. */
void cm_metrics_write(struct cm_buf *out);
