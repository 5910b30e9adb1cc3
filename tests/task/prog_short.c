/* 10,000 processes that live under a millisecond, while nobody can read /proc: executable,
 * arguments, parent and container of each must be right in the events. And a pid used again. */
#include <linux/sched.h>
#include <sys/syscall.h>
#include "core/command.h"
#include "task/rig.h"

#define PROCESSES 10000
#define PROGRAMS 4

static struct rig rig;
static char programs[PROGRAMS][96], cgroup[192], id[65];

struct seen {
	pid_t spawner;
	unsigned exec[PROCESSES], exit[PROCESSES];	/* how often each was told, rightly */
	uint64_t exec_ns[PROGRAMS], start_ns[PROGRAMS]; /* of the first processes */
	unsigned wrong, brief;
	char first_wrong[400];
};
static struct seen seen;
static unsigned seen_canary;
static char argv0[32];

/* Which process it is, by its second argument; -1: none of ours. The first one names this test, for
 * others of its kind may run on the host. */
static long number(const struct process_view *p)
{
	size_t skip_len = strlen(argv0) + 1;
	char text[64];
	long n;

	if (p->args.len <= skip_len || p->args.len >= sizeof(text) ||
	    memcmp(p->args.p, argv0, skip_len) != 0)
		return -1;
	memcpy(text, p->args.p, p->args.len);
	text[p->args.len] = '\0';
	n = strtol(text + skip_len, NULL, 10);
	return n >= 0 && n < PROCESSES ? n : -1;
}

static bool right(const struct event *ev, long n)
{
	const struct process_chain *w = &ev->who;

	return text_is(w->p[0].exe, programs[n % PROGRAMS]) && w->p[0].uid == 0 && w->n > 1 &&
	       w->p[1].pid == (uint32_t)seen.spawner && w->p[0].ppid == (uint32_t)seen.spawner &&
	       text_is(w->container.id, id) && text_is(w->container.runtime, "docker");
}

static void see(void *arg, const struct event *ev)
{
	long n = ev->who.n ? number(&ev->who.p[0]) : -1;

	(void)arg;
	if (ev->kind == TASK_EV_EXEC && ev->who.n && ev->who.p[0].ppid == (uint32_t)getpid() &&
	    ev->who.p[0].args.len >= sizeof(CANARY_ARGV0) &&
	    !memcmp(ev->who.p[0].args.p, CANARY_ARGV0, sizeof(CANARY_ARGV0)))
		seen_canary++;
	if (n < 0 || ev->part != KMN_SVC_tasks ||
	    (ev->kind != TASK_EV_EXEC && ev->kind != TASK_EV_EXIT))
		return;
	if (ev->kind == TASK_EV_EXEC && n < PROGRAMS) {
		seen.exec_ns[n] = ev->boot_ns;
		seen.start_ns[n] = ev->start_ns;
	}
	if (right(ev, n)) {
		if (ev->kind == TASK_EV_EXEC)
			seen.exec[n]++;
		else
			seen.exit[n]++;
		if (ev->kind == TASK_EV_EXIT && ev->boot_ns - ev->start_ns < NS_PER_MS)
			seen.brief++;
		return;
	}
	if (!seen.wrong++)
		(void)snprintf(seen.first_wrong, sizeof(seen.first_wrong),
			       "kind %u exe %.*s ppid %u parent %u container %.*s/%.*s", ev->kind,
			       (int)ev->who.p[0].exe.len, ev->who.p[0].exe.p, ev->who.p[0].ppid,
			       ev->who.n > 1 ? ev->who.p[1].pid : 0,
			       (int)ev->who.container.runtime.len, ev->who.container.runtime.p,
			       (int)ev->who.container.id.len, ev->who.container.id.p);
}

/* In the container's cgroup: start them all, one after the other. */
static void spawn(unsigned count)
{
	char procs[224], text[16];
	char *argv[] = { argv0, text, NULL };
	int fd;

	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(91);
	for (unsigned i = 0; i < count; i++) {
		pid_t pid;

		(void)snprintf(text, sizeof(text), "%u", i);
		pid = vfork();
		if (!pid) {
			execv(programs[i % PROGRAMS], argv);
			_exit(92);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			_exit(93);
	}
	_exit(0);
}

/* What docker makes with its cgroupfs driver. */
static bool make_container(void)
{
	char parent[96];

	(void)snprintf(id, sizeof(id), "%064x", (unsigned)getpid());
	(void)snprintf(parent, sizeof(parent), "%s/docker", rig.kernel.cgroup_root);
	(void)snprintf(cgroup, sizeof(cgroup), "%s/%s", parent, id);
	if (!rig.kernel.cgroup_root[0] || (mkdir(parent, 0755) && errno != EEXIST))
		return false;
	return !mkdir(cgroup, 0755);
}

static int setup(void **state)
{
	char parent[96];

	(void)state;
	(void)snprintf(argv0, sizeof(argv0), "kmn-%d", getpid());
	rig_open(&rig, see, NULL);
	for (unsigned i = 0; i < PROGRAMS; i++) {
		(void)snprintf(programs[i], sizeof(programs[i]), "%s/program-%u", rig.dir, i);
		feed_tiny(programs[i]);
	}
	if (!make_container()) {
		(void)snprintf(parent, sizeof(parent), "%s/docker", rig.kernel.cgroup_root);
		rmdir(parent);
		cgroup[0] = '\0';
	}
	rig_turn(&rig);
	rig_blind(&rig);
	return 0;
}

static int teardown(void **state)
{
	char parent[96];

	(void)state;
	if (cgroup[0])
		rmdir(cgroup);
	(void)snprintf(parent, sizeof(parent), "%s/docker", rig.kernel.cgroup_root);
	rmdir(parent); /* unless another test has its container there */
	rig_close(&rig);
	return 0;
}

static void ten_thousand_short_processes_are_all_told_rightly(void **state)
{
	unsigned count = getenv("KOMAINU_VM") ? 1000 : PROCESSES, lost = 0;
	struct event_accounting a;
	struct process_stats p;

	(void)state;
	if (!cgroup[0])
		skip();
	seen.spawner = fork();
	if (!seen.spawner)
		spawn(count);
	assert_true(seen.spawner > 0);
	rig_wait_child(&rig, seen.spawner);
	rig_wait(&rig, 100);
	for (unsigned i = 0; i < count; i++)
		lost += seen.exec[i] != 1 || seen.exit[i] != 1;
	print_message("%u of %u lived under 1 ms, fork to exit\n", seen.brief, count);
	if (seen.wrong)
		print_message("first wrong: %s\n", seen.first_wrong);
	assert_int_equal(seen.wrong, 0);
	assert_int_equal(lost, 0);
	process_table_stats(rig.core.processes, &p);
	assert_int_equal(p.evicted_live, 0);
	assert_true(p.bytes <= PROCESS_BYTES);
	assert_int_equal(event_ring_accounting(rig.ring, KMN_TELEMETRY, &a), 0);
	assert_int_equal(a.dropped, 0);
	assert_int_equal(a.throttled, 0);
	assert_int_equal(a.refused, 0);
}

static pid_t clone_as(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)&pid,
				   .set_tid_size = 1 };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Starts programs[which] as process number n, by force under this pid. */
static void start_as(pid_t pid, unsigned n)
{
	char text[16];
	char *argv[] = { argv0, text, NULL };
	pid_t got = clone_as(pid);

	(void)snprintf(text, sizeof(text), "%u", n);
	if (!got) {
		execv(programs[n % PROGRAMS], argv);
		_exit(92);
	}
	assert_int_equal(got, pid);
	rig_wait_child(&rig, got);
}

static void a_pid_that_is_used_again_is_another_process(void **state)
{
	struct process_chain chain;
	pid_t pid = 0;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	seen.spawner = getpid();
	for (pid_t p = 30000; !pid && p > 20000; p--) /* one that is free */
		if (kill(p, 0) && errno == ESRCH)
			pid = p;
	assert_true(pid > 0);
	for (unsigned i = 0; i < PROGRAMS; i++)
		start_as(pid, i);
	rig_wait(&rig, 50);
	for (unsigned i = 0; i < 2 * PROGRAMS; i++) {
		unsigned n = i % PROGRAMS;

		/* by its start, and by who had that pid at that time */
		assert_true(process_describe(rig.core.processes, (uint32_t)pid,
					     i < PROGRAMS ? seen.start_ns[n] : 0, seen.exec_ns[n],
					     &chain));
		assert_true(text_is(chain.p[0].exe, programs[n]));
		assert_true(chain.p[0].flags & PROCESS_EXITED);
		assert_int_equal(number(&chain.p[0]), n);
		assert_int_equal(chain.p[1].pid, getpid());
	}
}

static void every_hook_is_proven_by_the_canary_and_makes_no_event(void **state)
{
	struct buf why = {};

	(void)state;
	if (rig.tasks->canary.exe < 0)
		fail_msg("our own binary could not be opened");
	for (int i = 0; i < 40 && !rig.tasks->canary.brought; i++) { /* emulated: seconds */
		tasks_service.canary(rig.tasks);
		rig_wait(&rig, 500);
	}
	for (int i = 0; i < TASKS_HOOKS; i++) {
		const struct hook *h = rig.tasks->hook[i];

		assert_non_null(h);
		if (i == TASKS_CRED || (i >= TASKS_CGROUP_MKDIR && rig.tasks->canary.why[0]))
			continue;
		if (h->state != HOOK_PROVEN)
			fail_msg("%s: %d %s", h->name, h->state, h->why);
	}
	assert_true(rig.tasks->canary.brought >= 1);
	assert_true(rig.tasks->stats.canaries >= 3);
	assert_int_equal(tasks_service.selftest(rig.tasks, &why), 0);
	buf_free(&why);
	assert_int_equal(seen_canary, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_hook_is_proven_by_the_canary_and_makes_no_event),
		cmocka_unit_test(ten_thousand_short_processes_are_all_told_rightly),
		cmocka_unit_test(a_pid_that_is_used_again_is_another_process),
	};

	if (argc && !strcmp(argv[0], CANARY_ARGV0)) /* this binary is its own canary */
		return 0;
	if (geteuid()) {
		puts("needs root");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
