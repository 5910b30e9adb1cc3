#include <fnmatch.h>
#include <string.h>
#include "harness/oracle.h"

static bool bit(const uint8_t *addr, unsigned i)
{
	return addr[i / 8] >> (7 - i % 8) & 1;
}

/* "An address rule matches packets of the family that it is written in." */
static bool in_prefix(const struct net_cidr *p, const struct t_case *c, const uint8_t *addr)
{
	bool v4 = p->bits >= 96 && p->addr[10] == 0xff && p->addr[11] == 0xff;
	unsigned bits = v4 ? p->bits - 96U : p->bits;
	const uint8_t *want = v4 ? p->addr + 12 : p->addr;

	for (int i = 0; v4 && i < 10; i++)
		v4 = v4 && !p->addr[i];
	if (v4 != (c->version == 4))
		return false;
	for (unsigned i = 0; i < bits; i++)
		if (bit(want, i) != bit(addr, i))
			return false;
	return true;
}

static bool addr_matches(const struct fw_addrs *a, const struct t_case *c, const uint8_t *addr)
{
	if (!a->given)
		return true;
	for (uint32_t i = 0; i < a->n; i++)
		if (in_prefix(&a->cidr[i], c, addr))
			return true;
	return false;
}

static bool port_matches(const struct fw_ports_given *p, uint16_t port)
{
	if (!p->given)
		return true;
	for (uint32_t i = 0; i < p->n; i++)
		if (port >= p->range[i].from && port <= p->range[i].to)
			return true;
	return false;
}

/* "Where the packet does not show what the rule asks for, a deny holds and an allow does not; but
 * in a later fragment an allow with ports holds and a deny does not, because the first fragment
 * decides." */
static bool proto_and_ports_match(const struct fw_spec *r, const struct t_case *c)
{
	bool ports = r->source_port.given || r->destination_port.given;

	if (c->proto_cut)
		return !r->proto_given || r->action == FW_DENY;
	if (r->proto_given && !(r->proto[c->proto / 64] & 1ULL << (c->proto % 64)))
		return false;
	if (!ports)
		return true;
	if (c->later)
		return r->action == FW_ALLOW;
	if (c->ports_cut)
		return r->action == FW_DENY;
	return c->has_ports && port_matches(&r->source_port, c->sport) &&
	       port_matches(&r->destination_port, c->dport);
}

static bool matches(const struct fw_spec *r, const struct t_case *c)
{
	bool on = !r->n_interfaces;

	if (!(r->directions & (c->outgoing ? 2 : 1)))
		return false;
	for (uint32_t i = 0; i < r->n_interfaces; i++)
		if (!fnmatch(r->interfaces[i], c->interface, 0))
			on = true;
	return on && addr_matches(&r->source, c, c->src) &&
	       addr_matches(&r->destination, c, c->dst) && proto_and_ports_match(r, c);
}

/* "Higher priority first; within one, denies before allows; then the order of the policy." */
static bool before(const struct fw_spec *a, const struct fw_spec *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	if (a->action != b->action)
		return a->action == FW_DENY;
	return a->id < b->id;
}

static const struct fw_spec *first(const struct fw_spec *rules, uint32_t n, const struct t_case *c,
				   bool prevent_only)
{
	const struct fw_spec *best = NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (rules[i].mode == KMN_OFF || (prevent_only && rules[i].mode != KMN_PREVENT))
			continue;
		if (matches(&rules[i], c) && (!best || before(&rules[i], best)))
			best = &rules[i];
	}
	return best;
}

/* "Dropped is what the rules in prevent deny, as if the others were not there. Else told is what
 * all rules would deny, as if all were in prevent." */
struct t_verdict t_oracle(const struct fw_spec *rules, uint32_t n, const struct t_case *c)
{
	const struct fw_spec *obey = first(rules, n, c, true), *would = first(rules, n, c, false);

	if (obey && obey->action == FW_DENY)
		return (struct t_verdict){ true, true, obey->id };
	if (would && would->action == FW_DENY)
		return (struct t_verdict){ false, true, would->id };
	return (struct t_verdict){ false, false, 0 };
}
