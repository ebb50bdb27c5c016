#pragma once
#include <netinet/in.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * Who is at the other end. Addresses are kept in IPv6 form (IPv4 as ::ffff:a.b.c.d). When the peer
 * is a trusted proxy, the last address of X-Forwarded-For that is not a trusted proxy's counts;
 * what stands before it was written by who knows whom.
 */
struct cm_peer_rule;

/* "127.0.0.1,10.0.0.0/8,::1"; empty or absent: nobody is trusted. -CM_E_CONFIG when malformed. */
int cm_peer_rule_new(struct cm_str trusted, struct cm_peer_rule **rule_r) CM_MUST_CHECK;
void cm_peer_rule_free(struct cm_peer_rule **rule);

bool cm_address_parse(struct cm_str text, struct in6_addr *address_r);
/* Takes any socket address; what is not IP becomes "::". */
void cm_address_from(const struct sockaddr *name, struct in6_addr *address_r);
/* IPv4 in its own notation. Returns `out`. */
const char *cm_address_format(const struct in6_addr *address, char out[INET6_ADDRSTRLEN]);

struct in6_addr cm_peer_choose(const struct cm_peer_rule *rule, const struct in6_addr *peer,
                               struct cm_str forwarded_for);
