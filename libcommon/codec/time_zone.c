#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "base/map.h"
#include "codec/text.h"

/*
 * The names of the machine's tz database, from its own list (tzdata.zi: "Z name …" starts a zone,
 * "L target name" is a link), read once. Names of files would also allow "posixrules" or
 * "tzdata.zi".
 */
#define TZDATA "/usr/share/zoneinfo/tzdata.zi"

static struct cm_map *names;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add_name(struct cm_str line)
{
        struct cm_str kind, name;

        if (!cm_str_split(&line, ' ', &kind) || !cm_str_split(&line, ' ', &name))
                return;
        if (cm_str_equal(kind, CM_STR("L")) && !cm_str_split(&line, ' ', &name))
                return;
        if (cm_str_equal(kind, CM_STR("Z")) || cm_str_equal(kind, CM_STR("L")))
                cm_map_put(names, name, &names);
}

static void read_names(void)
{
        FILE *file = fopen(TZDATA, "re");
        char *line = NULL;
        size_t cap = 0;
        ssize_t len;

        names = cm_map_new();
        while (file && (len = getline(&line, &cap, file)) > 0)
                add_name(cm_str_trim((struct cm_str){ line, (size_t)len }));
        free(line);
        if (file)
                fclose(file);
        cm_map_put(names, CM_STR("UTC"), &names);
}

bool cm_time_zone_is_known(struct cm_str name)
{
        pthread_once(&once, read_names);
        return cm_map_get(names, name) != NULL;
}
