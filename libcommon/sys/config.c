#include "sys/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

/*
 * Everything is checked before anything is said: a person who deploys wants all the mistakes at
 * once, not one a start. Values never appear in a fault, because the mistake may stand in a secret.
 */
#define FILE_MAX   (64 * 1024)
#define OUR_PREFIX "SALUS_"

extern char **environ;

struct unit {
        const char *suffix;
        int64_t factor;
};

/* Largest first, so that printing finds the shortest form. */
static const struct unit duration_units[] = {
        { "d", INT64_C(86400000000) },
        { "h", INT64_C(3600000000) },
        { "m", 60000000 },
        { "s", 1000000 },
        { "ms", 1000 },
};
static const struct unit size_units[] = {
        { "GiB", INT64_C(1) << 30 },
        { "MiB", 1 << 20 },
        { "KiB", 1 << 10 },
        { "", 1 },
};

static bool is_text(enum cm_setting_type type)
{
        return type == CM_SETTING_TEXT || type == CM_SETTING_SECRET || type == CM_SETTING_URL;
}

static bool parse_units(const char *text, const struct unit *units, size_t count, int64_t *value_r)
{
        size_t digits = strspn(text, "0123456789");
        int64_t number;

        if (!cm_str_to_int((struct cm_str){ text, digits }, &number))
                return false;
        for (size_t i = 0; i < count; i++)
                if (strcmp(text + digits, units[i].suffix) == 0)
                        return !__builtin_mul_overflow(number, units[i].factor, value_r);
        return false;
}

/* What a value amounts to: the number, or the length of a text. */
static bool parse_number(enum cm_setting_type type, const char *text, int64_t *value_r)
{
        switch (type) {
        case CM_SETTING_DURATION:
                return parse_units(text, duration_units, CM_COUNT(duration_units), value_r);
        case CM_SETTING_SIZE:
                return parse_units(text, size_units, CM_COUNT(size_units), value_r);
        case CM_SETTING_BOOL:
                *value_r = strcmp(text, "true") == 0;
                return *value_r || strcmp(text, "false") == 0;
        case CM_SETTING_INT:
                return cm_str_to_int(cm_str_from(text), value_r);
        case CM_SETTING_TEXT:
        case CM_SETTING_SECRET:
        case CM_SETTING_URL:
                *value_r = (int64_t)strlen(text);
                return true;
        }
        return false;
}

static const char *type_words(enum cm_setting_type type)
{
        switch (type) {
        case CM_SETTING_DURATION:
                return "must be a duration such as 500ms, 10s, 5m, 24h or 7d";
        case CM_SETTING_SIZE:
                return "must be a size such as 512, 64KiB, 1MiB or 4GiB";
        case CM_SETTING_BOOL:
                return "must be true or false";
        default:
                return "must be a whole number";
        }
}

/* Bounds are in the notation of the setting itself; those of texts are lengths in bytes. */
static bool bound(const struct cm_setting *setting, const char *text, int64_t *value_r)
{
        if (!text)
                return false;
        return parse_number(is_text(setting->type) ? CM_SETTING_INT : setting->type, text, value_r);
}

static bool check_bounds(const struct cm_setting *setting, int64_t value, struct cm_buf *faults)
{
        const char *what = is_text(setting->type) ? "must have a length of" : "must be";
        int64_t limit;

        if (bound(setting, setting->min, &limit) && value < limit) {
                cm_buf_printf(faults, "%s: %s at least %s\n", setting->key, what, setting->min);
                return false;
        }
        if (bound(setting, setting->max, &limit) && value > limit) {
                cm_buf_printf(faults, "%s: %s at most %s\n", setting->key, what, setting->max);
                return false;
        }
        return true;
}

static void store(const struct cm_setting *setting, void *settings, const char *text, int64_t value)
{
        char *place = (char *)settings + setting->offset;

        if (is_text(setting->type))
                *(char **)(void *)place = cm_strdup(text);
        else if (setting->type == CM_SETTING_BOOL)
                *(bool *)place = value != 0;
        else
                *(int64_t *)(void *)place = value;
}

static void set(const struct cm_setting *setting, void *settings, const char *text,
                struct cm_buf *faults)
{
        int64_t value;

        if (!parse_number(setting->type, text, &value)) {
                cm_buf_printf(faults, "%s: %s\n", setting->key, type_words(setting->type));
                return;
        }
        if (check_bounds(setting, value, faults))
                store(setting, settings, text, value);
}

/* Reads a whole small file; false after it has said why not. */
static bool read_file(const char *key, const char *path, struct cm_buf *out, struct cm_buf *faults)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = -1;

        if (fd < 0) {
                cm_buf_printf(faults, "%s_FILE: %s: %s\n", key, path, strerror(errno));
                return false;
        }
        do {
                cm_buf_reserve(out, 4096);
                n = read(fd, out->data + out->len, 4096);
                if (n > 0)
                        out->len += (size_t)n;
        } while (n > 0 && out->len <= FILE_MAX);
        if (n < 0)
                cm_buf_printf(faults, "%s_FILE: %s: %s\n", key, path, strerror(errno));
        else if (n > 0)
                cm_buf_printf(faults, "%s_FILE: %s: more than 64 KiB\n", key, path);
        else if (out->len && memchr(out->data, '\0', out->len))
                cm_buf_printf(faults, "%s_FILE: %s: holds a NUL byte\n", key, path);
        close(fd);
        return n == 0 && !(out->len && memchr(out->data, '\0', out->len));
}

static void cut_newline(struct cm_buf *text)
{
        cm_buf_add_char(text, '\0'); /* so that even an empty file is a C string */
        text->len--;
        if (text->len && text->data[text->len - 1] == '\n')
                text->data[--text->len] = '\0';
        if (text->len && text->data[text->len - 1] == '\r')
                text->data[--text->len] = '\0';
}

static void load_file(const struct cm_setting *setting, void *settings, const char *path,
                      struct cm_buf *faults)
{
        struct cm_buf text = { 0 };

        if (read_file(setting->key, path, &text, faults)) {
                cut_newline(&text);
                set(setting, settings, text.data, faults);
        }
        if (text.data)
                cm_wipe(text.data, text.cap);
        cm_buf_deinit(&text);
}

static const char *lookup(const char *key, const char *suffix)
{
        char name[128];
        const char *value;

        (void)snprintf(name, sizeof(name), "%s%s", key, suffix);
        value = getenv(name);
        return value && *value ? value : NULL;
}

static void load_one(const struct cm_setting *setting, void *settings, struct cm_buf *faults)
{
        const char *value = lookup(setting->key, "");
        const char *path = lookup(setting->key, "_FILE");

        if (value && path)
                cm_buf_printf(faults, "%s: set both as %s and as %s_FILE\n", setting->key,
                              setting->key, setting->key);
        else if (value)
                set(setting, settings, value, faults);
        else if (path)
                load_file(setting, settings, path, faults);
        else if (!setting->initial)
                cm_buf_printf(faults, "%s: is required: %s\n", setting->key, setting->help);
        else if (*setting->initial)
                set(setting, settings, setting->initial, faults);
}

static bool is_known(const struct cm_setting *const *tables, const char *name, size_t len)
{
        for (; *tables; tables++)
                for (const struct cm_setting *s = *tables; s->key; s++) {
                        size_t key_len = strlen(s->key);

                        if (key_len <= len && strncmp(s->key, name, key_len) == 0 &&
                            (key_len == len ||
                             (key_len + 5 == len && strncmp(name + key_len, "_FILE", 5) == 0)))
                                return true;
                }
        return false;
}

static void check_unknown(const struct cm_setting *const *tables, struct cm_buf *faults)
{
        for (char **entry = environ; entry && *entry; entry++) {
                size_t len = strcspn(*entry, "=");

                if (strncmp(*entry, OUR_PREFIX, strlen(OUR_PREFIX)) == 0 &&
                    !is_known(tables, *entry, len))
                        cm_buf_printf(faults, "%.*s: is not a setting of this daemon\n", (int)len,
                                      *entry);
        }
}

int cm_config_load(const struct cm_setting *const *tables, void *settings, struct cm_buf *faults)
{
        size_t before = faults->len;

        for (const struct cm_setting *const *table = tables; *table; table++)
                for (const struct cm_setting *s = *table; s->key; s++)
                        load_one(s, settings, faults);
        check_unknown(tables, faults);
        return faults->len == before ? 0 : -CM_E_CONFIG;
}

void cm_config_free(const struct cm_setting *const *tables, void *settings)
{
        for (; *tables; tables++)
                for (const struct cm_setting *s = *tables; s->key; s++) {
                        char **text = (char **)(void *)((char *)settings + s->offset);

                        if (!is_text(s->type) || !*text)
                                continue;
                        cm_wipe(*text, strlen(*text));
                        cm_free(*text);
                        *text = NULL;
                }
}

static void print_units(struct cm_buf *out, int64_t value, const struct unit *units, size_t count)
{
        size_t i = 0;

        while (i + 1 < count && (value == 0 || value % units[i].factor != 0))
                i++;
        cm_buf_printf(out, "%lld%s", (long long)(value / units[i].factor), units[i].suffix);
}

/* scheme://user:password@host and password=… (a libpq key, or a parameter of the query). */
static void print_url(struct cm_buf *out, const char *url)
{
        const char *authority = strstr(url, "://");
        const char *at = authority ? strrchr(authority, '@') : NULL;
        const char *colon = at ? memchr(authority + 3, ':', (size_t)(at - authority - 3)) : NULL;
        const char *word;

        if (colon) {
                cm_buf_printf(out, "%.*s:***", (int)(colon - url), url);
                url = at;
        }
        while ((word = strstr(url, "password=")) != NULL) {
                word += strlen("password=");
                cm_buf_printf(out, "%.*s***", (int)(word - url), url);
                if (*word == '\'')
                        word += 1 + strcspn(word + 1, "'");
                url = word + strcspn(word, " &");
        }
        cm_buf_add_str(out, cm_str_from(url));
}

static void print_value(const struct cm_setting *setting, const void *settings, struct cm_buf *out)
{
        const void *place = (const char *)settings + setting->offset;
        const char *text = is_text(setting->type) ? *(char *const *)place : NULL;

        switch (setting->type) {
        case CM_SETTING_TEXT:
                cm_buf_add_str(out, cm_str_from(text));
                break;
        case CM_SETTING_SECRET:
                cm_buf_add_str(out, text ? CM_STR("***") : CM_STR_NONE);
                break;
        case CM_SETTING_URL:
                if (text)
                        print_url(out, text);
                break;
        case CM_SETTING_BOOL:
                cm_buf_add_str(out, *(const bool *)place ? CM_STR("true") : CM_STR("false"));
                break;
        case CM_SETTING_INT:
                cm_buf_printf(out, "%lld", (long long)*(const int64_t *)place);
                break;
        case CM_SETTING_DURATION:
                print_units(out, *(const int64_t *)place, duration_units, CM_COUNT(duration_units));
                break;
        case CM_SETTING_SIZE:
                print_units(out, *(const int64_t *)place, size_units, CM_COUNT(size_units));
                break;
        }
}

static bool is_initial(const struct cm_setting *setting, const void *settings)
{
        const void *place = (const char *)settings + setting->offset;
        int64_t initial = 0;

        if (!setting->initial)
                return false;
        if (is_text(setting->type)) {
                const char *text = *(char *const *)place;

                return strcmp(text ? text : "", setting->initial) == 0;
        }
        if (*setting->initial && !parse_number(setting->type, setting->initial, &initial))
                return false;
        if (setting->type == CM_SETTING_BOOL)
                return *(const bool *)place == (initial != 0);
        return *(const int64_t *)place == initial;
}

void cm_config_print(const struct cm_setting *const *tables, const void *settings,
                     struct cm_buf *out)
{
        for (; *tables; tables++)
                for (const struct cm_setting *s = *tables; s->key; s++) {
                        cm_buf_printf(out, "%s=", s->key);
                        print_value(s, settings, out);
                        if (is_initial(s, settings))
                                cm_buf_add_str(out, CM_STR("  # default"));
                        cm_buf_add_char(out, '\n');
                }
}
