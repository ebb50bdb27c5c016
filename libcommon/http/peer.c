#include "http/peer.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

struct network {
        struct in6_addr address;
        int bits;
};

struct cm_peer_rule {
        struct network *trusted;
        size_t count;
};

#define V4_BITS 96 /* of ::ffff:0:0/96, where IPv4 lives */

bool cm_address_parse(struct cm_str text, struct in6_addr *address_r)
{
        char copy[INET6_ADDRSTRLEN];
        struct in_addr v4;

        if (!text.len || text.len >= sizeof(copy))
                return false;
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        if (inet_pton(AF_INET6, copy, address_r) == 1)
                return true;
        if (inet_pton(AF_INET, copy, &v4) != 1)
                return false;
        *address_r = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
        memcpy(address_r->s6_addr + 12, &v4, sizeof(v4));
        return true;
}

void cm_address_from(const struct sockaddr *name, struct in6_addr *address_r)
{
        const struct sockaddr_in *v4 = (const void *)name;
        const struct sockaddr_in6 *v6 = (const void *)name;

        *address_r = (struct in6_addr){ 0 };
        if (name->sa_family == AF_INET6) {
                *address_r = v6->sin6_addr;
        } else if (name->sa_family == AF_INET) {
                address_r->s6_addr[10] = address_r->s6_addr[11] = 0xff;
                memcpy(address_r->s6_addr + 12, &v4->sin_addr, sizeof(v4->sin_addr));
        }
}

const char *cm_address_format(const struct in6_addr *address, char out[INET6_ADDRSTRLEN])
{
        if (IN6_IS_ADDR_V4MAPPED(address))
                return inet_ntop(AF_INET, address->s6_addr + 12, out, INET6_ADDRSTRLEN);
        return inet_ntop(AF_INET6, address, out, INET6_ADDRSTRLEN);
}

static bool parse_network(struct cm_str text, struct network *network_r)
{
        struct cm_str address, rest = text;
        int64_t bits = 128;
        bool v4;

        (void)cm_str_split(&rest, '/', &address);
        if (!cm_address_parse(address, &network_r->address))
                return false;
        v4 = !memchr(address.data, ':', address.len);
        if (rest.data) {
                if (!cm_str_to_int(rest, &bits) || bits < 0 || bits > (v4 ? 32 : 128))
                        return false;
                bits += v4 ? V4_BITS : 0;
        }
        network_r->bits = (int)bits;
        return true;
}

int cm_peer_rule_new(struct cm_str trusted, struct cm_peer_rule **rule_r)
{
        struct cm_peer_rule *rule = CM_NEW(struct cm_peer_rule);
        struct cm_str part;

        if (!trusted.len)
                trusted = CM_STR_NONE;
        while (cm_str_split(&trusted, ',', &part)) {
                rule->trusted =
                        cm_realloc(rule->trusted, (rule->count + 1) * sizeof(*rule->trusted));
                if (!parse_network(cm_str_trim(part), &rule->trusted[rule->count++])) {
                        cm_peer_rule_free(&rule);
                        return -CM_E_CONFIG;
                }
        }
        *rule_r = rule;
        return 0;
}

void cm_peer_rule_free(struct cm_peer_rule **rule)
{
        if (!*rule)
                return;
        cm_free((*rule)->trusted);
        cm_free(*rule);
        *rule = NULL;
}

static bool contains(const struct network *network, const struct in6_addr *address)
{
        int bytes = network->bits / 8, bits = network->bits % 8;
        unsigned char difference;

        if (memcmp(network->address.s6_addr, address->s6_addr, (size_t)bytes) != 0)
                return false;
        if (!bits)
                return true;
        difference = network->address.s6_addr[bytes] ^ address->s6_addr[bytes];
        return difference >> (8 - bits) == 0;
}

static bool is_trusted(const struct cm_peer_rule *rule, const struct in6_addr *address)
{
        for (size_t i = 0; i < rule->count; i++)
                if (contains(&rule->trusted[i], address))
                        return true;
        return false;
}

struct in6_addr cm_peer_choose(const struct cm_peer_rule *rule, const struct in6_addr *peer,
                               struct cm_str forwarded_for)
{
        struct in6_addr chosen = *peer, next;

        while (is_trusted(rule, &chosen) && forwarded_for.len) {
                const char *comma = memrchr(forwarded_for.data, ',', forwarded_for.len);
                size_t at = comma ? (size_t)(comma - forwarded_for.data) + 1 : 0;
                struct cm_str last = { forwarded_for.data + at, forwarded_for.len - at };

                if (!cm_address_parse(cm_str_trim(last), &next))
                        break;
                chosen = next;
                forwarded_for.len = comma ? at - 1 : 0;
        }
        return chosen;
}
