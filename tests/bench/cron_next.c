/* cron_next ZONE SECONDS < expressions: for each, how many next() a second of the processor,
 * walking from 2025 on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cron.h"
#include "sys/zones.h"

#define START (INT64_C(1735689600) * CM_SECOND) /* 2025-01-01 */
#define TURN  (12 * 365 * CM_DAY)

/* Of this process: others may have the processor too. */
static int64_t cpu_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return now.tv_sec * CM_SECOND + now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
        struct cm_zones *zones = cm_zones_new(NULL);
        const struct cm_zone *zone = cm_zones_get(zones, cm_str_from(argc > 1 ? argv[1] : "UTC"));
        int64_t span_us = argc > 2 ? (int64_t)(atof(argv[2]) * CM_SECOND) : CM_SECOND;
        char line[300];

        while (zone && fgets(line, sizeof(line), stdin)) {
                struct cron_firing firing = { .at = START };
                struct cron_fault fault;
                struct cron cron;
                int64_t begin, count = 0;

                line[strcspn(line, "\n")] = '\0';
                if (cron_parse(cm_str_from(line), 0, &cron, &fault))
                        return 1;
                begin = cpu_us();
                while (cpu_us() - begin < span_us)
                        for (int i = 0; i < 1000; i++, count++)
                                if (!cron_next(&cron, zone, (struct cron_policy){ 0 }, firing.at,
                                               &firing) ||
                                    firing.at > START + TURN)
                                        firing.at = START;
                printf("%s\t%.0f\n", line, (double)count * CM_SECOND / (double)(cpu_us() - begin));
        }
        cm_zones_free(&zones);
        return zone ? 0 : 1;
}
