#include "harness/rules.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two policies that both deny one packet, each by a rule of its own number: A, of the odd
 * generations, by rule 1, B by rule 2. They differ in source, destination, both ports, protocol,
 * interface, direction, order and number of rules, so whoever mixes them finds the packet at no
 * rule, or at one that stands for something else. KMN_SOAK=1: 1,000 swaps. */
#define SWAPS 50
#define REPEAT 500 /* packets of one system call */
#define FILL_A 70
#define FILL_B 5

static struct t_net *t;

struct policy_rules {
	struct fw_spec spec[FILL_A + 1];
	struct net_cidr source[FILL_A + 1], destination[FILL_A + 1];
	struct fw_range sport[FILL_A + 1], dport[FILL_A + 1];
	uint32_t n;
};

static void cidr(struct net_cidr *c, const char *text)
{
	assert_null(net_cidr_parse(text, strlen(text), c));
}

static void rule(struct policy_rules *p, uint32_t id, uint8_t priority, const char *source,
		 const char *destination, struct fw_range sport, struct fw_range dport)
{
	uint32_t i = p->n++;

	cidr(&p->source[i], source);
	cidr(&p->destination[i], destination);
	p->sport[i] = sport;
	p->dport[i] = dport;
	p->spec[i] = (struct fw_spec){ .id = id,
				       .action = FW_DENY,
				       .mode = KMN_PREVENT,
				       .priority = priority,
				       .directions = FW_IN | FW_OUT,
				       .proto_given = true,
				       .proto = { 1ULL << IPPROTO_UDP },
				       .source = { true, &p->source[i], 1, 1 },
				       .destination = { true, &p->destination[i], 1, 1 },
				       .source_port = { true, &p->sport[i], 1, 1 },
				       .destination_port = { true, &p->dport[i], 1, 1 } };
}

static void make_a(struct policy_rules *p)
{
	static char *lo[] = { "lo" };
	char text[32];

	for (uint32_t i = 0; i < FILL_A; i++) { /* each excludes the packet in another dimension */
		(void)snprintf(text, sizeof(text), "12.0.%u.0/24", i);
		rule(p, 100 + i, 4, i & 1 ? text : "11.0.0.0/16", i & 2 ? "192.0.2.2" : text,
		     (struct fw_range){ (uint16_t)(1230 + i), (uint16_t)(1230 + i) },
		     (struct fw_range){ 53, (uint16_t)(53 + i) });
		p->spec[i].directions = i & 4 ? FW_IN : FW_IN | FW_OUT;
	}
	rule(p, 1, 3, "11.0.0.1", "192.0.2.2", (struct fw_range){ 1234, 1234 },
	     (struct fw_range){ 53, 53 });
	p->spec[FILL_A].interfaces = lo;
	p->spec[FILL_A].n_interfaces = 1;
	p->spec[FILL_A].directions = FW_IN;
}

static void make_b(struct policy_rules *p)
{
	for (uint32_t i = 0; i < FILL_B; i++)
		rule(p, 200 + i, 4, "11.0.0.0/8", "192.0.2.0/24", (struct fw_range){ 0, 1233 },
		     (struct fw_range){ 54, 65535 });
	rule(p, 2, 0, "11.0.0.0/30", "192.0.0.0/16", (struct fw_range){ 1000, 2000 },
	     (struct fw_range){ 50, 60 });
	p->spec[FILL_B].proto_given = true;
	p->spec[FILL_B].proto[0] = 1ULL << IPPROTO_UDP | 1ULL << IPPROTO_TCP;
}

struct flood {
	pthread_t thread;
	_Atomic bool stop;
	_Atomic uint64_t packets;
	uint64_t passed;
};

static void *flood(void *arg)
{
	struct flood *fl = arg;
	struct t_frame f;

	t_udp_from(&f, 1, 53);
	while (!fl->stop) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f.data,
			    .data_size_in = (__u32)f.len, .repeat = REPEAT);

		assert_int_equal(
			bpf_prog_test_run_opts(bpf_program__fd(t->net->progs.net_ingress), &opts),
			0);
		fl->passed += (int)opts.retval != TC_ACT_SHOT;
		fl->packets += REPEAT;
	}
	return NULL;
}

struct verdicts {
	uint64_t a, b, third;
};

static void on_fold(void *arg, const struct net_fold_key *key, const struct net_fold *fold,
		    uint64_t packets)
{
	struct verdicts *v = arg;

	(void)packets;
	assert_non_null(fold);
	if (key->gen & 1 && key->rule_id == 1)
		v->a += fold->packets;
	else if (!(key->gen & 1) && key->rule_id == 2)
		v->b += fold->packets;
	else
		v->third += fold->packets;
}

static void each_packet_obeys_one_policy_whole(void **state)
{
	uint64_t swaps = getenv("KMN_SOAK") ? 1000 : SWAPS;
	static struct policy_rules a, b;
	struct verdicts v = { 0 };
	struct flood fl = { 0 };

	(void)state;
	make_a(&a);
	make_b(&b);
	t_stage(t, a.spec, a.n, 1);
	t_commit(t, 1);
	assert_int_equal(pthread_create(&fl.thread, NULL, flood, &fl), 0);
	for (uint64_t gen = 2; gen <= swaps + 1; gen++) {
		uint64_t from;

		t_stage(t, gen & 1 ? a.spec : b.spec, gen & 1 ? a.n : b.n, gen);
		t_commit(t, gen);
		t_grace(); /* as policy/ does: before the half that is now idle is filled again */
		for (from = fl.packets; fl.packets < from + REPEAT;) /* let packets meet it */
			usleep(100);
		assert_int_equal(net_folds_flush(&t->folds, on_fold, &v), 0);
	}
	fl.stop = true;
	pthread_join(fl.thread, NULL);
	t_grace();
	(void)t_folded(t, on_fold, &v);
	printf("%llu swaps, %llu packets: A %llu, B %llu, third %llu, passed %llu\n",
	       (unsigned long long)swaps, (unsigned long long)fl.packets, (unsigned long long)v.a,
	       (unsigned long long)v.b, (unsigned long long)v.third,
	       (unsigned long long)fl.packets - v.a - v.b - v.third);
	assert_int_equal(v.third, 0);
	assert_int_equal(fl.passed, 0);
	assert_int_equal(v.a + v.b, fl.packets);
	assert_true(v.a > 0 && v.b > 0);
	assert_int_equal(t_count(t, NET_C_MISSED_TAIL), 0);
}

/* The test could not see a mixture if the policies gave the same sets the same numbers. */
static void halves_mixed_on_purpose_give_a_third_verdict(void **state)
{
	static struct policy_rules a, b;
	struct fw_plan plan = { 0 };
	unsigned third = 0;
	struct t_frame f;
	const char *why;

	(void)state;
	t_bind_cpu(0);
	make_a(&a);
	make_b(&b);
	t_udp_from(&f, 1, 53);
	for (int dim = 0; dim < 3; dim++) {
		struct fw_tables from_a, from_b;

		assert_int_equal(fw_tables_build(&from_a, a.spec, a.n, &why), 0);
		assert_int_equal(fw_tables_build(&from_b, b.spec, b.n, &why), 0);
		plan = (struct fw_plan){ .specs = a.spec, .n_specs = a.n, .t = from_a };
		if (dim == 0) { /* B's sets, or ports, or source prefixes under A's head */
			plan.t.sets = from_b.sets;
			plan.t.n_sets = from_b.n_sets;
		} else if (dim == 1) {
			plan.t.ports = from_b.ports;
		} else {
			plan.t.prefix[FW_SRC4] = from_b.prefix[FW_SRC4];
			plan.t.n_prefixes[FW_SRC4] = from_b.n_prefixes[FW_SRC4];
		}
		assert_int_equal(
			fw_half_fill(&t->maps, &t->half[1], &plan, 1001 + 2 * (uint64_t)dim), 0);
		t_commit(t, 1001 + 2 * (uint64_t)dim);
		if (t_in(t, &f) != TC_ACT_SHOT || t_pkt(t).rule_id != 1)
			third++;
		fw_tables_free(&from_a);
		fw_tables_free(&from_b);
	}
	assert_int_equal(third, 3);
}

static int setup(void **state)
{
	(void)state;
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
		TEST(each_packet_obeys_one_policy_whole),
		TEST(halves_mixed_on_purpose_give_a_third_verdict),
	};

	t_need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
