#include "next_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "recurrence.h"
#include "sys/zones.h"

enum { MAX_COUNT = 100000 };

static void say_error(const char *reason)
{
        (void)fprintf(stdout, "error: %s\n", reason);
}

static void list_runs(const struct recurrence *recurrence, const struct recurrence_place *place,
                      int64_t count)
{
        cm_time at = place->anchor;

        for (int64_t i = 0; i < count; i++) {
                char text[CM_TIME_TEXT_SIZE];
                struct cron_firing firing;

                if (!recurrence_next(recurrence, place, at, &firing))
                        break;
                at = firing.at;
                (void)fprintf(stdout, "%s%s", i > 0 ? " " : "", cm_time_format(at, text));
        }
        (void)fputc('\n', stdout);
}

static void answer(struct cm_zones *zones, struct cm_str row)
{
        struct cm_str expression, zone, start, count_text;
        struct recurrence_place place = { 0 };
        struct recurrence recurrence;
        struct cron_fault fault;
        int64_t count;

        if (!cm_str_split(&row, '\t', &expression) || !cm_str_split(&row, '\t', &zone) ||
            !cm_str_split(&row, '\t', &start) || !cm_str_split(&row, '\t', &count_text) || row.data)
                return say_error("a row has four columns: expression, zone, start, count");
        if (recurrence_parse(expression, 0, &recurrence, &fault)) {
                char text[CRON_FAULT_TEXT_SIZE];

                return say_error(cron_fault_format(&fault, text));
        }
        place.zone = cm_zones_get(zones, zone);
        if (!place.zone)
                return say_error("there is no such time zone");
        if (!cm_time_parse(start, &place.anchor, NULL))
                return say_error("the start is no RFC 3339 time");
        if (!cm_str_to_int(count_text, &count) || count < 1 || count > MAX_COUNT)
                return say_error("the count must be from 1 to 100000");
        list_runs(&recurrence, &place, count);
}

int next_command(const char *argument)
{
        struct cm_zones *zones = cm_zones_new(argument);
        char *line = NULL;
        size_t cap = 0;
        ssize_t len;

        while ((len = getline(&line, &cap, stdin)) > 0) {
                if (line[len - 1] == '\n')
                        len--;
                if (len > 0 && line[len - 1] == '\r')
                        len--;
                answer(zones, (struct cm_str){ line, (size_t)len });
        }
        free(line);
        cm_zones_free(&zones);
        return fflush(stdout) == 0 && !ferror(stdin) ? 0 : 1;
}
