#include <netinet/in.h>
#include <string.h>
#include "core/connections.h"
#include "modules/firewall/firewall.h"
#include "modules/firewall/plan.h"
#include "services/net/links.h"

/* Rules against one packet, one by one: for the few connections that a warning is about. */

struct packet {
	const uint8_t *source, *destination; /* 16 bytes each */
	uint16_t sport, dport;
	uint8_t direction; /* FW_IN or FW_OUT */
	const char *interface;
};

static bool in_prefix(const struct net_cidr *c, const uint8_t addr[16])
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;
	struct net_cidr host = { .bits = 128 };

	memcpy(host.addr, addr, sizeof(host.addr));
	if (net_cidr_is_v4(c) != net_cidr_is_v4(&host))
		return false;
	return !memcmp(c->addr, addr, whole) &&
	       (!rest || !((c->addr[whole] ^ addr[whole]) >> (8 - rest)));
}

static bool addrs_match(const struct fw_addrs *a, const uint8_t addr[16])
{
	for (uint32_t i = 0; i < a->n; i++)
		if (in_prefix(&a->cidr[i], addr))
			return true;
	return !a->given;
}

static bool ports_match(const struct fw_ports_given *p, uint16_t port)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (port >= p->range[i].from && port <= p->range[i].to)
			return true;
	return !p->given;
}

/* An interface that is not known may be any: better a warning too many. */
static bool interface_matches(char *const *patterns, uint32_t n, const char *name)
{
	return !*name || net_links_match(name, (const char *const *)patterns, n);
}

static bool matches(const struct fw_spec *s, const struct packet *p)
{
	return s->directions & p->direction && fw_has_proto(s, IPPROTO_TCP) &&
	       (!s->n_interfaces ||
		interface_matches(s->interfaces, s->n_interfaces, p->interface)) &&
	       ports_match(&s->source_port, p->sport) &&
	       ports_match(&s->destination_port, p->dport) && addrs_match(&s->source, p->source) &&
	       addrs_match(&s->destination, p->destination);
}

/* The rule that decides in prevent mode when it is a deny; the tables have them in their order. */
static const char *denied_by(const struct fw_plan *plan, const struct packet *p)
{
	for (uint32_t bit = 0; bit < plan->t.head.n_rules; bit++) {
		const struct fw_spec *s = &plan->specs[plan->t.spec_of[bit]];

		if (s->mode == KMN_PREVENT && matches(s, p))
			return s->action == FW_DENY ? s->name : NULL;
	}
	return NULL;
}

const char *fw_cuts(const void *arg, const struct kmn_connection *c)
{
	const struct fw_plan *plan = arg;
	const struct packet in = { c->peer,	  c->local, c->peer_port,
				   c->local_port, FW_IN,    c->interface };
	const struct packet out = { c->local,	  c->peer, c->local_port,
				    c->peer_port, FW_OUT,  c->interface };
	const char *rule;

	if (!interface_matches(plan->interfaces, plan->n_interfaces, c->interface))
		return NULL;
	rule = denied_by(plan, &in);
	return rule ? rule : denied_by(plan, &out);
}
