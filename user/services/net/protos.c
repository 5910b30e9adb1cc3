#include <stddef.h>
#include <string.h>
#include "services/net/denied.h"

/* source: IANA, Assigned Internet Protocol Numbers; nd, raw as in older firewalls' policies */
static const struct {
	const char *name;
	int number;
} protos[] = {
	{ "tcp", 6 },	 { "udp", 17 },	  { "icmp", 1 },      { "icmpv6", 58 }, { "sctp", 132 },
	{ "igmp", 2 },	 { "ggp", 3 },	  { "ipip", 4 },      { "egp", 8 },	{ "pup", 12 },
	{ "idp", 22 },	 { "dccp", 33 },  { "ipv6", 41 },     { "rsvp", 46 },	{ "gre", 47 },
	{ "esp", 50 },	 { "ah", 51 },	  { "nd", 77 },	      { "ospf", 89 },	{ "pim", 103 },
	{ "vrrp", 112 }, { "l2tp", 115 }, { "udplite", 136 }, { "raw", 255 },
};
#define PROTOS (sizeof(protos) / sizeof(*protos))

const char *net_proto_name(uint64_t proto)
{
	for (size_t i = 0; i < PROTOS; i++)
		if ((uint64_t)protos[i].number == proto)
			return protos[i].name;
	return NULL;
}

int net_proto_number(const char *name)
{
	for (size_t i = 0; i < PROTOS; i++)
		if (!strcmp(protos[i].name, name))
			return protos[i].number;
	return -1;
}

const char *const *net_proto_names(void)
{
	static const char *names[PROTOS + 1];

	for (size_t i = 0; i < PROTOS; i++)
		names[i] = protos[i].name;
	return names;
}
