/* Which open connection a policy would end: random rules and connections, judged by the oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/connections.h"
#include "harness/oracle.h"
#include "modules/firewall/firewall.h"
#include "modules/firewall/plan.h"

#define ROUNDS 2000
#define RULES 6
#define CONNECTIONS 20

static unsigned seed = 7;

static unsigned rnd(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

/* A small world: 10.0-3.0.0-3, or the same below 2001:db8::. */
static void random_address(uint8_t out[16], bool v6)
{
	memcpy(out, v6 ? "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0" : "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	out[12] = v6 ? 0 : 10;
	out[13] = (uint8_t)rnd(4);
	out[14] = 0;
	out[15] = (uint8_t)rnd(4);
}

static void random_addresses(struct fw_addrs *a)
{
	if (rnd(2))
		return;
	a->given = true;
	a->n = rnd(3);
	a->cidr = calloc(3, sizeof(*a->cidr));
	assert_non_null(a->cidr);
	for (uint32_t i = 0; i < a->n; i++) {
		bool v6 = rnd(3) == 0;

		random_address(a->cidr[i].addr, v6);
		a->cidr[i].bits = (uint8_t)(v6 ? rnd(129) : 96 + rnd(33));
		net_cidr_clean(&a->cidr[i]);
	}
}

static void random_ports(struct fw_ports_given *p)
{
	if (rnd(2))
		return;
	p->given = true;
	p->n = 1;
	p->range = calloc(1, sizeof(*p->range));
	assert_non_null(p->range);
	p->range[0].from = (uint16_t)(20 + rnd(4));
	p->range[0].to = (uint16_t)(p->range[0].from + rnd(3));
}

static void random_rule(struct fw_spec *s, uint32_t id)
{
	static char *patterns[] = { "eth0", "eth*", "wan" };

	*s = (struct fw_spec){ .id = id,
			       .action = rnd(2) ? FW_DENY : FW_ALLOW,
			       .priority = (uint8_t)rnd(3),
			       .mode = (uint8_t)rnd(3),
			       .directions = (uint8_t)(1 + rnd(3)),
			       .proto_given = rnd(2) };
	s->name = calloc(1, 16);
	assert_non_null(s->name);
	(void)snprintf(s->name, 16, "rule-%u", id);
	s->proto[0] = rnd(4) ? 1ULL << 6 : 1ULL << 17;
	random_addresses(&s->source);
	random_addresses(&s->destination);
	if (s->proto_given) {
		random_ports(&s->source_port);
		random_ports(&s->destination_port);
	}
	if (rnd(3) == 0) {
		s->interfaces = calloc(1, sizeof(*s->interfaces));
		assert_non_null(s->interfaces);
		s->interfaces[0] = strdup(patterns[rnd(3)]);
		s->n_interfaces = 1;
	}
}

static void in_case(struct t_case *t, const struct kmn_connection *c, bool outgoing)
{
	const uint8_t *from = outgoing ? c->local : c->peer, *to = outgoing ? c->peer : c->local;
	bool v4 = from[10] == 0xff;

	*t = (struct t_case){ .version = v4 ? 4 : 6,
			      .proto = 6,
			      .has_ports = true,
			      .sport = outgoing ? c->local_port : c->peer_port,
			      .dport = outgoing ? c->peer_port : c->local_port,
			      .outgoing = outgoing,
			      .interface = c->interface };
	memcpy(t->src, v4 ? from + 12 : from, v4 ? 4 : 16);
	memcpy(t->dst, v4 ? to + 12 : to, v4 ? 4 : 16);
}

static void compare(const struct fw_plan *plan, unsigned *cut)
{
	struct kmn_connection c = { .peer_port = (uint16_t)(20 + rnd(6)),
				    .local_port = (uint16_t)(20 + rnd(6)) };
	const char *rule, *want = NULL;
	bool v6 = rnd(3) == 0;
	struct t_case t;

	(void)snprintf(c.interface, sizeof(c.interface), "%s", rnd(2) ? "eth0" : "wan");
	random_address(c.peer, v6);
	random_address(c.local, v6);
	for (int out = 0; out < 2 && !want; out++) {
		struct t_verdict v;

		in_case(&t, &c, out);
		v = t_oracle(plan->specs, plan->n_specs, &t);
		if (v.drop)
			want = plan->specs[v.rule_id - 1].name;
	}
	rule = fw_cuts(plan, &c);
	if (!want)
		assert_null(rule);
	else
		assert_string_equal(rule ? rule : "(none)", want);
	*cut += want != NULL;
}

static void what_is_warned_of_is_what_the_rules_deny(void **state)
{
	unsigned cut = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct fw_plan *plan = calloc(1, sizeof(*plan));
		const char *why = "";

		assert_non_null(plan);
		plan->n_specs = 1 + rnd(RULES);
		plan->specs = calloc(plan->n_specs, sizeof(*plan->specs));
		assert_non_null(plan->specs);
		for (uint32_t i = 0; i < plan->n_specs; i++)
			random_rule(&plan->specs[i], i + 1);
		plan->interfaces = calloc(1, sizeof(*plan->interfaces));
		assert_non_null(plan->interfaces);
		plan->interfaces[0] = strdup("*");
		plan->n_interfaces = 1;
		assert_int_equal(fw_tables_build(&plan->t, plan->specs, plan->n_specs, &why), 0);
		for (int i = 0; i < CONNECTIONS; i++)
			compare(plan, &cut);
		fw_plan_free(plan);
	}
	print_message("%u of %u connections would be cut\n", cut, ROUNDS * CONNECTIONS);
	assert_true(cut > ROUNDS && cut < ROUNDS * CONNECTIONS - ROUNDS);
}

static void an_interface_that_is_not_judged_cuts_nothing(void **state)
{
	struct fw_plan *plan = calloc(1, sizeof(*plan));
	struct kmn_connection c = { .interface = "eth0", .local_port = 22 };
	const char *why = "";

	(void)state;
	assert_non_null(plan);
	plan->n_specs = 1;
	plan->specs = calloc(1, sizeof(*plan->specs));
	plan->interfaces = calloc(1, sizeof(*plan->interfaces));
	assert_non_null(plan->specs);
	assert_non_null(plan->interfaces);
	plan->specs[0] = (struct fw_spec){ .id = 1,
					   .name = strdup("all"),
					   .action = FW_DENY,
					   .mode = KMN_PREVENT,
					   .directions = FW_IN };
	plan->interfaces[0] = strdup("wan*");
	plan->n_interfaces = 1;
	assert_int_equal(fw_tables_build(&plan->t, plan->specs, 1, &why), 0);
	assert_null(fw_cuts(plan, &c));
	(void)snprintf(c.interface, sizeof(c.interface), "wan0");
	assert_string_equal(fw_cuts(plan, &c), "all");
	c.interface[0] = '\0'; /* not known: it may be one */
	assert_string_equal(fw_cuts(plan, &c), "all");
	fw_plan_free(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_warned_of_is_what_the_rules_deny),
		cmocka_unit_test(an_interface_that_is_not_judged_cuts_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
