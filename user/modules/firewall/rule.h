#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "firewall/firewall_abi.h"
#include "net/net_abi.h"
#include "policy/policy.h"
#include "services/net/cidr.h"

/* A rule as the policy says it, checked: what the classifier is made of. */

struct fw_range { /* both ends included */
	uint16_t from, to;
};

/* Values of one address key: nothing given means any address of either family. */
struct fw_addrs {
	bool given;
	struct net_cidr *cidr; /* owned; in any order, may overlap */
	uint32_t n, room;
};

struct fw_ports_given {
	bool given;
	struct fw_range *range; /* owned */
	uint32_t n, room;
};

#define FW_NAME_MAX 128 /* bytes of a rule's name */
#define FW_PATTERNS_MAX 64
#define FW_IN (1 << NET_INCOMING)
#define FW_OUT (1 << NET_OUTGOING)

struct fw_spec {
	uint32_t id;	    /* place in the policy, from 1 */
	char *name;	    /* owned */
	uint8_t action;	    /* enum fw_action */
	uint8_t priority;   /* 0-4 */
	uint8_t mode;	    /* enum kmn_mode, effective; off: it is in no table */
	uint8_t directions; /* FW_IN | FW_OUT */
	bool proto_given;
	uint64_t proto[4]; /* a bit per number */
	struct fw_addrs source, destination;
	struct fw_ports_given source_port, destination_port;
	char **interfaces; /* owned glob patterns; none: every interface */
	uint32_t n_interfaces;
	struct policy_effect effect; /* for explain; points into the policy */
};

void fw_spec_free(struct fw_spec *s); /* what it owns */

static inline bool fw_spec_has_ports(const struct fw_spec *s)
{
	return s->source_port.given || s->destination_port.given;
}

static inline bool fw_has_proto(const struct fw_spec *s, unsigned proto)
{
	return !s->proto_given || s->proto[proto / 64] >> (proto % 64) & 1;
}

bool fw_proto_has_ports(unsigned proto);
