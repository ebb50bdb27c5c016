#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/redis_internal.h"

/* redis://[[user]:password@]host[:port][/db] and unix://[[user]:password@]/path. */

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A copy with %XX decoded, or NULL when it is malformed or holds a NUL. */
static char *unescape(struct cm_str text)
{
        char *out = cm_alloc(text.len + 1);
        size_t len = 0;

        for (size_t i = 0; i < text.len; i++) {
                int high, low;

                if (text.data[i] != '%') {
                        out[len++] = text.data[i];
                        continue;
                }
                high = i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
                low = i + 2 < text.len ? hex_digit(text.data[i + 2]) : -1;
                if (high < 0 || low < 0 || high + low == 0) {
                        cm_free(out);
                        return NULL;
                }
                out[len++] = (char)(high * 16 + low);
                i += 2;
        }
        out[len] = '\0';
        return out;
}

static const char *find_last(struct cm_str text, char c)
{
        return text.data ? memrchr(text.data, c, text.len) : NULL;
}

static struct cm_str before(struct cm_str text, const char *at)
{
        return (struct cm_str){ text.data, (size_t)(at - text.data) };
}

static struct cm_str after(struct cm_str text, const char *at)
{
        return (struct cm_str){ at + 1, text.len - (size_t)(at - text.data) - 1 };
}

static const char *parse_login(struct cm_str login, struct redis_address *address)
{
        const char *colon = memchr(login.data, ':', login.len);

        if (!colon)
                return "a user without a password";
        address->user = unescape(before(login, colon));
        address->password = unescape(after(login, colon));
        if (!address->user || !address->password)
                return "a malformed user or password";
        return NULL;
}

static const char *parse_number(struct cm_str text, int64_t max, int *value_r)
{
        int64_t value;

        if (!text.len || !cm_str_to_int(text, &value) || value < 0 || value > max)
                return "a malformed port or database number";
        *value_r = (int)value;
        return NULL;
}

static const char *parse_host(struct cm_str rest, struct redis_address *address)
{
        const char *slash = memchr(rest.data, '/', rest.len);
        const char *why = NULL;
        const char *colon;

        if (slash && after(rest, slash).len)
                why = parse_number(after(rest, slash), 15, &address->db);
        if (slash)
                rest = before(rest, slash);
        colon = find_last(rest, ':');
        if (!why && colon && rest.data[rest.len - 1] != ']') {
                why = parse_number(after(rest, colon), 65535, &address->port);
                rest = before(rest, colon);
        }
        if (rest.len > 2 && rest.data[0] == '[' && rest.data[rest.len - 1] == ']')
                rest = (struct cm_str){ rest.data + 1, rest.len - 2 };
        address->host = unescape(rest);
        if (!why && (!address->host || !*address->host))
                why = "no host";
        return why;
}

static const char *parse(struct cm_str url, struct redis_address *address)
{
        bool is_path = cm_str_starts(url, CM_STR("unix://"));
        const char *why = NULL;
        const char *at;

        if (!is_path && !cm_str_starts(url, CM_STR("redis://")))
                return "neither redis:// nor unix://";
        url = after(url, url.data + (is_path ? strlen("unix:/") : strlen("redis:/")));
        at = find_last(url, '@');
        if (at) {
                why = parse_login(before(url, at), address);
                url = after(url, at);
        }
        if (why)
                return why;
        if (!is_path)
                return parse_host(url, address);
        address->path = unescape(url);
        return address->path && address->path[0] == '/' ? NULL : "no absolute path";
}

int redis_address_parse(const char *url, struct redis_address *address_r, const char **why_r)
{
        *address_r = (struct redis_address){ .port = 6379 };
        *why_r = parse(cm_str_from(url), address_r);
        if (!*why_r)
                return 0;
        redis_address_deinit(address_r);
        return -CM_E_CONFIG;
}

void redis_address_deinit(struct redis_address *address)
{
        if (address->password)
                cm_wipe(address->password, strlen(address->password));
        cm_free(address->host);
        cm_free(address->path);
        cm_free(address->user);
        cm_free(address->password);
        *address = (struct redis_address){ 0 };
}
