/* Under lockdown=confidentiality: the programs load, arguments are whole, and what the kernel side
 * may not read is completed from /proc. */
#include "core/command.h"
#include "task/rig.h"
#include <limits.h>

static struct rig rig;

static struct {
	pid_t pid;
	unsigned execs;
	char exe[256], cwd[256];
	size_t args_len;
	uint32_t flags;
	uint64_t ino;
} seen;

static void see(void *arg, const struct event *ev)
{
	const struct process_view *p = &ev->who.p[0];

	(void)arg;
	if (ev->part != KMN_SVC_tasks || ev->kind != TASK_EV_EXEC || !ev->who.n ||
	    p->pid != (uint32_t)seen.pid)
		return;
	seen.execs++;
	seen.args_len = p->args.len;
	seen.flags = p->flags;
	seen.ino = p->exe_id.ino;
	(void)snprintf(seen.exe, sizeof(seen.exe), "%.*s", (int)p->exe.len, p->exe.p);
	(void)snprintf(seen.cwd, sizeof(seen.cwd), "%.*s", (int)p->cwd.len, p->cwd.p);
}

static int setup(void **state)
{
	(void)state;
	rig_open(&rig, see, NULL);
	assert_int_equal(chdir(rig.dir), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(chdir("/"), 0);
	rig_close(&rig);
	return 0;
}

static void run(const char *path, char *const *argv)
{
	memset(&seen, 0, sizeof(seen));
	seen.pid = fork();
	if (!seen.pid) {
		execv(path, argv);
		_exit(1);
	}
	assert_true(seen.pid > 0);
	rig_wait_child(&rig, seen.pid);
	rig_wait(&rig, 100);
}

static void a_program_that_stays_gets_its_path_from_proc(void **state)
{
	char *argv[] = { "sleep", "3", NULL };
	char real[PATH_MAX];
	struct stat st;

	(void)state;
	assert_non_null(realpath("/bin/sleep", real));
	assert_int_equal(stat(real, &st), 0);
	run(real, argv);
	assert_int_equal(seen.execs, 1);
	assert_string_equal(seen.exe, real);
	assert_string_equal(seen.cwd, rig.dir);
	assert_int_equal(seen.args_len, 8);
	assert_int_equal(seen.flags & (PROCESS_PATH_CUT | PROCESS_ARGS_CUT), 0);
	assert_true(seen.ino != 0);
}

static void long_arguments_are_whole(void **state)
{
	static char arg[TASK_ARGS_MAX];
	char tiny[96];
	char *argv[] = { "t", arg, NULL };

	(void)state;
	(void)snprintf(tiny, sizeof(tiny), "%s/tiny", rig.dir);
	feed_tiny(tiny);
	memset(arg, 'a', 50000);
	run(tiny, argv);
	assert_int_equal(seen.execs, 1);
	assert_int_equal(seen.args_len, 2 + 50001);
	assert_int_equal(seen.flags & PROCESS_ARGS_CUT, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_that_stays_gets_its_path_from_proc),
		cmocka_unit_test(long_arguments_are_whole),
	};
	struct kernel k = {};

	if (argc && !strcmp(argv[0], CANARY_ARGV0)) /* this binary is its own canary */
		return 0;
	if (geteuid() || kernel_probe(&k) || k.has[KERNEL_PROBE_READ]) {
		puts("needs root and lockdown=confidentiality");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
