#include "session_rules.h"

#include <arpa/inet.h>
#include <string.h>

#include "auth_api.h"
#include "scopes.h"

enum { MAX_USER_AGENT = 300 };

const char *session_rules_scope(int32_t user_type, bool must_change)
{
        static const char *const scopes[] = {
                [USER_TYPE_PATIENT] = SCOPES_PATIENT,
                [USER_TYPE_DOCTOR] = SCOPES_DOCTOR,
                [USER_TYPE_ADMIN] = SCOPES_ADMIN,
                [USER_TYPE_INSTITUTION] = SCOPES_INSTITUTION,
        };

        if (must_change)
                return SCOPES_NEWCOMER;
        return user_type > 0 && user_type < (int32_t)CM_COUNT(scopes) ? scopes[user_type] : "";
}

/* Cuts at `max` bytes, but not inside of a character. */
static size_t cut_length(struct cm_str text, size_t max)
{
        size_t len = text.len;

        if (len <= max)
                return len;
        for (len = max; len > 0 && ((unsigned char)text.data[len] & 0xc0) == 0x80; len--)
                ;
        return len;
}

struct cm_str session_rules_user_agent(struct cm_arena *arena, struct cm_str header)
{
        struct cm_str kept;
        char *bytes;

        if (!header.data || !cm_utf8_is_valid(header))
                return CM_STR("");
        kept = cm_arena_str(arena,
                            (struct cm_str){ header.data, cut_length(header, MAX_USER_AGENT) });
        bytes = (char *)kept.data;
        for (size_t i = 0; i < kept.len; i++) {
                if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f)
                        bytes[i] = ' ';
        }
        return kept;
}

static struct cm_str network_of_ipv6(struct cm_arena *arena, struct in6_addr *address)
{
        char text[INET6_ADDRSTRLEN];

        if (IN6_IS_ADDR_V4MAPPED(address)) {
                inet_ntop(AF_INET, address->s6_addr + 12, text, sizeof(text));
                return cm_arena_str(arena, cm_str_from(text));
        }
        memset(address->s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, address, text, sizeof(text));
        return cm_arena_printf(arena, "%s/64", text);
}

struct cm_str session_rules_network(struct cm_arena *arena, struct cm_str address)
{
        struct in_addr ipv4;
        struct in6_addr ipv6;
        char text[INET6_ADDRSTRLEN] = "";

        if (address.len < sizeof(text))
                memcpy(text, address.data ? address.data : "", address.len);
        if (inet_pton(AF_INET, text, &ipv4) == 1)
                return cm_arena_str(arena, cm_str_from(text));
        if (inet_pton(AF_INET6, text, &ipv6) == 1)
                return network_of_ipv6(arena, &ipv6);
        return CM_STR("unknown");
}

int64_t session_rules_seconds_left(cm_time now, cm_time end)
{
        return end > now ? (end - now) / CM_SECOND : 0;
}
