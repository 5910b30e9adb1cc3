/* What only root can have in its sandbox, seen from outside: by /proc of the worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "base/auto.h"
#include "base/log.h"
#include "core/worker_kill.h"

#define SKIPPED 77

/* The only child of this process. */
static pid_t worker_pid(void)
{
	char path[64], text[32] = "";
	kmn_auto(fd) int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	return (pid_t)strtol(text, NULL, 10);
}

static void status_of(pid_t pid, char *text, size_t len)
{
	char path[64];
	kmn_auto(fd) int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, text, len - 1);
	assert_true(n > 0);
	text[n] = 0;
}

static void assert_line(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void linked(pid_t pid, const char *what, char *to, size_t len)
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	n = readlink(path, to, len - 1);
	to[n > 0 ? n : 0] = 0;
}

static void a_worker_of_root_has_no_rights(void **state)
{
	static const char *const lines[] = {
		"Name:\tkomainu-worker\n",
		"Uid:\t65534\t65534\t65534\t65534\n",
		"Gid:\t65534\t65534\t65534\t65534\n",
		"Groups:\t \n",
		"CapInh:\t0000000000000000\n",
		"CapPrm:\t0000000000000000\n",
		"CapEff:\t0000000000000000\n",
		"CapBnd:\t0000000000000000\n",
		"CapAmb:\t0000000000000000\n",
		"NoNewPrivs:\t1\n",
		"Seccomp:\t2\n",
		"Threads:\t1\n",
		"SigBlk:\t0000000000000000\n",
	};
	struct worker_pool *p = worker_pool_new(NULL, all_jobs, 1);
	char status[8192];

	(void)state;
	assert_non_null(p);
	assert_int_equal(worker_pool_start(p, TIMEOUT_MS), 0);
	status_of(worker_pid(), status, sizeof(status));
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_line(status, lines[i]);
	worker_pool_free(p);
}

/* What a folder holds; one that cannot be opened (newer kernels) holds nothing. */
static int entries(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	if (d)
		(void)closedir(d);
	return n;
}

static void a_worker_of_root_sees_no_file_no_network_and_no_process(void **state)
{
	static const char *const spaces[] = { "ns/net", "ns/ipc", "ns/uts", "ns/pid" };
	struct worker_pool *p = worker_pool_new(NULL, all_jobs, 1);
	char ours[64], theirs[64], root[64];
	struct worker_stats s;
	pid_t pid;

	(void)state;
	assert_non_null(p);
	assert_int_equal(worker_pool_start(p, TIMEOUT_MS), 0);
	pid = worker_pid();
	for (size_t i = 0; i < sizeof(spaces) / sizeof(*spaces); i++) {
		linked(getpid(), spaces[i], ours, sizeof(ours));
		linked(pid, spaces[i], theirs, sizeof(theirs));
		assert_string_not_equal(theirs, "");
		assert_string_not_equal(ours, theirs);
	}
	(void)snprintf(root, sizeof(root), "/proc/%d/root/", pid);
	assert_int_equal(entries(root), 0);
	(void)snprintf(root, sizeof(root), "/proc/%d/root/proc", pid);
	assert_int_equal(access(root, F_OK), -1);
	worker_pool_stats(p, &s);
	assert_non_null(strstr(s.sandbox, "uid 65534, no capabilities, empty bounding set"));
	assert_non_null(strstr(s.sandbox, "seccomp, limits, empty root"));
	assert_non_null(strstr(s.sandbox, "no network, own ipc, own uts, own pids"));
	worker_pool_free(p);
}

/* Runs fn in a process of its own, as this one changes its user. */
static void in_child(void (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define DIE_UNLESS(what)          \
	do {                      \
		if (!(what))      \
			_exit(1); \
	} while (0)

static void call_as_user(void)
{
	struct worker_result r;
	struct worker_stats s;
	struct worker_pool *p;

	DIE_UNLESS(!setresgid(1000, 1000, 1000) && !setresuid(1000, 1000, 1000));
	DIE_UNLESS(!prctl(PR_SET_DUMPABLE, 1)); /* else /proc/self is root's */
	p = worker_pool_new(NULL, all_jobs, 1);
	DIE_UNLESS(p);
	DIE_UNLESS(!worker_call(p, "copy", -1, "x", 1, TIMEOUT_MS, &r));
	DIE_UNLESS(worker_call(p, "open", -1, NULL, 0, TIMEOUT_MS, &r) == -EPROTO);
	worker_pool_stats(p, &s);
	DIE_UNLESS(strstr(s.sandbox, "uid 1000, no capabilities, no_new_privs, seccomp, limits"));
	DIE_UNLESS(strstr(s.sandbox, "not: ")); /* and it says what a user cannot have */
	worker_pool_free(p);
}

static void a_user_gets_workers_too_and_is_told_what_is_missing(void **state)
{
	(void)state;
	in_child(call_as_user);
}

static void call_without_setuid(void)
{
	struct worker_result r;
	struct worker_pool *p;

	DIE_UNLESS(!prctl(PR_CAPBSET_DROP, 7 /* CAP_SETUID */, 0, 0, 0));
	p = worker_pool_new(NULL, all_jobs, 1);
	DIE_UNLESS(p);
	DIE_UNLESS(worker_call(p, "copy", -1, "x", 1, TIMEOUT_MS, &r) == -EPROTO);
	DIE_UNLESS(strstr(r.error, "refuses to work: setresuid"));
	worker_pool_free(p);
}

static void a_worker_that_cannot_leave_root_refuses_to_work(void **state)
{
	(void)state;
	in_child(call_without_setuid);
}

/* An upgrade puts another file where ours was. */
static void call_after_unlink(void)
{
	struct worker_result r;
	struct worker_pool *p = worker_pool_new(NULL, all_jobs, 1);

	DIE_UNLESS(p);
	DIE_UNLESS(!worker_call(p, "copy", -1, "x", 1, TIMEOUT_MS, &r));
	worker_pool_free(p);
}

static void a_worker_starts_after_the_binary_was_replaced(void **state)
{
	char path[] = "/tmp/komainu-test-XXXXXX", block[65536];
	kmn_auto(fd) int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = mkostemp(path, O_CLOEXEC), status = -1;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_true(from >= 0 && to >= 0);
	while ((n = read(from, block, sizeof(block))) > 0)
		assert_int_equal(write(to, block, (size_t)n), n);
	assert_int_equal(fchmod(to, 0700), 0);
	assert_int_equal(close(to), 0);
	pid = fork();
	if (!pid) {
		execl(path, path, "--replaced", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)unlink(path);
	assert_int_equal(status, 0);
}

/* 50 times each here, 1,000 in soak runs; a machine without hardware is slow, and the same code. */
static unsigned rounds(void)
{
	if (getenv("KOMAINU_VM"))
		return 1;
	return getenv("KMN_SOAK") ? 1000 : 50;
}

static void forbidden_system_calls_never_harm_the_core(void **state)
{
	(void)state;
	kill_each(forbidden_jobs, rounds());
}

static void crashes_and_lies_never_harm_the_core(void **state)
{
	(void)state;
	kill_each(hostile_jobs, rounds());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_of_root_has_no_rights),
		cmocka_unit_test(a_worker_of_root_sees_no_file_no_network_and_no_process),
		cmocka_unit_test(a_user_gets_workers_too_and_is_told_what_is_missing),
		cmocka_unit_test(a_worker_that_cannot_leave_root_refuses_to_work),
		cmocka_unit_test(a_worker_starts_after_the_binary_was_replaced),
		cmocka_unit_test(forbidden_system_calls_never_harm_the_core),
		cmocka_unit_test(crashes_and_lies_never_harm_the_core),
	};

	if (argc > 0 && !strcmp(argv[0], WORKER_ARGV0))
		worker_main(all_jobs);
	if (argc > 1 && !strcmp(argv[1], "--replaced")) {
		if (unlink(argv[0]))
			return 1;
		call_after_unlink();
		return 0;
	}
	if (geteuid())
		return SKIPPED;
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
