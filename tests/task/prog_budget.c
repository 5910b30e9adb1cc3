/* Budgets of task records: who floods spends its own, and every record is accounted for. */
#include "task/feed.h"

static struct kernel kernel;
static char tiny[64];
static char cgroups[2][128]; /* the flooder's and the quiet one's; "" when none can be made */

static void make_cgroups(void)
{
	assert_int_equal(kernel_probe(&kernel), 0);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(cgroups[i], sizeof(cgroups[i]), "%s/komainu-budget-%d-%d",
			       kernel.cgroup_root, getpid(), i);
		if (!kernel.cgroup_root[0] || mkdir(cgroups[i], 0755))
			cgroups[i][0] = '\0';
	}
}

static void drop_cgroups(void)
{
	for (int i = 0; i < 2; i++)
		if (cgroups[i][0])
			rmdir(cgroups[i]);
}

struct flood {
	const char *cgroup;
	unsigned times;
	int cpu; /* -1: any */
};

/* In a child: move into the cgroup, then start the tiny program so many times. */
static void flood(void *arg)
{
	const struct flood *f = arg;
	char procs[160];
	int fd;

	if (f->cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(f->cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			_exit(90);
	}
	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", f->cgroup);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(91);
	for (unsigned i = 0; i < f->times; i++) {
		pid_t pid = vfork();

		if (!pid) {
			char *argv[] = { "t", NULL };

			execv(tiny, argv);
			_exit(92);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			_exit(93);
	}
	_exit(0);
}

struct told {
	uint64_t cgroup_id;
	unsigned forks, execs, exits, unsent_exits;
};

static uint64_t cgroup_id(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino; /* 64 bits: the kernfs id */
}

/* Records of a cgroup, and whether every exit is one of a start that was told. */
static struct told count(const struct feed *f, const char *path)
{
	struct told t = { .cgroup_id = cgroup_id(path) };
	const struct kmn_event *e = NULL;

	while ((e = feed_next(f, e))) {
		if (e->cgroup_id != t.cgroup_id)
			continue;
		t.forks += e->kind == TASK_EV_FORK;
		t.execs += e->kind == TASK_EV_EXEC;
		t.exits += e->kind == TASK_EV_EXIT;
		if (e->kind == TASK_EV_EXIT && !feed_find(f, TASK_EV_FORK, (pid_t)e->pid, 0) &&
		    !feed_find(f, TASK_EV_EXEC, (pid_t)e->pid, 0))
			t.unsent_exits++;
	}
	return t;
}

static void assert_exact(const struct feed *f)
{
	assert_int_equal(feed_counter(f, KMN_C_OFFERED), feed_counter(f, KMN_C_SENT) +
								 feed_counter(f, KMN_C_DROPPED) +
								 feed_counter(f, KMN_C_THROTTLED));
	assert_int_equal(feed_counter(f, KMN_C_SENT), f->n);
}

/* Throttled records of a cgroup, as its buckets say. */
static uint64_t throttled(const struct feed *f, uint64_t id)
{
	int cpus = libbpf_num_possible_cpus();
	struct task_budget b[cpus];
	uint64_t sum = 0;

	if (bpf_map__lookup_elem(f->skel->maps.task_budgets, &id, sizeof(id), b, sizeof(b), 0))
		return 0;
	for (int i = 0; i < cpus; i++)
		sum += b[i].throttled;
	return sum;
}

static void a_flooding_cgroup_is_throttled_and_another_is_not(void **state)
{
	/* a burst of 60 records, then one in 10 s: the flood takes less, also in an emulated
	 * machine */
	static const struct feed_options tight = { .cost_ns = 10000000000ULL,
						   .burst_ns = 600000000000ULL };
	struct flood noisy = { cgroups[0], 300, 0 }, quiet = { cgroups[1], 10, 0 };
	struct told n, q;
	struct feed *f;
	int status;

	(void)state;
	if (!cgroups[0][0] || !cgroups[1][0])
		skip();
	f = feed_open(&tight);
	(void)feed_child(flood, &noisy, &status);
	assert_int_equal(status, 0);
	(void)feed_child(flood, &quiet, &status);
	assert_int_equal(status, 0);
	task_bpf__detach(f->skel); /* so that what is counted stands still */
	feed_drain(f);
	n = count(f, cgroups[0]);
	q = count(f, cgroups[1]);
	/* all of the quiet one's, one more exit for the child that ran the loop */
	assert_int_equal(q.forks, 10);
	assert_int_equal(q.execs, 10);
	assert_int_equal(q.exits, 11);
	assert_int_equal(throttled(f, q.cgroup_id), 0);
	/* of the noisy one its burst, a little more for the seconds that pass, and the rest counted
	 */
	assert_in_range(n.forks + n.execs, 60, 120);
	assert_int_equal(n.forks + n.execs + n.exits + throttled(f, n.cgroup_id), 300 * 3 + 1);
	assert_true(throttled(f, n.cgroup_id) > 300);
	/* who was told of gets its end told, who was not does not; the loop's own child came from
	 * another cgroup */
	assert_int_equal(n.unsent_exits, 0);
	assert_exact(f);
	feed_close(f);
}

static void a_full_ring_drops_and_counts(void **state)
{
	static const struct feed_options small = { .no_budget = true, .ring_bytes = 64 * 1024 };
	struct flood noisy = { cgroups[0], 100, -1 };
	struct feed *f;
	int status;

	(void)state;
	if (!cgroups[0][0])
		skip();
	f = feed_open(&small);
	(void)feed_child(flood, &noisy, &status);
	assert_int_equal(status, 0);
	task_bpf__detach(f->skel);
	feed_drain(f);
	assert_true(feed_counter(f, KMN_C_DROPPED) > 0);
	assert_int_equal(feed_counter(f, KMN_C_THROTTLED), 0);
	assert_exact(f);
	feed_close(f);
}

static void without_pressure_nothing_is_lost(void **state)
{
	static const struct feed_options plain;
	struct flood busy = { cgroups[0], 1000, -1 };
	struct told t;
	struct feed *f;
	int status;

	(void)state;
	if (!cgroups[0][0])
		skip();
	f = feed_open(&plain);
	(void)feed_child(flood, &busy, &status);
	assert_int_equal(status, 0);
	task_bpf__detach(f->skel);
	feed_drain(f);
	t = count(f, cgroups[0]);
	assert_int_equal(t.forks, 1000);
	assert_int_equal(t.execs, 1000);
	assert_int_equal(t.exits, 1001);
	assert_exact(f);
	feed_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flooding_cgroup_is_throttled_and_another_is_not),
		cmocka_unit_test(a_full_ring_drops_and_counts),
		cmocka_unit_test(without_pressure_nothing_is_lost),
	};
	int r;

	if (geteuid()) {
		puts("needs root");
		return 77;
	}
	(void)snprintf(tiny, sizeof(tiny), "/tmp/komainu-budget-%d", getpid());
	feed_tiny(tiny);
	make_cgroups();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	drop_cgroups();
	unlink(tiny);
	return r;
}
