#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/bpfobj.h"
#include "harness/packets.h"
#include "tests/core/takeover.skel.h"

#define SWAPS 50
#define SWAPS_SLOW 12 /* in an emulated machine, where each wait for RCU is long */

static char root[64];
static int swaps = SWAPS;
static struct kernel kernel;
static int cgroup_fd;

/* One sensor: the object loaded, its policy staged, its three hooks taken over. */
struct sensor {
	struct hook_table *hooks;
	struct bpfobj *bpf;
	struct takeover_bpf *skel;
	struct hook *tc, *cg, *tp;
};

static struct sensor sensor_begin(__u32 deny)
{
	static const char *const adopt[] = { "tk_runs", NULL };
	struct sensor s = { .hooks = hook_table_new() };
	__u32 key = 0;

	s.bpf = bpfobj_new(&kernel, s.hooks, root);
	assert_non_null(s.bpf);
	s.skel = takeover_bpf__open();
	assert_non_null(s.skel);
	assert_int_equal(bpfobj_load(s.bpf, s.skel->skeleton, adopt), 0);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(s.skel->maps.tk_policy), &key, &deny, BPF_ANY), 0);
	s.tc = hook_get(s.hooks, 1, "tc/lo/ingress");
	s.cg = hook_get(s.hooks, 1, "cgroup/connect4");
	s.tp = hook_get(s.hooks, 1, "tp_btf/sched_process_exec");
	assert_int_equal(bpfobj_attach_tc(s.bpf, s.tc, s.skel->progs.tk_tc, 1, false), 0);
	assert_int_equal(bpfobj_attach_cgroup(s.bpf, s.cg, s.skel->progs.tk_connect, cgroup_fd), 0);
	assert_int_equal(bpfobj_attach_trace(s.bpf, s.tp, s.skel->progs.tk_exec), 0);
	bpfobj_drop_previous(s.bpf);
	return s;
}

/* And proven. */
static struct sensor sensor_start(__u32 deny)
{
	struct sensor s = sensor_begin(deny);

	assert_true(s.tp->unsettled);
	assert_int_equal(bpfobj_attach_settle(s.bpf, s.tp), 0);
	assert_false(s.tp->unsettled);
	return s;
}

/* As after kill -9: descriptors go, pins stay. */
static void sensor_dies(struct sensor *s)
{
	takeover_bpf__destroy(s->skel);
	bpfobj_free(s->bpf);
	hook_table_free(s->hooks);
}

static uint64_t runs(const struct sensor *s, __u32 which)
{
	uint64_t n = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.tk_runs), &which, &n), 0);
	return n;
}

/* UDP over lo while the caller works: how many datagrams arrived. */
struct traffic {
	int in, out;
	struct sockaddr_in to;
	volatile int stop;
	uint64_t sent, got;
	pthread_t thread;
};

static void *send_all(void *arg)
{
	struct traffic *t = arg;
	char byte;

	while (!t->stop) {
		t->sent += sendto(t->out, "x", 1, 0, (struct sockaddr *)&t->to, sizeof(t->to)) == 1;
		while (recv(t->in, &byte, 1, MSG_DONTWAIT) == 1)
			t->got++;
	}
	while (recv(t->in, &byte, 1, MSG_DONTWAIT) == 1)
		t->got++;
	return NULL;
}

static void traffic_start(struct traffic *t)
{
	socklen_t len = sizeof(t->to);

	*t = (struct traffic){ .to = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	t->in = socket(AF_INET, SOCK_DGRAM, 0);
	t->out = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(t->in, (struct sockaddr *)&t->to, sizeof(t->to)), 0);
	assert_int_equal(getsockname(t->in, (struct sockaddr *)&t->to, &len), 0);
	assert_int_equal(pthread_create(&t->thread, NULL, send_all, t), 0);
}

static void traffic_end(struct traffic *t)
{
	t->stop = 1;
	pthread_join(t->thread, NULL);
	close(t->in);
	close(t->out);
}

static int try_connect(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int r = connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;

	close(fd);
	return r;
}

/* A program whose pin is gone runs until the kernel's worker has freed its link. */
static int connect_once_freed(void)
{
	int r = try_connect();

	for (int i = 0; i < 200 && r == -EPERM; i++) {
		usleep(10000);
		r = try_connect();
	}
	return r;
}

static void run_true(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void swaps_leave_no_gap(void)
{
	struct traffic t;
	struct sensor s;
	char path[128];
	uint64_t execs;
	unsigned n;

	traffic_start(&t); /* without us it arrives */
	usleep(50000);
	traffic_end(&t);
	assert_true(t.sent > 0 && t.got > t.sent / 2);
	assert_int_equal(connect_once_freed(), -ECONNREFUSED);

	s = sensor_start(1);
	execs = runs(&s, 2);
	traffic_start(&t);
	for (int i = 0; i < swaps; i++) {
		if (i & 1) /* kill -9, then a new start */
			sensor_dies(&s);
		struct sensor next = sensor_start(1);

		if (!(i & 1))
			sensor_dies(&s);
		s = next;
		assert_int_equal(try_connect(), -EPERM);
		run_true();
		assert_true(bpfobj_took_over(s.bpf));
	}
	traffic_end(&t);
	assert_true(t.sent > 1000);
	assert_int_equal(t.got, 0);
	assert_true(runs(&s, 0) >= t.sent); /* adopted map: no count was lost over the swaps */
	assert_true(runs(&s, 2) >= execs + (unsigned)swaps);
	(void)snprintf(path, sizeof(path), "%s/v%d", root, KMN_ABI);
	assert_int_equal(entries(path), 1); /* one instance's maps */
	(void)snprintf(path, sizeof(path), "%s/links", root);
	assert_int_equal(entries(path), kernel.has[KERNEL_TCX] ? 3 : 2);
	sensor_dies(&s);
	assert_int_equal(bpfobj_unload_all(root, &n), 0);
	assert_true(n >= 3);
	assert_int_equal(access(root, F_OK), -1);
	assert_int_equal(connect_once_freed(), -ECONNREFUSED);
	traffic_start(&t);
	usleep(50000);
	traffic_end(&t);
	assert_true(t.got > t.sent / 2);
}

static void swaps_by_link_leave_no_gap(void **state)
{
	(void)state;
	if (!kernel.has[KERNEL_TCX])
		skip(); /* the next test is this one's with clsact */
	swaps_leave_no_gap();
}

static void swaps_by_clsact_leave_no_gap(void **state)
{
	bool tcx = kernel.has[KERNEL_TCX];

	(void)state;
	kernel.has[KERNEL_TCX] = false;
	swaps_leave_no_gap();
	kernel.has[KERNEL_TCX] = tcx;
}

static void a_new_policy_is_seen_whole_after_the_swap(void **state)
{
	struct sensor a = sensor_start(1), b;
	unsigned n;

	(void)state;
	assert_int_equal(try_connect(), -EPERM);
	b = sensor_start(0);
	assert_int_equal(try_connect(), -ECONNREFUSED);
	sensor_dies(&a);
	sensor_dies(&b);
	assert_int_equal(bpfobj_unload_all(root, &n), 0);
}

static void a_start_that_dies_before_it_attaches_changes_nothing(void **state)
{
	struct sensor a = sensor_start(1), c;
	struct hook_table *hooks = hook_table_new();
	struct bpfobj *half = bpfobj_new(&kernel, hooks, root);
	struct takeover_bpf *skel = takeover_bpf__open();
	uint64_t before;
	unsigned n;

	(void)state;
	assert_int_equal(bpfobj_load(half, skel->skeleton, NULL), 0);
	takeover_bpf__destroy(skel);
	bpfobj_free(half);
	hook_table_free(hooks);
	assert_int_equal(try_connect(), -EPERM);
	before = runs(&a, 1);
	sensor_dies(&a);
	c = sensor_start(1); /* adopts from the one in force, not from the one that died */
	assert_int_equal(runs(&c, 1), before);
	assert_int_equal(try_connect(), -EPERM);
	sensor_dies(&c);
	assert_int_equal(bpfobj_unload_all(root, &n), 0);
}

static void a_start_that_takes_nothing_over_leaves_all_in_force(void **state)
{
	struct sensor a = sensor_start(1);
	__u32 instance = bpfobj_instance(a.bpf);
	char path[128];
	unsigned n;

	(void)state;
	sensor_dies(&a);
	for (int i = 0; i < 3; i++) { /* its parts do not start */
		struct hook_table *hooks = hook_table_new();
		struct bpfobj *b = bpfobj_new(&kernel, hooks, root);
		struct takeover_bpf *skel = takeover_bpf__open();

		assert_int_equal(bpfobj_load(b, skel->skeleton, NULL), 0);
		bpfobj_keep_previous(b);
		assert_int_equal(try_connect(), -EPERM);
		takeover_bpf__destroy(skel);
		bpfobj_free(b);
		hook_table_free(hooks);
	}
	(void)snprintf(path, sizeof(path), "%s/v%d", root, KMN_ABI);
	assert_int_equal(entries(path), 2); /* the one in force and the last one */
	(void)snprintf(path, sizeof(path), "%s/v%d/%u", root, KMN_ABI, instance);
	assert_int_equal(access(path, F_OK), 0);
	a = sensor_start(1);
	assert_int_equal(try_connect(), -EPERM);
	(void)snprintf(path, sizeof(path), "%s/v%d", root, KMN_ABI);
	assert_int_equal(entries(path), 1);
	sensor_dies(&a);
	assert_int_equal(bpfobj_unload_all(root, &n), 0);
}

/* Which program hangs there; 0: none. */
static __u32 traced_by(const char *suffix)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/links/tp_btf:sched_process_exec%s", root, suffix);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.prog_id;
}

static void a_link_that_is_alone_stays_until_another_is_proven(void **state)
{
	struct sensor s = sensor_begin(0);
	__u32 first = traced_by("~next"), second;
	unsigned n;

	(void)state;
	assert_int_not_equal(first, 0);
	assert_int_equal(traced_by(""), 0);
	sensor_dies(&s); /* before its proof */
	s = sensor_begin(0);
	second = traced_by("~next");
	assert_int_equal(traced_by(""), first);
	assert_true(second && second != first);
	sensor_dies(&s); /* also */
	s = sensor_begin(0);
	assert_int_equal(traced_by(""), first);
	assert_true(traced_by("~next") && traced_by("~next") != second);
	second = traced_by("~next");
	assert_int_equal(bpfobj_attach_settle(s.bpf, s.tp), 0);
	assert_int_equal(traced_by(""), second);
	assert_int_equal(traced_by("~next"), 0);
	sensor_dies(&s);
	assert_int_equal(bpfobj_unload_all(root, &n), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(swaps_by_link_leave_no_gap),
		cmocka_unit_test(swaps_by_clsact_leave_no_gap),
		cmocka_unit_test(a_new_policy_is_seen_whole_after_the_swap),
		cmocka_unit_test(a_start_that_dies_before_it_attaches_changes_nothing),
		cmocka_unit_test(a_start_that_takes_nothing_over_leaves_all_in_force),
		cmocka_unit_test(a_link_that_is_alone_stays_until_another_is_proven),
	};
	const char *row = getenv("ROW");
	char cgroup[128];
	int r;

	if (row && strcmp(row, "host"))
		swaps = SWAPS_SLOW;

	t_need_bpf();
	t_own_netns();
	if (kernel_mount_bpffs() < 0 || kernel_probe(&kernel) < 0)
		return 1;
	(void)snprintf(root, sizeof(root), "/sys/fs/bpf/komainu-takeover-%d", getpid());
	(void)snprintf(cgroup, sizeof(cgroup), "%s/komainu-takeover-%d", kernel.cgroup2_root,
		       getpid());
	if (mkdir(cgroup, 0755) < 0)
		return 1;
	cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	{ /* into the cgroup, so that its connect program judges us */
		char procs[160];
		FILE *f;

		(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
		f = fopen(procs, "we");
		if (!f || fprintf(f, "%d", getpid()) < 0 || fclose(f) < 0)
			return 1;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	{ /* and out again, to remove it */
		char procs[160];
		FILE *f;

		(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", kernel.cgroup2_root);
		f = fopen(procs, "we");
		if (f) {
			(void)fprintf(f, "%d", getpid());
			(void)fclose(f);
		}
		(void)rmdir(cgroup);
	}
	return r;
}
