#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "sys/metrics.h"

static struct cm_metric requests = CM_COUNTER("toy_requests_total", "Requests");
static struct cm_metric depth = CM_GAUGE("toy_depth", "Depth");
static struct cm_metric latency = CM_HISTOGRAM("toy_seconds", "Latency");
static struct cm_metric untouched = CM_COUNTER("toy_untouched_total", "Never used");

static void assert_written(const char *want, bool there)
{
        struct cm_buf out = { 0 };
        bool found;

        cm_metrics_write(&out);
        found = strstr(out.data, want) != NULL;
        if (found != there)
                print_error("%s: %s\n%s", there ? "missing" : "unwanted", want, out.data);
        cm_buf_deinit(&out);
        assert_int_equal(found, there);
}

static void counters_and_gauges(void **state CM_UNUSED)
{
        cm_counter_add(&requests, 2);
        cm_counter_add(&requests, 3);
        cm_gauge_set(&depth, 7);
        cm_gauge_add(&depth, -9);
        assert_written("# HELP toy_requests_total Requests\n# TYPE toy_requests_total counter\n"
                       "toy_requests_total 5\n",
                       true);
        assert_written("# TYPE toy_depth gauge\ntoy_depth -2\n", true);
        assert_written("toy_untouched_total", false);
        cm_counter_add(&untouched, 0);
        assert_written("toy_untouched_total 0\n", true);
}

static void histograms_cumulate(void **state CM_UNUSED)
{
        static const int64_t seen_us[] = { 0, 50, 51, 100, 3000, 27000000 };

        for (size_t i = 0; i < CM_COUNT(seen_us); i++)
                cm_histogram_observe_us(&latency, seen_us[i]);
        assert_written("# TYPE toy_seconds histogram\n"
                       "toy_seconds_bucket{le=\"5e-05\"} 2\n"
                       "toy_seconds_bucket{le=\"0.0001\"} 4\n"
                       "toy_seconds_bucket{le=\"0.0002\"} 4\n",
                       true);
        assert_written("toy_seconds_bucket{le=\"0.0032\"} 5\n", true);
        assert_written("toy_seconds_bucket{le=\"26.2144\"} 5\n"
                       "toy_seconds_bucket{le=\"+Inf\"} 6\n"
                       "toy_seconds_sum 27.003201\ntoy_seconds_count 6\n",
                       true);
}

static void labels_make_series_of_one_family(void **state CM_UNUSED)
{
        static const struct cm_metric base = CM_COUNTER("toy_labeled_total", "Labeled");
        struct cm_metric *a = cm_metric_labeled(&base, "kind=\"a\"");
        struct cm_metric *b = cm_metric_labeled(&base, "kind=\"b\"");
        struct cm_buf out = { 0 };

        assert_ptr_not_equal(a, b);
        assert_ptr_equal(a, cm_metric_labeled(&base, "kind=\"a\""));
        cm_counter_add(a, 1);
        cm_counter_add(&untouched, 0); /* another family between the two */
        cm_metrics_write(&out);
        assert_non_null(strstr(out.data, "toy_labeled_total{kind=\"a\"} 1\n"));
        assert_non_null(strstr(out.data, "toy_labeled_total{kind=\"b\"} 0\n"));
        assert_null(strstr(strstr(out.data, "# TYPE toy_labeled_total") + 1,
                           "# TYPE toy_labeled_total"));
        cm_buf_deinit(&out);
}

static void *add_many(void *arg)
{
        for (int i = 0; i < 20000; i++)
                cm_counter_add(arg, 1);
        return NULL;
}

static void threads_lose_nothing(void **state CM_UNUSED)
{
        static struct cm_metric shared = CM_COUNTER("toy_shared_total", "Shared");
        pthread_t threads[4];

        for (size_t i = 0; i < CM_COUNT(threads); i++)
                assert_int_equal(pthread_create(&threads[i], NULL, add_many, &shared), 0);
        for (size_t i = 0; i < CM_COUNT(threads); i++)
                pthread_join(threads[i], NULL);
        assert_written("toy_shared_total 80000\n", true);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(counters_and_gauges),
                cmocka_unit_test(histograms_cumulate),
                cmocka_unit_test(labels_make_series_of_one_family),
                cmocka_unit_test(threads_lose_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
