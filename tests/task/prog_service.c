/* The service as a whole: long starts, late credentials, and two sensors during a takeover. */
#include "core/command.h"
#include "task/rig.h"

static struct rig rig;
static char tiny[96];

/* What the events of one process said. */
static struct {
	pid_t pid;
	unsigned execs, forks, exits, creds;
	size_t args_len;
	bool args_right;
	uint32_t flags;
	struct kmn_file_id exe_id;
	uint64_t old_uid, new_uid;
	char detail[64];
} seen;

static bool all_a(struct text args)
{
	for (uint32_t i = 2; i + 1 < args.len; i++)
		if (args.p[i] != 'a')
			return false;
	return args.len > 2 && !memcmp(args.p, "t", 2);
}

static void see(void *arg, const struct event *ev)
{
	struct text detail = event_get_text(ev, EVENT_F_detail);

	(void)arg;
	if (ev->part != KMN_SVC_tasks || !ev->who.n || ev->who.p[0].pid != (uint32_t)seen.pid)
		return;
	seen.execs += ev->kind == TASK_EV_EXEC;
	seen.forks += ev->kind == TASK_EV_FORK;
	seen.exits += ev->kind == TASK_EV_EXIT;
	if (ev->kind == TASK_EV_EXEC) {
		seen.args_len = ev->who.p[0].args.len;
		seen.args_right = all_a(ev->who.p[0].args);
		seen.flags = ev->who.p[0].flags;
		seen.exe_id = ev->who.p[0].exe_id;
	}
	if (ev->kind == TASK_EV_CRED) {
		seen.creds++;
		seen.old_uid = event_get_u64(ev, EVENT_F_old_uid, 99);
		seen.new_uid = event_get_u64(ev, EVENT_F_new_uid, 99);
		(void)snprintf(seen.detail, sizeof(seen.detail), "%.*s", (int)detail.len, detail.p);
	}
}

/* A new cgroup is read at once, though an idle ring is looked at each 100 ms only. */
static struct {
	struct loop *loop;
	char dir[192];
	uint64_t made_ns, worst_ns, before;
	unsigned turns;
} wake;

static pid_t before; /* runs since before the sensor */

static pid_t start_sleep(char *seconds)
{
	char *argv[] = { "sleep", seconds, NULL };
	pid_t pid = vfork(); /* it returns when the exec is done */

	if (!pid) {
		execv("/bin/sleep", argv);
		_exit(1);
	}
	assert_true(pid > 0);
	return pid;
}

static int setup(void **state)
{
	(void)state;
	before = start_sleep("600");
	rig_open(&rig, see, NULL);
	(void)snprintf(tiny, sizeof(tiny), "%s/tiny", rig.dir);
	feed_tiny(tiny);
	rig_turn(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	loop_free(wake.loop); /* the ring was in it to the end */
	(void)kill(before, SIGKILL);
	(void)waitpid(before, NULL, 0);
	return 0;
}

/* act in a child whose events are counted in seen. */
static void watch_child(void (*act)(void *), void *arg)
{
	memset(&seen, 0, sizeof(seen));
	seen.pid = feed_child(act, arg, NULL);
	rig_wait(&rig, 50);
}

static void start_with(void *arg)
{
	char *argv[] = { "t", arg, NULL };

	execv(tiny, argv);
}

static void sleep_a_little(void *arg)
{
	char *argv[] = { "sleep", arg, NULL };

	execv("/bin/sleep", argv);
}

/* Its file is the one that an exec of it tells, the layer below an overlay and the generation
 * included, and its start is no tick of /proc. */
static void a_process_from_before_is_known_as_exactly_as_one_that_was_told(void **state)
{
	struct process_chain chain;

	(void)state;
	if (rig.tasks->running_why[0]) {
		print_message("%s\n", rig.tasks->running_why);
		skip();
	}
	assert_true(rig.tasks->n_known > 1);
	watch_child(sleep_a_little, "0");
	assert_int_equal(seen.execs, 1);
	assert_true(process_describe(rig.core.processes, (uint32_t)before, 0, 0, &chain));
	assert_int_equal(chain.p[0].source, PROCESS_SNAPSHOT);
	assert_true(seen.exe_id.ino != 0);
	assert_memory_equal(&chain.p[0].exe_id, &seen.exe_id, sizeof(seen.exe_id));
	assert_true(chain.p[0].start_ns % (10 * NS_PER_MS) != 0);
	assert_true(chain.n > 1);
	assert_int_equal(chain.p[1].pid, getpid());
	assert_true(chain.p[1].start_ns % (10 * NS_PER_MS) != 0);
}

static void arguments_of_64_kib_are_whole_in_one_event(void **state)
{
	static char arg[TASK_ARGS_MAX + 100];

	(void)state;
	memset(arg, 'a', TASK_ARGS_MAX - 3);
	watch_child(start_with, arg);
	assert_int_equal(seen.execs, 1);
	assert_int_equal(seen.args_len, TASK_ARGS_MAX);
	assert_true(seen.args_right);
	assert_false(seen.flags & PROCESS_ARGS_CUT);
	memset(arg, 'a', sizeof(arg) - 1);
	watch_child(start_with, arg);
	assert_int_equal(seen.execs, 1);
	assert_int_equal(seen.args_len, TASK_ARGS_MAX);
	assert_true(seen.flags & PROCESS_ARGS_CUT);
}

static void make_one(void *arg)
{
	(void)arg;
	if (wake.made_ns)
		return;
	wake.before = rig.tasks->stats.cgroups;
	wake.made_ns = clock_boot_ns();
	assert_int_equal(mkdir(wake.dir, 0755), 0);
}

static void look_whether_it_is_read(void *arg)
{
	uint64_t took = clock_boot_ns() - wake.made_ns;

	(void)arg;
	if (!wake.made_ns || rig.tasks->stats.cgroups == wake.before)
		return;
	assert_int_equal(rmdir(wake.dir), 0);
	wake.made_ns = 0;
	if (took > wake.worst_ns)
		wake.worst_ns = took;
	if (++wake.turns == 8)
		loop_stop(wake.loop);
}

static void a_new_cgroup_does_not_wait_for_the_timer(void **state)
{
	uint64_t limit_ms = getenv("KOMAINU_VM") ? 5000 : 40; /* emulated: seconds */

	(void)state;
	if (!rig.kernel.cgroup_root[0])
		skip();
	(void)snprintf(wake.dir, sizeof(wake.dir), "%s/komainu-rig-%d", rig.kernel.cgroup_root,
		       getpid());
	wake.loop = loop_new();
	assert_non_null(wake.loop);
	assert_int_equal(event_ring_start(rig.ring, wake.loop), 0);
	assert_true(loop_every(wake.loop, 330, make_one, NULL) >= 0);
	assert_true(loop_every(wake.loop, 2, look_whether_it_is_read, NULL) >= 0);
	assert_int_equal(loop_run(wake.loop), 0);
	print_message("read after %.1f ms at most\n", (double)wake.worst_ns / 1e6);
	assert_true(wake.worst_ns < limit_ms * NS_PER_MS);
}

static void become(void *arg)
{
	(void)arg;
	_exit(setuid(1234) != 0);
}

static void a_change_of_user_is_told_at_once_or_at_the_exit(void **state)
{
	(void)state;
	watch_child(become, NULL);
	assert_int_equal(seen.creds, 1);
	assert_int_equal(seen.old_uid, 0);
	assert_int_equal(seen.new_uid, 1234);
	assert_string_equal(seen.detail, rig.tasks->cred ? "at once" : "noticed at the exit");
}

/* The programs of this sensor are proven, so those of the one before can go. */
static void prove_and_settle(struct rig *r)
{
	for (int i = 0; i < 40 && !r->tasks->canary.brought; i++) { /* emulated: seconds */
		tasks_service.canary(r->tasks);
		rig_wait(r, 500);
	}
	assert_int_equal(r->tasks->hook[TASKS_EXEC]->state, HOOK_PROVEN);
	for (struct hook *h = hook_next(r->core.hooks, NULL); h; h = hook_next(r->core.hooks, h))
		if (h->state == HOOK_PROVEN)
			assert_int_equal(bpfobj_attach_settle(r->core.bpf, h), 0);
}

static void two_sensors_during_a_takeover_tell_each_thing_once(void **state)
{
	uint64_t doubles;

	(void)state;
	prove_and_settle(&rig);
	rig_end(&rig); /* as after kill -9: its programs go on */
	rig_start(&rig, see, NULL);
	assert_true(bpfobj_took_over(rig.core.bpf));
	watch_child(start_with, "a");
	assert_int_equal(seen.forks, 1);
	assert_int_equal(seen.execs, 1);
	assert_int_equal(seen.exits, 1);
	doubles = rig.tasks->stats.doubles;
	assert_true(doubles >= 3);
	prove_and_settle(&rig);
	for (int i = 0; i < 50; i++) { /* the kernel frees the old links a moment later */
		doubles = rig.tasks->stats.doubles;
		watch_child(start_with, "a");
		assert_int_equal(seen.forks, 1);
		assert_int_equal(seen.execs, 1);
		assert_int_equal(seen.exits, 1);
		if (rig.tasks->stats.doubles == doubles)
			return;
		rig_wait(&rig, 100);
	}
	fail_msg("the programs of the sensor before still tell");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_from_before_is_known_as_exactly_as_one_that_was_told),
		cmocka_unit_test(arguments_of_64_kib_are_whole_in_one_event),
		cmocka_unit_test(a_new_cgroup_does_not_wait_for_the_timer),
		cmocka_unit_test(a_change_of_user_is_told_at_once_or_at_the_exit),
		cmocka_unit_test(two_sensors_during_a_takeover_tell_each_thing_once),
	};

	if (argc && !strcmp(argv[0], CANARY_ARGV0)) /* this binary is its own canary */
		return 0;
	if (geteuid()) {
		puts("needs root");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
