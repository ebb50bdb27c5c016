#include "sys/zones.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"

enum { MAX_NAME = 64, MAX_FILE = 65536, MAX_OFFSET_HOURS = 18 };

struct cm_zones {
        char *folder;
        struct cm_map *by_name;
};

struct entry {
        struct cm_zone *zone;
        int64_t hash;
};

struct cm_zones *cm_zones_new(const char *folder)
{
        struct cm_zones *zones = CM_NEW(struct cm_zones);

        zones->folder = cm_strdup(folder ?: "/usr/share/zoneinfo");
        zones->by_name = cm_map_new();
        return zones;
}

static void free_entry(void *value)
{
        struct entry *entry = value;

        cm_zone_free(&entry->zone);
        cm_free(entry);
}

void cm_zones_free(struct cm_zones **zones)
{
        if (!*zones)
                return;
        cm_map_free(&(*zones)->by_name, free_entry);
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

/* FNV-1a: nobody chooses these bytes against us. */
static int64_t hash_of(const char *bytes, size_t len)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < len; i++)
                hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
        return (int64_t)hash;
}

static bool read_zone(int fd, struct entry *entry_r)
{
        char *bytes = cm_alloc(MAX_FILE);
        ssize_t got = read(fd, bytes, MAX_FILE);
        bool good = got > 0 &&
                    cm_zone_parse((struct cm_str){ bytes, (size_t)got }, &entry_r->zone) == 0;

        if (good)
                entry_r->hash = hash_of(bytes, (size_t)got);
        cm_free(bytes);
        return good;
}

static bool load(const char *folder, struct cm_str name, struct entry *entry_r)
{
        char path[4096];
        struct stat about;
        bool good;
        int fd;

        if ((size_t)snprintf(path, sizeof(path), "%s/%.*s", folder, CM_STR_ARG(name)) >=
            sizeof(path))
                return false;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        good = fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= MAX_FILE &&
               read_zone(fd, entry_r);
        close(fd);
        return good;
}

const struct cm_zone *cm_zones_get_hashed(struct cm_zones *zones, struct cm_str name,
                                          int64_t *hash_r)
{
        struct entry *entry = name.len ? cm_map_get(zones->by_name, name) : NULL;
        struct entry found = { 0 };
        int32_t offset_s;

        if (!entry) {
                if (parse_offset(name, &offset_s))
                        found.zone = cm_zone_fixed(offset_s);
                else if (!is_plain_name(name) || !load(zones->folder, name, &found))
                        return NULL;
                entry = CM_NEW(struct entry);
                *entry = found;
                cm_map_put(zones->by_name, name, entry);
        }
        *hash_r = entry->hash;
        return entry->zone;
}

const struct cm_zone *cm_zones_get(struct cm_zones *zones, struct cm_str name)
{
        int64_t hash;

        return cm_zones_get_hashed(zones, name, &hash);
}

size_t cm_zones_reload(struct cm_zones *zones)
{
        size_t position = 0, changed = 0;
        struct cm_str name;
        void *value;

        while (cm_map_next(zones->by_name, &position, &name, &value)) {
                struct entry *entry = value, found = { 0 };

                if (!entry->hash || !load(zones->folder, name, &found))
                        continue;
                changed += found.hash != entry->hash;
                cm_zone_free(&entry->zone);
                *entry = found;
        }
        return changed;
}

const char *cm_zones_version(const struct cm_zones *zones, char out[CM_ZONES_VERSION_SIZE])
{
        char path[4096], line[64] = "";
        FILE *file;

        (void)snprintf(out, CM_ZONES_VERSION_SIZE, "unknown");
        if ((size_t)snprintf(path, sizeof(path), "%s/tzdata.zi", zones->folder) >= sizeof(path))
                return out;
        file = fopen(path, "re");
        if (!file)
                return out;
        if (fgets(line, sizeof(line), file) && strncmp(line, "# version ", 10) == 0) {
                line[strcspn(line, "\n")] = '\0';
                (void)snprintf(out, CM_ZONES_VERSION_SIZE, "%.15s", line + 10);
        }
        (void)fclose(file);
        return out;
}
