/* bench_packet: ns per packet of the empty path and of the firewall stage, as TSV. The time is the
 * kernel's own (BPF_PROG_TEST_RUN divides by the repetitions); rounds of all cases alternate, and a
 * row has the least, the median and the most of them. The cheapest program of the same type runs
 * beside them (limit), so figures of one run can be compared as ratios.
 *
 *   case  rules  ns_min  ns_median  ns_max  over_limit_ns */
#include "harness/rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 9
#define REPEAT 200000
#define CASES 7

static struct t_net *t;

static int load_limit(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = TC_ACT_UNSPEC },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "limit", "GPL", insns, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static __u32 time_one(int fd, const struct t_frame *f)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = (__u32)f->len,
		    .repeat = REPEAT);

	assert_int_equal(bpf_prog_test_run_opts(fd, &opts), 0);
	return opts.duration;
}

/* n rules of different shape that the packet has to be compared with, none of which it matches. */
static struct fw_spec *some_rules(uint32_t n)
{
	struct fw_spec *s = calloc(n, sizeof(*s));
	char text[32];

	assert_non_null(s);
	for (uint32_t i = 0; i < n; i++) {
		struct net_cidr *c = calloc(1, sizeof(*c));
		struct fw_range *p = calloc(1, sizeof(*p));

		assert_true(c && p);
		(void)snprintf(text, sizeof(text), "12.%u.%u.0/24", i >> 8, i & 255);
		s[i] = t_rule_udp(i + 1, i & 1 ? FW_DENY : FW_ALLOW, KMN_PREVENT, c,
				  i % 3 ? text : "11.0.0.0/8");
		*p = (struct fw_range){ (uint16_t)(1000 + i), (uint16_t)(2000 + i) };
		s[i].destination_port = (struct fw_ports_given){ true, p, 1, 1 };
		s[i].priority = (uint8_t)(i % 5);
	}
	return s;
}

static int by_value(const void *a, const void *b)
{
	return *(const __u32 *)a < *(const __u32 *)b ? -1 : *(const __u32 *)a > *(const __u32 *)b;
}

static void measure(void **state)
{
	static const uint32_t rules[CASES] = { 0, 0, 0, 1, 100, 1000, 1 };
	static const char *const names[CASES] = { "limit",	 "empty path", "no rules",
						  "no match",	 "no match",   "no match",
						  "deny, folded" };
	static __u32 ns[CASES][ROUNDS];
	struct t_frame miss, hit, *frame;
	int limit = load_limit();
	int path = bpf_program__fd(t->net->progs.net_ingress);
	struct net_cidr all;
	uint64_t gen = 1;

	(void)state;
	t_udp_from(&miss, 7, 53);
	hit = miss;
	for (int round = -1; round < ROUNDS; round++) /* the first warms up */
		for (int c = 0; c < CASES; c++) {
			struct fw_spec deny, *specs = rules[c] ? some_rules(rules[c]) : NULL;
			__u32 got;

			frame = c == CASES - 1 ? &hit : &miss;
			if (c == CASES - 1) {
				deny = t_rule_udp(1, FW_DENY, KMN_PREVENT, &all, "11.0.0.0/8");
				t_stage(t, &deny, 1, ++gen);
			} else {
				t_stage(t, specs, rules[c], ++gen);
			}
			t_commit(t, gen);
			t_grace();
			assert_int_equal(net_stages_fill(t->net), 0);
			if (c > 1)
				assert_int_equal(net_stage_put(t->net, NET_STAGE_firewall,
							       t->fw->progs.fw_tc),
						 0);
			if (c) /* what is measured is what it is called */
				assert_int_equal(t_in(t, frame),
						 c == CASES - 1 ? TC_ACT_SHOT : TC_ACT_UNSPEC);
			got = time_one(c ? path : limit, frame);
			if (round >= 0)
				ns[c][round] = got;
			for (uint32_t i = 0; i < rules[c]; i++) {
				free(specs[i].source.cidr);
				free(specs[i].destination_port.range);
			}
			free(specs);
		}
	puts("case\trules\tns_min\tns_median\tns_max\tover_limit_ns");
	for (int c = 0; c < CASES; c++) {
		qsort(ns[c], ROUNDS, sizeof(ns[c][0]), by_value);
		printf("%s\t%u\t%u\t%u\t%u\t%d\n", names[c], rules[c], ns[c][0], ns[c][ROUNDS / 2],
		       ns[c][ROUNDS - 1], (int)(ns[c][0] - ns[0][0]));
	}
}

int main(void)
{
	t_need_bpf();
	t_bind_cpu(0);
	t = t_net_open();
	measure(NULL);
	t_net_close(t);
	return 0;
}
