#include "sys/zones.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"

enum { MAX_NAME = 64, MAX_FILE = 65536, MAX_OFFSET_HOURS = 18 };

struct cm_zones {
        char *folder;
        struct cm_map *by_name;
};

struct cm_zones *cm_zones_new(const char *folder)
{
        struct cm_zones *zones = CM_NEW(struct cm_zones);

        zones->folder = cm_strdup(folder ?: "/usr/share/zoneinfo");
        zones->by_name = cm_map_new();
        return zones;
}

static void free_zone(void *value)
{
        struct cm_zone *zone = value;

        cm_zone_free(&zone);
}

void cm_zones_free(struct cm_zones **zones)
{
        if (!*zones)
                return;
        cm_map_free(&(*zones)->by_name, free_zone);
        cm_free((*zones)->folder);
        cm_free(*zones);
        *zones = NULL;
}

/* "+hh:mm"; two digits each, as RFC 3339 has it. */
static bool parse_offset(struct cm_str name, int32_t *seconds_r)
{
        const char *p = name.data;
        int hours, minutes;

        if (name.len != 6 || (p[0] != '+' && p[0] != '-') || p[3] != ':')
                return false;
        for (int i = 1; i < 6; i++)
                if (i != 3 && (p[i] < '0' || p[i] > '9'))
                        return false;
        hours = (p[1] - '0') * 10 + (p[2] - '0');
        minutes = (p[4] - '0') * 10 + (p[5] - '0');
        if (minutes > 59 || hours * 60 + minutes > MAX_OFFSET_HOURS * 60)
                return false;
        *seconds_r = (hours * 60 + minutes) * (p[0] == '-' ? -60 : 60);
        return true;
}

static bool is_name_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '+';
}

/* Parts of letters, digits, '_', '-', '+' between single slashes: nothing that leaves the folder.
 * "posix/" and "right/" are copies of the whole tree; the latter counts leap seconds. */
static bool is_plain_name(struct cm_str name)
{
        if (name.len == 0 || name.len > MAX_NAME || name.data[name.len - 1] == '/')
                return false;
        for (size_t i = 0; i < name.len; i++)
                if (!is_name_char(name.data[i]) &&
                    (name.data[i] != '/' || i == 0 || name.data[i - 1] == '/'))
                        return false;
        return !cm_str_starts(name, CM_STR("posix/")) && !cm_str_starts(name, CM_STR("right/"));
}

static struct cm_zone *load(const char *folder, struct cm_str name)
{
        char path[4096];
        struct cm_zone *zone = NULL;
        struct stat about;
        char *bytes;
        ssize_t got;
        int fd;

        if ((size_t)snprintf(path, sizeof(path), "%s/%.*s", folder, CM_STR_ARG(name)) >=
            sizeof(path))
                return NULL;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return NULL;
        if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= MAX_FILE) {
                bytes = cm_alloc(MAX_FILE);
                got = read(fd, bytes, MAX_FILE);
                if (got > 0 && cm_zone_parse((struct cm_str){ bytes, (size_t)got }, &zone) < 0)
                        zone = NULL;
                cm_free(bytes);
        }
        close(fd);
        return zone;
}

const struct cm_zone *cm_zones_get(struct cm_zones *zones, struct cm_str name)
{
        struct cm_zone *zone = cm_map_get(zones->by_name, name);
        int32_t offset_s;

        if (zone || name.len == 0)
                return zone;
        if (parse_offset(name, &offset_s))
                zone = cm_zone_fixed(offset_s);
        else if (is_plain_name(name))
                zone = load(zones->folder, name);
        if (zone)
                cm_map_put(zones->by_name, name, zone);
        return zone;
}
