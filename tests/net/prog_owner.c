/* Whose socket is it: what the cgroup programs of bpf/net/owner write onto real sockets, and what
 * is taken in of sockets that were there before. In a cgroup of its own, so that no other process
 * of the host is touched. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "context/process.h"
#include "harness/packets.h"
#include "services/net/accept.h"
#include "services/net/owners.h"

static struct kernel kernel;
static struct hook_table *hooks;
static struct bpfobj *bpf;
static struct kmn_core core;
static char root[64], cgroup[64], outside[64];
static int owners;

/* What both sides of a fork see. */
struct seen {
	struct net_owner o;
	pid_t pid;
	int found;
};

static struct net_owner owner_of(int fd)
{
	struct net_owner o = {};

	assert_int_equal(bpf_map_lookup_elem(owners, &fd, &o), 0);
	return o;
}

static void put_into(const char *path)
{
	char procs[192];
	int fd, n;

	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	n = snprintf(procs, sizeof(procs), "%d", getpid());
	assert_int_equal(write(fd, procs, (size_t)n), n);
	close(fd);
}

static int listener(int family, struct sockaddr_storage *at, socklen_t *len)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(family, SOCK_STREAM, 0);

	*len = family == AF_INET ? sizeof(in4) : sizeof(in6);
	memcpy(at, family == AF_INET ? (void *)&in4 : (void *)&in6, *len);
	assert_int_equal(bind(fd, (void *)at, *len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (void *)at, len), 0); /* as servers do */
	return fd;
}

enum taking { WITH_ADDRESS, WITHOUT, THEN_PEER, THEN_NAME };

/* A child accepts a connection of ours in that way and looks at what stands on it. */
static struct seen accepted(int family, enum taking how)
{
	struct seen *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_storage at, from;
	socklen_t len, from_len = sizeof(from);
	int l = listener(family, &at, &len), out = socket(family, SOCK_STREAM, 0), status, in;
	struct seen copy;
	pid_t pid;

	assert_int_equal(connect(out, (void *)&at, len), 0);
	pid = fork();
	if (!pid) {
		in = how == WITH_ADDRESS ? accept(l, (void *)&from, &from_len)
					 : accept(l, NULL, NULL);
		if (how == THEN_PEER)
			(void)getpeername(in, (void *)&from, &from_len);
		if (how == THEN_NAME)
			(void)getsockname(in, (void *)&from, &from_len);
		s->pid = getpid();
		s->found = in >= 0 && bpf_map_lookup_elem(owners, &in, &s->o) == 0;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(s->found);
	assert_int_equal(owner_of(l).pid, getpid()); /* the listener is ours all the time */
	assert_false(owner_of(l).how & NET_OWNER_SURE);
	close(l);
	close(out);
	copy = *s;
	munmap(s, sizeof(*s));
	return copy;
}

static void a_connection_belongs_to_who_accepts_it_with_an_address(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct seen s = accepted(families[i], WITH_ADDRESS);

		assert_int_equal(s.o.pid, s.pid);
		assert_true(s.o.how & NET_OWNER_SURE);
	}
}

static void a_connection_that_nobody_asks_about_is_still_the_listeners(void **state)
{
	struct seen s = accepted(AF_INET, WITHOUT);

	(void)state;
	assert_int_equal(s.o.pid, getpid());
	assert_false(s.o.how & NET_OWNER_SURE);
}

static void a_process_that_asks_for_its_names_holds_it(void **state)
{
	(void)state;
	for (int how = THEN_PEER; how <= THEN_NAME; how++) {
		struct seen s = accepted(AF_INET, (enum taking)how);

		assert_int_equal(s.o.pid, s.pid);
		assert_true(s.o.how & NET_OWNER_SURE);
	}
}

/* Where the kernel lets a program stand in accept() itself, nobody has to ask. */
static void who_accepts_owns_it_where_a_program_can_stand_there(void **state)
{
	struct hook *h;
	struct seen s;

	(void)state;
	net_accept_start(&core);
	net_accept_attach(&core);
	h = hook_get(hooks, KMN_SVC_net, "fexit/inet_csk_accept");
	if (h->state != HOOK_ATTACHED) {
		print_message("%s\n", h->why);
		assert_true(h->why[0]);
		skip();
	}
	net_accept_canary(&core);
	if (h->state != HOOK_PROVEN)
		fail_msg("%s", h->why);
	s = accepted(AF_INET, WITHOUT);
	assert_int_equal(s.o.pid, s.pid);
	assert_true(s.o.how & NET_OWNER_ACCEPTED);
	s = accepted(AF_INET6, WITHOUT);
	assert_int_equal(s.o.pid, s.pid);
}

/* Exactly when we started, or to the tick of 10 ms that /proc knows, and the cgroup of containers.
 */
static void assert_is_ours(const struct net_owner *o, bool exact)
{
	const struct process_host host = { .proc_root = "/proc",
					   .cgroup_root = kernel.cgroup_root,
					   .cgroup_name = kernel.cgroup_subsys < 0
								  ? ""
								  : kernel.cgroup_name };
	uint64_t start_ns = 0, cgroup_id = 0;
	int dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(process_read_identity(&host, dir, &start_ns, &cgroup_id), 0);
	close(dir);
	assert_true(start_ns > 0);
	assert_int_equal(o->pid, getpid());
	assert_int_equal(o->start_ns / 10000000, start_ns / 10000000);
	if (!exact)
		assert_int_equal(o->start_ns, start_ns);
	if (kernel.cgroup_root[0])
		assert_true(cgroup_id > 0);
	assert_int_equal(o->cgroup_id, cgroup_id);
}

static void the_owner_has_a_start_and_the_cgroup_that_holds_containers(void **state)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct net_owner o = owner_of(fd);

	(void)state;
	if (kernel.has[KERNEL_PROBE_READ])
		assert_is_ours(&o, true);
	close(fd);
}

static void what_was_open_before_is_taken_in_with_start_and_cgroup(void **state)
{
	struct net_owners_stats stats = {};
	struct sockaddr_storage at;
	struct net_owner o;
	int open_before, waits;
	socklen_t len;

	(void)state;
	put_into(outside); /* out of sight of the programs */
	open_before = socket(AF_INET, SOCK_STREAM, 0);
	waits = listener(AF_INET, &at, &len);
	assert_int_equal(bpf_map_lookup_elem(owners, &open_before, &o), -ENOENT);
	net_owners_take_in(owners, &kernel, &stats);
	assert_true(stats.taken_in >= 2);
	o = owner_of(open_before);
	assert_is_ours(&o, false);
	assert_true(o.how & NET_OWNER_SURE);
	o = owner_of(waits);
	assert_is_ours(&o, false);
	assert_false(o.how & NET_OWNER_SURE); /* of what it accepts it is the listener */
	close(open_before);
	close(waits);
}

/* After a sensor's own canary every hook is proven: each of the programs has run. */
static void each_hook_is_proven(void **state)
{
	(void)state;
	net_owners_canary(&core);
	for (struct hook *h = hook_next(hooks, NULL); h; h = hook_next(hooks, h))
		if (h->state != HOOK_PROVEN)
			fail_msg("%s: %s", h->name, h->why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_hook_is_proven),
		cmocka_unit_test(a_connection_belongs_to_who_accepts_it_with_an_address),
		cmocka_unit_test(a_connection_that_nobody_asks_about_is_still_the_listeners),
		cmocka_unit_test(a_process_that_asks_for_its_names_holds_it),
		cmocka_unit_test(who_accepts_owns_it_where_a_program_can_stand_there),
		cmocka_unit_test(the_owner_has_a_start_and_the_cgroup_that_holds_containers),
		cmocka_unit_test(what_was_open_before_is_taken_in_with_start_and_cgroup),
	};
	unsigned n;
	int r;

	t_need_bpf();
	t_own_netns();
	if (kernel_mount_bpffs() < 0 || kernel_probe(&kernel) < 0)
		return 1;
	if (!kernel.cgroup2_root[0]) {
		puts("skipped: no cgroup2 is mounted");
		return 77;
	}
	(void)snprintf(outside, sizeof(outside), "%s", kernel.cgroup2_root);
	(void)snprintf(root, sizeof(root), "/sys/fs/bpf/komainu-owner-%d", getpid());
	(void)snprintf(cgroup, sizeof(cgroup), "%.40s/kmn-owner-%d", outside, getpid());
	if (mkdir(cgroup, 0755) < 0)
		return 1;
	(void)snprintf(kernel.cgroup2_root, sizeof(kernel.cgroup2_root), "%s", cgroup);
	put_into(cgroup);
	hooks = hook_table_new();
	bpf = bpfobj_new(&kernel, hooks, root);
	core = (struct kmn_core){ .kernel = &kernel, .hooks = hooks, .bpf = bpf };
	net_owners_start(&core);
	net_owners_attach(&core);
	owners = bpfobj_map(bpf, "net_owners");
	r = owners < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	net_accept_stop();
	net_owners_stop();
	(void)bpfobj_unload_all(root, &n);
	bpfobj_free(bpf);
	hook_table_free(hooks);
	put_into(outside);
	(void)rmdir(cgroup);
	return r;
}
