#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "modules/firewall/firewall.h"
#include "services/net/net.h"

static void put_addrs(struct buf *b, const char *word, const struct fw_addrs *a)
{
	char text[NET_CIDR_TEXT];

	if (!a->given)
		return;
	buf_printf(b, " %s ", word);
	for (uint32_t i = 0; i < a->n && i < 3; i++) {
		net_cidr_text(&a->cidr[i], text);
		buf_printf(b, "%s%s", i ? ", " : "", text);
	}
	if (a->n > 3)
		buf_printf(b, " and %u more", a->n - 3);
	if (!a->n)
		buf_puts(b, "nobody (an empty list)");
}

static void put_ports(struct buf *b, const char *word, const struct fw_ports_given *p)
{
	if (!p->given)
		return;
	buf_printf(b, " %s ", word);
	for (uint32_t i = 0; i < p->n && i < 6; i++) {
		buf_printf(b, "%s%u", i ? ", " : "", p->range[i].from);
		if (p->range[i].to != p->range[i].from)
			buf_printf(b, "-%u", p->range[i].to);
	}
	if (p->n > 6)
		buf_printf(b, " and %u more", p->n - 6);
}

static void put_protos(struct buf *b, const struct fw_spec *s)
{
	unsigned n = 0;

	if (!s->proto_given) {
		buf_puts(b, " any IP packet");
		return;
	}
	for (unsigned i = 0; i < 256; i++) {
		if (!fw_has_proto(s, i))
			continue;
		buf_puts(b, n++ ? ", " : " ");
		if (net_proto_name(i))
			buf_puts(b, net_proto_name(i));
		else
			buf_printf(b, "protocol %u", i);
	}
}

static void put_what(struct json *j, const struct fw_spec *s)
{
	char mem[1024];
	struct buf b = buf_fixed(mem, sizeof(mem));

	buf_puts(&b, s->action == FW_DENY ? "deny" : "allow");
	if (s->directions != (FW_IN | FW_OUT))
		buf_puts(&b, s->directions == FW_IN ? " incoming" : " outgoing");
	put_protos(&b, s);
	put_addrs(&b, "from", &s->source);
	put_ports(&b, "from port", &s->source_port);
	put_addrs(&b, "to", &s->destination);
	put_ports(&b, "to port", &s->destination_port);
	for (uint32_t i = 0; i < s->n_interfaces; i++)
		buf_printf(&b, "%s%s", i ? ", " : " on ", s->interfaces[i]);
	json_str(j, "what", buf_text(&b));
}

static void put_rule(struct json *j, const struct fw_spec *s)
{
	json_object(j, NULL);
	json_str(j, "name", s->name);
	put_what(j, s);
	policy_effect_json(j, &s->effect);
	json_u64(j, "id", s->id);
	json_str(j, "action", s->action == FW_DENY ? "deny" : "allow");
	json_u64(j, "priority", s->priority);
	json_end(j);
}

/* In the order in which they are asked; those that are off come last. */
void fw_explain(const struct policy *policy, const void *arg, struct json *j)
{
	const struct fw_plan *plan = arg;

	(void)policy;
	json_array(j, "rules");
	for (uint32_t bit = 0; bit < plan->t.head.n_rules; bit++)
		put_rule(j, &plan->specs[plan->t.spec_of[bit]]);
	for (uint32_t i = 0; i < plan->n_specs; i++)
		if (plan->specs[i].mode == KMN_OFF)
			put_rule(j, &plan->specs[i]);
	json_end(j);
	json_array(j, "notes");
	json_str(j, NULL,
		 "The first rule that matches decides. A packet that no rule matches passes: there "
		 "is no implicit deny yet; it comes with the flow table.");
	json_str(j, NULL,
		 "An allow only exempts from denies below it: of a lower priority, because within "
		 "one priority denies are asked before allows.");
	json_str(j, NULL,
		 "A rule in detect decides nothing: packets go as if it were not there, and an "
		 "event tells what would be denied if every rule were in prevent.");
	json_str(j, NULL,
		 "Every packet is judged on its own, replies too: there is no connection table "
		 "yet.");
	json_str(j, NULL, "Frames that are not IP (ARP and others) pass.");
	json_end(j);
}
