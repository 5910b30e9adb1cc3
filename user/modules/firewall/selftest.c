#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "firewall/firewall.skel.h"
#include "modules/firewall/firewall.h"
#include "net/net.skel.h"
#include "services/net/net.h"
#include "services/net/net_self.h"

/* In a network namespace of its own, in a child, with an own copy of the programs: a datagram on
 * loopback arrives; with a rule that denies it, it does not; with the rule in detect it does. */
enum { SELFTEST_GOOD, SELFTEST_BAD, SELFTEST_CANNOT };
#define SELFTEST_PORT 4119
#define SELFTEST_MS 10000

KMN_AUTO_DEFINE(struct net_bpf *, net_bpf__destroy)
KMN_AUTO_DEFINE(struct firewall_bpf *, firewall_bpf__destroy)

static int say(int code, const char *what)
{
	(void)!write(STDOUT_FILENO, what, strlen(what)); /* to the parent */
	return code;
}

static int lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	kmn_auto(fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

/* Does a datagram get from one socket to the other? */
static bool arrives(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(SELFTEST_PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	kmn_auto(fd) int in = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	kmn_auto(fd) int out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = { .fd = in, .events = POLLIN };

	if (in < 0 || out < 0 || bind(in, (void *)&to, sizeof(to)) < 0)
		return false;
	(void)!sendto(out, "k", 1, 0, (void *)&to, sizeof(to));
	return poll(&p, 1, 300) == 1;
}

static int share(struct bpf_object *from, struct bpf_object *to)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, to)
	{
		struct bpf_map *same = bpf_object__find_map_by_name(from, bpf_map__name(map));

		if (!r && same && !bpf_map__is_internal(map))
			r = bpf_map__reuse_fd(map, bpf_map__fd(same));
	}
	return r;
}

static int stage_rule(const struct fw_maps *maps, enum kmn_mode mode, uint64_t gen)
{
	struct net_cidr lo = { .bits = 128 };
	struct fw_range port = { SELFTEST_PORT, SELFTEST_PORT };
	struct fw_spec s = { .id = 1,
			     .action = FW_DENY,
			     .mode = (uint8_t)mode,
			     .directions = FW_IN,
			     .proto_given = true,
			     .proto = { 1ULL << IPPROTO_UDP },
			     .source = { true, &lo, 1, 1 },
			     .destination_port = { true, &port, 1, 1 } };
	struct fw_plan plan = { .specs = &s, .n_specs = 1 };
	struct fw_half half;
	const char *why;
	int r;

	(void)net_cidr_parse("127.0.0.1", 9, &lo);
	r = fw_tables_build(&plan.t, &s, 1, &why);
	fw_half_init(&half);
	if (!r)
		r = fw_half_fill(maps, &half, &plan, gen);
	fw_half_close(&half); /* the map of maps holds them */
	fw_tables_free(&plan.t);
	return r;
}

static int set_gen(int state_fd, uint64_t gen)
{
	struct kmn_state s = { .gen = gen };
	uint32_t key = 0;

	return bpf_map_update_elem(state_fd, &key, &s, BPF_ANY);
}

static int attach(const struct net_bpf *net)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = 1, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1,
		    .prog_fd = bpf_program__fd(net->progs.net_ingress));
	int r = bpf_tc_hook_create(&hook);

	return r < 0 && r != -EEXIST ? r : bpf_tc_attach(&hook, &opts);
}

static int in_child(void)
{
	kmn_auto(firewall_bpf__destroy) struct firewall_bpf *fw = NULL;
	kmn_auto(net_bpf__destroy) struct net_bpf *net = NULL;
	struct fw_maps maps;
	int state, r;

	if (unshare(CLONE_NEWNET) < 0 || lo_up() < 0)
		return say(SELFTEST_CANNOT, "no network namespace of its own can be made");
	if (!arrives())
		return say(SELFTEST_CANNOT, "loopback does not work without a rule");
	net = net_bpf__open_and_load();
	fw = firewall_bpf__open();
	if (!net || !fw || share(net->obj, fw->obj) < 0 || firewall_bpf__load(fw) < 0)
		return say(SELFTEST_BAD, "the programs cannot be loaded");
	fw_maps_of(fw, &maps);
	state = bpf_map__fd(net->maps.kmn_state);
	r = net_stages_fill(net);
	if (!r)
		r = net_stage_put(net, NET_STAGE_firewall, fw->progs.fw_tc);
	if (!r)
		r = stage_rule(&maps, KMN_PREVENT, 1);
	if (!r)
		r = set_gen(state, 1);
	if (!r)
		r = attach(net);
	if (r < 0)
		return say(SELFTEST_BAD, "the rule cannot be put in force");
	if (arrives())
		return say(SELFTEST_BAD, "a packet that a rule denies got through");
	if (stage_rule(&maps, KMN_DETECT, 2) < 0 || set_gen(state, 2) < 0 || !arrives())
		return say(SELFTEST_BAD, "a packet that a rule only detects did not get through");
	return say(SELFTEST_GOOD, "a packet that a rule denies does not arrive, in detect it does");
}

/* The child's word and its end, within SELFTEST_MS. */
static int wait_child(pid_t pid, int pipe_fd, char *word, size_t size)
{
	uint64_t until = clock_boot_ns() + SELFTEST_MS * NS_PER_MS;
	struct pollfd p = { .fd = pipe_fd, .events = POLLIN };
	ssize_t n = 0;
	int status;

	while (clock_boot_ns() < until && poll(&p, 1, 100) == 0)
		;
	if (p.revents & POLLIN)
		n = read(pipe_fd, word, size - 1);
	word[n > 0 ? n : 0] = '\0';
	if (clock_boot_ns() >= until)
		(void)kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || n <= 0) {
		(void)snprintf(word, size, "the test did not end by itself");
		return SELFTEST_BAD;
	}
	return WEXITSTATUS(status);
}

int fw_selftest(void *self, struct buf *why)
{
	kmn_auto(fd) int from = -1;
	char word[160];
	int ends[2], code;
	pid_t pid;

	(void)self; /* the live rules are not touched */
	if (pipe(ends) < 0) {
		buf_puts(why, strerror(errno));
		return SELFTEST_CANNOT;
	}
	from = ends[0];
	pid = fork();
	if (pid == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		_exit(in_child());
	}
	close(ends[1]);
	if (pid < 0) {
		buf_puts(why, strerror(errno));
		return SELFTEST_CANNOT;
	}
	code = wait_child(pid, from, word, sizeof(word));
	buf_puts(why, word);
	return code;
}
