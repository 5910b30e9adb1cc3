/* bench_packet: CPU time of one packet in the empty path and in the firewall stage, beside the
 * cheapest program of the same type (limit). The time is the kernel's own: BPF_PROG_TEST_RUN
 * divides by the repetitions. For tests/bench/run. */
#include "harness/rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPEAT 1000000

static const struct pkt_case {
	const char *name;
	uint32_t rules;
	bool stage; /* the firewall is called */
	bool hit;   /* the packet is denied and folded */
} cases[] = {
	{ "limit", 0, false, false },	   { "empty-path", 0, false, false },
	{ "no-rules", 0, true, false },	   { "rules-1", 1, true, false },
	{ "rules-100", 100, true, false }, { "rules-1000", 1000, true, false },
	{ "denied", 1, true, true },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

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

/* The rules of a case in force, the packet that meets them as its name says; ns of one. */
static __u32 measure(const struct pkt_case *c)
{
	struct net_cidr all;
	struct fw_spec deny = t_rule_udp(1, FW_DENY, KMN_PREVENT, &all, "11.0.0.0/8");
	struct fw_spec *specs = c->rules ? some_rules(c->rules) : NULL;
	int path = bpf_program__fd(t->net->progs.net_ingress);
	struct t_frame frame;

	t_udp_from(&frame, 7, 53);
	t_stage(t, c->hit ? &deny : specs, c->rules, 2);
	t_commit(t, 2);
	t_grace();
	for (uint32_t i = 0; i < c->rules; i++) {
		free(specs[i].source.cidr);
		free(specs[i].destination_port.range);
	}
	free(specs);
	assert_int_equal(net_stages_fill(t->net), 0);
	if (c->stage)
		assert_int_equal(net_stage_put(t->net, NET_STAGE_firewall, t->fw->progs.fw_tc), 0);
	if (c == cases) /* limit */
		return time_one(load_limit(), &frame);
	/* what is measured is what it is called */
	assert_int_equal(t_in(t, &frame), c->hit ? TC_ACT_SHOT : TC_ACT_UNSPEC);
	return time_one(path, &frame);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "candidates")) {
		for (size_t i = 0; i < CASES; i++)
			puts(cases[i].name);
		return 0;
	}
	for (size_t i = 0; argc == 3 && !strcmp(argv[1], "round") && i < CASES; i++) {
		if (strcmp(argv[2], cases[i].name) != 0)
			continue;
		t_need_bpf();
		t_bind_cpu(0);
		t = t_net_open();
		printf("packet\tns\tmin\t%u\n", measure(&cases[i]));
		t_net_close(t);
		return 0;
	}
	fprintf(stderr, "usage: %s candidates | round CASE\n", argv[0]);
	return 2;
}
