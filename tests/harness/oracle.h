#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "modules/firewall/rule.h"

/* What docs/modules/firewall.md says, rule by rule and packet by packet, as slowly as it likes. It
 * shares no table and no function with the classifier. */
struct t_case {
	uint8_t version;	  /* 4 or 6 */
	uint8_t src[16], dst[16]; /* IPv4: the first four bytes */
	uint8_t proto;
	uint16_t sport, dport;
	bool has_ports; /* the protocol has them, and they could be read */
	bool later;	/* a fragment that is not the first */
	bool ports_cut; /* the packet ends before them */
	bool proto_cut; /* the protocol could not be reached */
	bool outgoing;
	const char *interface;
};

struct t_verdict {
	bool drop;
	bool told;	  /* an event: of the drop, or of what prevent would drop */
	uint32_t rule_id; /* of the event */
};

struct t_verdict t_oracle(const struct fw_spec *rules, uint32_t n, const struct t_case *c);
