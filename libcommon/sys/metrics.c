#include "sys/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/*
 * All metrics stand in one list that only grows, newest first. Adding to one touches nothing but
 * its own words, with relaxed atomics: readers want the numbers, not an order between them.
 */
#define FIRST_BUCKET_US 50

static struct cm_metric *all;
static pthread_mutex_t labeled_lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t load(const int64_t *word)
{
        return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void add(int64_t *word, int64_t n)
{
        (void)__atomic_fetch_add(word, n, __ATOMIC_RELAXED);
}

static void metric_register(struct cm_metric *metric)
{
        if (__atomic_load_n(&metric->registered, __ATOMIC_RELAXED))
                return;
        if (__atomic_exchange_n(&metric->registered, 1, __ATOMIC_ACQ_REL))
                return;
        metric->next = __atomic_load_n(&all, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&all, &metric->next, metric, true, __ATOMIC_RELEASE,
                                            __ATOMIC_RELAXED))
                ;
}

void cm_counter_add(struct cm_metric *metric, int64_t n)
{
        metric_register(metric);
        add(&metric->value, n);
}

void cm_gauge_set(struct cm_metric *metric, int64_t value)
{
        metric_register(metric);
        __atomic_store_n(&metric->value, value, __ATOMIC_RELAXED);
}

void cm_gauge_add(struct cm_metric *metric, int64_t n)
{
        metric_register(metric);
        add(&metric->value, n);
}

void cm_histogram_observe_us(struct cm_metric *metric, int64_t duration_us)
{
        int64_t bound = FIRST_BUCKET_US;
        int i = 0;

        metric_register(metric);
        while (i < CM_HISTOGRAM_BUCKETS && duration_us > bound) {
                bound *= 2;
                i++;
        }
        if (i < CM_HISTOGRAM_BUCKETS)
                add(&metric->buckets[i], 1);
        add(&metric->sum_us, duration_us);
        add(&metric->value, 1);
}

static struct cm_metric *first(void)
{
        return __atomic_load_n(&all, __ATOMIC_ACQUIRE);
}

static struct cm_metric *find(const char *name, const char *labels)
{
        for (struct cm_metric *m = first(); m; m = m->next)
                if (m->labels && strcmp(m->name, name) == 0 && strcmp(m->labels, labels) == 0)
                        return m;
        return NULL;
}

struct cm_metric *cm_metric_labeled(const struct cm_metric *base, const char *labels)
{
        struct cm_metric *metric;

        pthread_mutex_lock(&labeled_lock);
        metric = find(base->name, labels);
        if (!metric) {
                metric = CM_NEW(struct cm_metric);
                metric->name = base->name;
                metric->help = base->help;
                metric->kind = base->kind;
                metric->labels = cm_strdup(labels);
                metric_register(metric);
        }
        pthread_mutex_unlock(&labeled_lock);
        return metric;
}

static void write_value(struct cm_buf *out, const struct cm_metric *metric, int64_t value)
{
        if (metric->labels)
                cm_buf_printf(out, "%s{%s} %lld\n", metric->name, metric->labels, (long long)value);
        else
                cm_buf_printf(out, "%s %lld\n", metric->name, (long long)value);
}

static void write_bucket(struct cm_buf *out, const struct cm_metric *metric, const char *bound,
                         int64_t count)
{
        cm_buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %lld\n", metric->name,
                      metric->labels ? metric->labels : "", metric->labels ? "," : "", bound,
                      (long long)count);
}

static void write_histogram(struct cm_buf *out, const struct cm_metric *metric)
{
        const char *open = metric->labels ? "{" : "", *close = metric->labels ? "}" : "";
        const char *labels = metric->labels ? metric->labels : "";
        int64_t bound = FIRST_BUCKET_US, below = 0, count;

        for (int i = 0; i < CM_HISTOGRAM_BUCKETS; i++, bound *= 2) {
                char text[32];

                below += load(&metric->buckets[i]);
                (void)snprintf(text, sizeof(text), "%.9g", (double)bound / 1e6);
                write_bucket(out, metric, text, below);
        }
        count = load(&metric->value);
        if (count < below) /* an observation is between its bucket and its count */
                count = below;
        write_bucket(out, metric, "+Inf", count);
        cm_buf_printf(out, "%s_sum%s%s%s %.6f\n", metric->name, open, labels, close,
                      (double)load(&metric->sum_us) / 1e6);
        cm_buf_printf(out, "%s_count%s%s%s %lld\n", metric->name, open, labels, close,
                      (long long)count);
}

static void write_family(struct cm_buf *out, const struct cm_metric *head)
{
        static const char *const types[] = { "counter", "gauge", "histogram" };

        cm_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", head->name, head->help, head->name,
                      types[head->kind]);
        for (const struct cm_metric *m = head; m; m = m->next) {
                if (strcmp(m->name, head->name) != 0)
                        continue;
                if (m->kind == CM_METRIC_HISTOGRAM)
                        write_histogram(out, m);
                else
                        write_value(out, m, load(&m->value));
        }
}

static bool is_first_of_name(const struct cm_metric *list, const struct cm_metric *metric)
{
        for (; list != metric; list = list->next)
                if (strcmp(list->name, metric->name) == 0)
                        return false;
        return true;
}

void cm_metrics_write(struct cm_buf *out)
{
        const struct cm_metric *list = first();

        for (const struct cm_metric *m = list; m; m = m->next)
                if (is_first_of_name(list, m))
                        write_family(out, m);
}
