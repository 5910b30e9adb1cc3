#include <arpa/inet.h>
#include <string.h>
#include "harness/rules.h"

struct fw_spec t_rule_udp(uint32_t id, enum fw_action action, enum kmn_mode mode,
			  struct net_cidr *cidr, const char *prefix)
{
	struct fw_spec s = { .id = id,
			     .action = (uint8_t)action,
			     .mode = (uint8_t)mode,
			     .directions = FW_IN | FW_OUT,
			     .proto_given = true,
			     .proto = { 1ULL << IPPROTO_UDP },
			     .source = { true, cidr, 1, 1 } };

	assert_null(net_cidr_parse(prefix, strlen(prefix), cidr));
	return s;
}

void t_udp_from(struct t_frame *f, uint32_t n, uint16_t dport)
{
	uint32_t addr_be = htonl(0x0b000000 | n); /* 11.0.0.0/8 */

	t_packet(f, "11.0.0.0", "192.0.2.2", IPPROTO_UDP, 1234, dport);
	memcpy(f->data + 26, &addr_be, sizeof(addr_be));
}
