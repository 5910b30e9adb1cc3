#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include "context/feed.h"

/* The snapshot of real processes, and of a folder that looks like /proc. */

extern char **environ;

static struct process_chain chain;
static char dir[] = "/tmp/komainu-snapshot-XXXXXX";
static const struct process_host proc = { .proc_root = "/proc" };

static const char *below(const char *name)
{
	static char path[4][512];
	static int turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void put_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void copy_to(const char *from, int to)
{
	char bytes[65536];
	ssize_t n;
	int in = open(from, O_RDONLY | O_CLOEXEC);

	assert_true(in >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(to, bytes, (size_t)n), n);
	close(in);
}

static void copy_cat(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	copy_to("/bin/cat", fd);
	close(fd);
}

/* A cat that waits at a pipe. posix_spawn() returns when the exec is done. */
static int pipe_to[2];
static pid_t start(const char *path, char *const argv[])
{
	posix_spawn_file_actions_t acts;
	pid_t pid;

	assert_int_equal(posix_spawn_file_actions_init(&acts), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&acts, pipe_to[0], 0), 0);
	assert_int_equal(posix_spawn(&pid, path, &acts, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&acts);
	return pid;
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct process_table *snapshot_of(const struct process_host *host)
{
	struct process_table *t = process_table_new(NULL);

	assert_non_null(t);
	assert_true(process_snapshot(t, host) >= 1);
	return t;
}

static void describe(struct process_table *t, pid_t pid)
{
	assert_true(process_describe(t, (uint32_t)pid, 0, 0, &chain));
}

static void a_running_process_is_taken_in_with_its_parents(void **state)
{
	char *argv[] = { (char *)"cat", (char *)"-", NULL };
	pid_t pid = start("/bin/cat", argv);
	struct process_table *t = snapshot_of(&proc);
	char cwd[4096], exe[4096];

	(void)state;
	describe(t, pid);
	assert_true(chain.n >= 2);
	assert_non_null(realpath("/bin/cat", exe));
	assert_says(chain.p[0].exe, exe);
	assert_int_equal(chain.p[0].args.len, 6);
	assert_memory_equal(chain.p[0].args.p, "cat\0-", 6);
	assert_says(chain.p[0].cwd, getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chain.p[0].uid, getuid());
	assert_int_equal(chain.p[0].source, PROCESS_SNAPSHOT);
	assert_int_equal(chain.p[0].flags, 0);
	assert_int_equal(chain.p[1].pid, getpid());
	process_table_free(t);
	end(pid);
}

static void an_executable_is_known_as_stat_shows_it(void **state)
{
	char *argv[] = { (char *)"cat", NULL };
	pid_t pid = start("/bin/cat", argv);
	struct process_table *t = snapshot_of(&proc);
	struct stat st;

	(void)state;
	assert_int_equal(stat("/bin/cat", &st), 0);
	describe(t, pid);
	assert_int_equal(chain.p[0].exe_id.ino, st.st_ino);
	assert_int_equal(chain.p[0].exe_id.dev, major(st.st_dev) << 20 | minor(st.st_dev));
	assert_int_equal(chain.p[0].exe_id.gen, 0); /* which stat(2) does not tell */
	process_table_free(t);
	end(pid);
}

static void what_the_kernel_tells_goes_before_what_proc_shows(void **state)
{
	char *argv[] = { (char *)"cat", NULL };
	pid_t pid = start("/bin/cat", argv);
	struct process_table *t = snapshot_of(&proc);
	struct process_running known[] = {
		{ .pid = 1 },
		{ .pid = (uint32_t)pid,
		  .flags = PROCESS_UPPER,
		  .cgroup_id = 4711,
		  .exe_id = { .ino = 7, .dev = 8, .gen = 9 } },
		{ .pid = UINT32_MAX },
	};
	struct process_host host = { .proc_root = "/proc", .known = known, .n_known = 3 };
	uint64_t tick;

	(void)state;
	describe(t, pid);
	tick = chain.p[0].start_ns;
	process_table_free(t);
	known[1].start_ns = tick + 1234567;
	t = snapshot_of(&host);
	describe(t, pid);
	assert_int_equal(chain.p[0].start_ns, tick + 1234567);
	assert_int_equal(chain.p[0].flags, PROCESS_UPPER);
	assert_memory_equal(&chain.p[0].exe_id, &known[1].exe_id, sizeof(chain.p[0].exe_id));
	process_table_free(t);
	/* another process had the pid when the kernel told */
	known[1].start_ns = tick + 20000000;
	t = snapshot_of(&host);
	describe(t, pid);
	assert_int_equal(chain.p[0].start_ns, tick);
	assert_int_equal(chain.p[0].exe_id.gen, 0);
	process_table_free(t);
	end(pid);
}

static void the_first_record_brings_the_exact_start(void **state)
{
	char *argv[] = { (char *)"cat", NULL };
	pid_t pid = start("/bin/cat", argv);
	struct process_table *t = snapshot_of(&proc);
	uint64_t start_ns, live = stats_of(t).live;
	struct process_who w;
	struct process_late late;

	(void)state;
	describe(t, pid);
	start_ns = chain.p[0].start_ns;
	assert_int_equal(start_ns % 10000000, 0);
	w = who((uint32_t)pid, start_ns + 3456789, clock_boot_ns());
	w.creds = (struct process_creds){ .uid = 4711, .login_uid = 5 };
	assert_true(process_exit(t, &w, &late));
	assert_true(late.creds); /* what /proc said is the old ones */
	assert_int_equal(late.old.uid, getuid());
	assert_int_equal(stats_of(t).live, live - 1);
	assert_int_equal(stats_of(t).exited, 1);
	assert_true(process_describe(t, (uint32_t)pid, start_ns + 3456789, 0, &chain));
	assert_int_equal(chain.p[0].start_ns, start_ns + 3456789);
	/* from now on the tick is not enough */
	assert_false(process_describe(t, (uint32_t)pid, start_ns + 3456790, 0, &chain));
	process_table_free(t);
	end(pid);
}

static void another_start_of_the_pid_is_another_process(void **state)
{
	char *argv[] = { (char *)"cat", NULL };
	pid_t pid = start("/bin/cat", argv);
	struct process_table *t = snapshot_of(&proc);

	(void)state;
	describe(t, pid);
	assert_true(forked(t, (uint32_t)pid, chain.p[0].start_ns + 10000000, 1, 0, 0));
	assert_true(process_describe(t, (uint32_t)pid, chain.p[0].start_ns, 0, &chain));
	assert_true(chain.p[0].flags & PROCESS_EXITED);
	process_table_free(t);
	end(pid);
}

/* ours, as a record tells them */
static struct process_who who_we_are(struct process_table *t)
{
	struct process_who w = { .pid = (uint32_t)getpid(), .time_ns = clock_boot_ns() };
	unsigned long long caps = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	fclose(f);
	describe(t, getpid());
	w.start_ns = chain.p[0].start_ns;
	w.creds = (struct process_creds){ caps,	     caps,     getuid(),  geteuid(),
					  geteuid(), getgid(), getegid(), chain.p[0].login_uid };
	return w;
}

static void the_credentials_in_proc_are_those_of_a_record(void **state)
{
	struct process_table *t = snapshot_of(&proc);
	struct process_who w = who_we_are(t);
	struct process_late late;

	(void)state;
	assert_true(process_exit(t, &w, &late));
	assert_false(late.creds);
	process_table_free(t);
}

/* Between two sensors somebody changed them: the snapshot shows it, and then the ring is read. */
static void a_change_that_proc_shows_already_is_told_by_its_record_once(void **state)
{
	struct process_table *t = snapshot_of(&proc);
	struct process_who w = who_we_are(t);

	(void)state;
	assert_true(process_cred(t, &w));
	assert_false(process_cred(t, &w));
	process_table_free(t);
}

static void executables_without_a_name_are_marked(void **state)
{
	char *argv[] = { (char *)"cat", NULL };
	int fd = memfd_create("hidden", MFD_CLOEXEC);
	pid_t memory, deleted, honest;
	struct process_table *t;
	char path[64];

	(void)state;
	copy_to("/bin/cat", fd);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memory = start(path, argv);
	copy_cat(below("gone"));
	deleted = start(below("gone"), argv);
	assert_int_equal(unlink(below("gone")), 0);
	copy_cat(below("there (deleted)"));
	honest = start(below("there (deleted)"), argv);
	t = snapshot_of(&proc);
	describe(t, memory);
	assert_int_equal(chain.p[0].flags, PROCESS_MEMFD | PROCESS_DELETED);
	assert_says(chain.p[0].exe, "/memfd:hidden");
	describe(t, deleted);
	assert_int_equal(chain.p[0].flags, PROCESS_DELETED);
	assert_says(chain.p[0].exe, below("gone"));
	describe(t, honest);
	assert_int_equal(chain.p[0].flags, 0);
	assert_says(chain.p[0].exe, below("there (deleted)"));
	process_table_free(t);
	close(fd);
	end(memory);
	end(deleted);
	end(honest);
	assert_int_equal(unlink(below("there (deleted)")), 0);
}

static void long_arguments_are_cut_and_marked(void **state)
{
	static char big[9000];
	char *argv[] = { (char *)"cat", (char *)"-", big, NULL }; /* it waits at "-" */
	struct process_table *t;
	pid_t pid;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	pid = start("/bin/cat", argv);
	t = snapshot_of(&proc);
	describe(t, pid);
	assert_int_equal(chain.p[0].args.len, PROCESS_ARGS_KEPT);
	assert_int_equal(chain.p[0].flags, PROCESS_ARGS_CUT);
	process_table_free(t);
	end(pid);
}

static void what_records_have_told_is_kept(void **state)
{
	struct process_table *t = snapshot_of(&proc);
	uint64_t start_ns, n = stats_of(t).live;

	(void)state;
	describe(t, getpid());
	start_ns = chain.p[0].start_ns + 5;
	assert_true(executed(t, (uint32_t)getpid(), start_ns, 9, "/bin/told", "told", S(1)));
	assert_true(process_snapshot(t, &proc) > 0);
	describe(t, getpid());
	assert_says(chain.p[0].exe, "/bin/told");
	assert_int_equal(chain.p[0].start_ns, start_ns);
	assert_true(stats_of(t).live <= n + 20); /* not twice as many: the same ones */
	process_table_free(t);
}

/* ---- a folder that looks like /proc ---- */

static void fake_process(const char *pid, const char *stat, const char *cgroup)
{
	char name[128];

	assert_int_equal(mkdir(below(pid), 0755), 0);
	(void)snprintf(name, sizeof(name), "%s/stat", pid);
	put_file(below(name), stat, 0644);
	(void)snprintf(name, sizeof(name), "%s/status", pid);
	put_file(below(name),
		 "Name:\tx\nUmask:\t0022\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nCapInh:\t0\n"
		 "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000400\n",
		 0644);
	(void)snprintf(name, sizeof(name), "%s/cgroup", pid);
	put_file(below(name), cgroup, 0644);
	(void)snprintf(name, sizeof(name), "%s/loginuid", pid);
	put_file(below(name), "1000", 0644);
}

/* Where the table thinks the process is: leaving for a cgroup that it is in already is no news. */
static bool is_in(struct process_table *t, uint32_t pid, uint64_t cgroup_id)
{
	struct process_who w = { .pid = pid, .cgroup_id = cgroup_id };

	describe(t, (pid_t)pid);
	w.start_ns = chain.p[0].start_ns;
	return !process_moved(t, &w);
}

static void hostile_and_broken_entries_do_no_harm(void **state)
{
	const char *tail = " 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 4321 0";
	struct process_host host = { .proc_root = dir, .cgroup_root = below("tree") };
	char stat[256], tree[512];
	struct process_table *t;
	struct stat st;

	(void)state;
	memcpy(tree, host.cgroup_root, strlen(host.cgroup_root) + 1);
	host.cgroup_root = tree;
	assert_int_equal(mkdir(below("tree"), 0755), 0);
	assert_int_equal(mkdir(below("tree/job"), 0755), 0);
	assert_int_equal(lstat(below("tree/job"), &st), 0);
	(void)snprintf(stat, sizeof(stat), "11 (a) R 99 0) S%s", tail);
	fake_process("11", stat, "9:name=systemd:/x\n4:cpu,pids:/job\n0::/\n");
	(void)snprintf(stat, sizeof(stat), "12 (b\nc) S%s", tail);
	fake_process("12", stat, "4:cpu,pids:/../outside\n0::/job\n");
	fake_process("13", "13 no brackets", "");
	fake_process("14", "14 (short) S 1", "");
	assert_int_equal(mkdir(below("15"), 0755), 0); /* ended while we look */
	assert_int_equal(mkdir(below("99999999999999999999"), 0755), 0);
	host.cgroup_name = "pids";
	t = snapshot_of(&host);
	assert_int_equal(stats_of(t).live, 2);
	describe(t, 11);
	assert_int_equal(chain.p[0].ppid, 7);
	assert_int_equal(chain.p[0].start_ns, 43210000000ULL);
	assert_int_equal(chain.p[0].uid, 1);
	assert_int_equal(chain.p[0].euid, 2);
	assert_int_equal(chain.p[0].gid, 5);
	assert_int_equal(chain.p[0].login_uid, 1000);
	assert_true(is_in(t, 11, st.st_ino));
	assert_true(is_in(t, 12, 0)); /* beyond our cgroup namespace */
	process_table_free(t);
	host.cgroup_name = ""; /* the default hierarchy */
	t = snapshot_of(&host);
	assert_true(is_in(t, 12, st.st_ino));
	process_table_free(t);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) && !pipe2(pipe_to, O_CLOEXEC) ? 0 : -1;
}

static int teardown(void **state)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", dir, NULL };
	pid_t pid;

	(void)state;
	return posix_spawn(&pid, "/bin/rm", NULL, NULL, argv, environ) || waitpid(pid, NULL, 0) < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_running_process_is_taken_in_with_its_parents),
		cmocka_unit_test(an_executable_is_known_as_stat_shows_it),
		cmocka_unit_test(what_the_kernel_tells_goes_before_what_proc_shows),
		cmocka_unit_test(the_first_record_brings_the_exact_start),
		cmocka_unit_test(another_start_of_the_pid_is_another_process),
		cmocka_unit_test(the_credentials_in_proc_are_those_of_a_record),
		cmocka_unit_test(a_change_that_proc_shows_already_is_told_by_its_record_once),
		cmocka_unit_test(executables_without_a_name_are_marked),
		cmocka_unit_test(long_arguments_are_cut_and_marked),
		cmocka_unit_test(what_records_have_told_is_kept),
		cmocka_unit_test(hostile_and_broken_entries_do_no_harm),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
