#include "harness/packets.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness/oracle.h"

/* Random policies and random packets over a small world, so that rules overlap in every dimension,
 * judged by the classifier and by the oracle. KMN_SOAK=1: 600 rounds. */
#define ROUNDS 30
#define PACKETS 400

static struct t_net *t;
static uint32_t seed;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(seed >> 4) * n) >> 28);
}

static void random_addr(uint8_t *addr, bool v6)
{
	static const uint8_t some[] = { 0, 1, 10, 127, 128, 192, 255 };

	for (int i = 0; i < (v6 ? 16 : 4); i++)
		addr[i] = some[rnd(v6 && i > 2 ? 2 : sizeof(some))];
	if (!v6 && !addr[0]) /* a test run takes no other sense of it, but a reader might */
		addr[0] = 10;
}

static void random_cidrs(struct fw_addrs *a)
{
	if (rnd(3) == 0)
		return;
	a->given = true;
	a->n = rnd(8) == 0 ? 0 : 1 + rnd(4);
	a->cidr = calloc(a->n + 1, sizeof(*a->cidr));
	for (uint32_t i = 0; i < a->n; i++) {
		bool v6 = rnd(3) == 0;

		if (!v6)
			memcpy(a->cidr[i].addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		random_addr(a->cidr[i].addr + (v6 ? 0 : 12), v6);
		a->cidr[i].bits = (uint8_t)(v6 ? rnd(129) : 96 + rnd(33));
		if (rnd(4) == 0)
			a->cidr[i].bits = v6 ? 0 : 96;
		net_cidr_clean(&a->cidr[i]);
	}
}

static uint16_t random_port(void)
{
	static const uint16_t some[] = { 0, 1, 22, 53, 80, 443, 1023, 1024, 8080, 65534, 65535 };

	return some[rnd(sizeof(some) / sizeof(*some))];
}

static void random_ports(struct fw_ports_given *p)
{
	if (rnd(2))
		return;
	p->given = true;
	p->n = 1 + rnd(3);
	p->range = calloc(p->n, sizeof(*p->range));
	for (uint32_t i = 0; i < p->n; i++) {
		uint16_t a = random_port(), b = rnd(2) ? a : random_port();

		p->range[i] = (struct fw_range){ a < b ? a : b, a < b ? b : a };
	}
}

static const uint8_t protos[] = { IPPROTO_TCP,	IPPROTO_UDP,	IPPROTO_SCTP,
				  IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_GRE };

static void random_rule(struct fw_spec *s, uint32_t id)
{
	static char *names[] = { "lo", "l*", "eth0", "eth*", "*" };

	s->id = id;
	s->action = rnd(2) ? FW_DENY : FW_ALLOW;
	s->priority = (uint8_t)rnd(5);
	s->mode = (uint8_t)(rnd(8) == 0 ? KMN_OFF : rnd(3) ? KMN_PREVENT : KMN_DETECT);
	s->directions = (uint8_t)(1 + rnd(3));
	random_cidrs(&s->source);
	random_cidrs(&s->destination);
	if (rnd(2)) {
		random_ports(&s->source_port);
		random_ports(&s->destination_port);
	}
	s->proto_given = fw_spec_has_ports(s) || rnd(2);
	for (size_t i = 0; s->proto_given && i < sizeof(protos); i++)
		if (rnd(2) && (!fw_spec_has_ports(s) || fw_proto_has_ports(protos[i])))
			s->proto[protos[i] / 64] |= 1ULL << (protos[i] % 64);
	if (rnd(4) == 0) {
		s->n_interfaces = 1 + rnd(2);
		s->interfaces = calloc(s->n_interfaces, sizeof(*s->interfaces));
		for (uint32_t i = 0; i < s->n_interfaces; i++)
			s->interfaces[i] = strdup(names[rnd(5)]);
	}
}

/* A packet of the case: shape is part of what is random. Below a tag where a test run would refuse
 * the frame because it ends too early. */
static void build(struct t_frame *f, struct t_case *c)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	int family = c->version == 6 ? AF_INET6 : AF_INET;
	uint16_t type = c->version == 6 ? 0x86dd : 0x0800;

	(void)inet_ntop(family, c->src, src, sizeof(src));
	(void)inet_ntop(family, c->dst, dst, sizeof(dst));
	t_eth(f, 0x8100);
	t_tag(f, 5, type);
	if (c->version == 4) {
		t_ip4_full(f, src, dst, c->proto, 4 * rnd(3), c->later ? 800 : 0, 0);
	} else if (c->proto_cut) {
		t_ip6(f, src, dst, IPPROTO_DSTOPTS);
		for (int i = 0; i <= NET_EXT_MAX; i++)
			t_ext(f, IPPROTO_DSTOPTS, IPPROTO_DSTOPTS, 8);
	} else if (c->later) {
		t_ip6(f, src, dst, IPPROTO_FRAGMENT);
		t_fragment6(f, c->proto, 800, 1);
	} else {
		t_ip6(f, src, dst, IPPROTO_DSTOPTS);
		t_ext(f, IPPROTO_DSTOPTS, c->proto, 8);
	}
	if (c->ports_cut)
		t_zero(f, 2);
	else if (c->proto == IPPROTO_TCP)
		t_tcp(f, c->sport, c->dport, 2);
	else
		t_udp(f, c->sport, c->dport);
}

static void random_case(struct t_case *c)
{
	memset(c, 0, sizeof(*c));
	c->version = rnd(3) ? 4 : 6;
	random_addr(c->src, c->version == 6);
	random_addr(c->dst, c->version == 6);
	c->proto = protos[rnd(sizeof(protos))];
	c->sport = random_port();
	c->dport = random_port();
	c->outgoing = rnd(2);
	c->interface = "lo";
	if (rnd(6) == 0)
		c->later = true;
	else if (rnd(8) == 0 && fw_proto_has_ports(c->proto))
		c->ports_cut = true;
	else if (rnd(8) == 0 && c->version == 6)
		c->proto_cut = true;
	c->has_ports = fw_proto_has_ports(c->proto) && !c->later && !c->ports_cut && !c->proto_cut;
}

static uint64_t *told; /* by rule * 2 + prevent: expected less found */

static void on_fold(void *arg, const struct net_fold_key *key, const struct net_fold *fold,
		    uint64_t packets)
{
	(void)arg;
	(void)packets;
	assert_non_null(fold);
	told[key->rule_id * 2 + (key->mode == KMN_PREVENT)] -= fold->packets;
}

static void show(const struct t_case *c, uint32_t round, int i)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	int family = c->version == 6 ? AF_INET6 : AF_INET;

	printf("round %u packet %d: %s -> %s proto %u %u -> %u out %d later %d cut %d %d\n", round,
	       i, inet_ntop(family, c->src, src, sizeof(src)),
	       inet_ntop(family, c->dst, dst, sizeof(dst)), c->proto, c->sport, c->dport,
	       c->outgoing, c->later, c->ports_cut, c->proto_cut);
}

static void one_round(uint32_t round, uint32_t n)
{
	struct fw_spec *rules = calloc(n, sizeof(*rules));
	uint32_t drops = 0, tells = 0;
	struct t_frame f;
	struct t_case c;

	seed = 12345 + round;
	for (uint32_t i = 0; i < n; i++)
		random_rule(&rules[i], i + 1);
	told = calloc(2 * (n + 1), sizeof(*told));
	t_stage(t, rules, n, round);
	t_commit(t, round);
	for (int i = 0; i < PACKETS; i++) {
		struct t_verdict want;
		int got;

		random_case(&c);
		build(&f, &c);
		want = t_oracle(rules, n, &c);
		got = c.outgoing ? t_out(t, &f) : t_in(t, &f);
		if (got != (want.drop ? TC_ACT_SHOT : TC_ACT_UNSPEC))
			show(&c, round, i);
		assert_int_equal(got, want.drop ? TC_ACT_SHOT : TC_ACT_UNSPEC);
		drops += want.drop;
		tells += want.told;
		if (want.told)
			told[want.rule_id * 2 + want.drop]++;
	}
	assert_int_equal(t_folded(t, on_fold, NULL), tells);
	for (uint32_t i = 0; i < 2 * (n + 1); i++)
		assert_int_equal(told[i], 0);
	if (n > 60) /* the world is dense enough to test something */
		assert_true(tells > PACKETS / 50);
	free(told);
	for (uint32_t i = 0; i < n; i++)
		fw_spec_free(&rules[i]);
	free(rules);
}

static void the_classifier_and_the_oracle_agree(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 3, 8, 20, 63, 64, 65, 200, 1024 };
	uint32_t rounds = getenv("KMN_SOAK") ? 600 : ROUNDS;

	(void)state;
	for (uint32_t round = 1; round <= rounds; round++)
		one_round(round, sizes[round % (sizeof(sizes) / sizeof(*sizes))]);
}

static void an_empty_policy_and_none_pass_everything(void **state)
{
	struct t_frame f;

	(void)state;
	t_packet(&f, "192.0.2.1", "192.0.2.2", IPPROTO_TCP, 1, 2);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC); /* generation 0: nothing was ever staged */
	t_stage(t, NULL, 0, 1);
	t_commit(t, 1);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	assert_int_equal(t_folded(t, NULL, NULL), 0);
}

static void a_staged_policy_is_unseen_until_the_commit(void **state)
{
	struct fw_spec deny = {
		.id = 1, .action = FW_DENY, .mode = KMN_PREVENT, .directions = FW_IN | FW_OUT
	};
	struct t_frame f;

	(void)state;
	t_packet(&f, "192.0.2.1", "192.0.2.2", IPPROTO_TCP, 1, 2);
	t_stage(t, &deny, 1, 1);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	t_commit(t, 1);
	assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	t_stage(t, NULL, 0, 2);
	assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	t_commit(t, 2);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
}

static void frames_that_are_not_ip_pass_a_rule_that_denies_all(void **state)
{
	struct fw_spec deny = {
		.id = 1, .action = FW_DENY, .mode = KMN_PREVENT, .directions = FW_IN | FW_OUT
	};
	struct t_frame f;

	(void)state;
	t_stage(t, &deny, 1, 1);
	t_commit(t, 1);
	t_eth(&f, 0x0806);
	t_zero(&f, 46);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	assert_int_equal(t_out(t, &f), TC_ACT_UNSPEC);
}

static int setup(void **state)
{
	(void)state;
	t_bind_cpu(0);
	t = t_net_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t_net_close(t);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(the_classifier_and_the_oracle_agree),
		TEST(an_empty_policy_and_none_pass_everything),
		TEST(a_staged_policy_is_unseen_until_the_commit),
		TEST(frames_that_are_not_ip_pass_a_rule_that_denies_all),
	};

	t_need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
