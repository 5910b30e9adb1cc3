#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "control/life.h"

#define DIR_BYTES 64

struct dirs {
	char top[DIR_BYTES], config[128], state[128], run[128];
	struct cli_places places;
};

static int setup(void **state)
{
	struct dirs *d = calloc(1, sizeof(*d));

	if (!d)
		return -1;
	(void)snprintf(d->top, sizeof(d->top), "/tmp/komainu-test-XXXXXX");
	if (!mkdtemp(d->top))
		return -1;
	(void)snprintf(d->config, sizeof(d->config), "%s/etc/komainu", d->top);
	(void)snprintf(d->state, sizeof(d->state), "%s/var/lib/komainu", d->top);
	(void)snprintf(d->run, sizeof(d->run), "%s/run/komainu", d->top);
	d->places = (struct cli_places){ d->config, d->state, d->run, "/sys/fs/bpf/komainu-none" };
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dirs *d = *state;
	static const char *const names[] = { "run/komainu/komainu.lock",
					     "etc/komainu",
					     "etc",
					     "var/lib/komainu",
					     "var/lib",
					     "var",
					     "run/komainu",
					     "run",
					     "target",
					     "" };
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", d->top, names[i]);
		(void)remove(path);
	}
	free(d);
	return 0;
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void folders_are_made_with_their_modes_whatever_the_umask(void **state)
{
	struct dirs *d = *state;
	mode_t mask = umask(0077);

	assert_int_equal(life_folders(&d->places), 0);
	(void)umask(mask);
	assert_int_equal(mode_of(d->config), 0755);
	assert_int_equal(mode_of(d->state), 0700);
	assert_int_equal(mode_of(d->run), 0755);
	assert_int_equal(life_folders(&d->places), 0); /* they may be there */
}

static void a_folder_that_others_may_write_is_refused(void **state)
{
	struct dirs *d = *state;

	assert_int_equal(life_folders(&d->places), 0);
	assert_int_equal(chmod(d->run, 0777), 0);
	assert_int_equal(life_folders(&d->places), -EPERM);
	assert_int_equal(chmod(d->run, 0775), 0);
	assert_int_equal(life_folders(&d->places), -EPERM);
	assert_int_equal(chmod(d->run, 0755), 0);
	assert_int_equal(life_folders(&d->places), 0);
	if (geteuid())
		return;
	assert_int_equal(chown(d->state, 65534, 65534), 0);
	assert_int_equal(life_folders(&d->places), -EPERM);
}

static void a_link_in_place_of_a_folder_is_refused(void **state)
{
	struct dirs *d = *state;
	char target[128];

	assert_int_equal(life_folders(&d->places), 0);
	(void)snprintf(target, sizeof(target), "%s/target", d->top);
	assert_int_equal(mkdir(target, 0755), 0);
	assert_int_equal(rmdir(d->state), 0);
	assert_int_equal(symlink(target, d->state), 0);
	assert_true(life_folders(&d->places) < 0);
	assert_int_equal(mode_of(target), 0755); /* and not touched */
	assert_int_equal(unlink(d->state), 0);
}

static void a_second_sensor_is_refused_by_the_pid_of_the_first(void **state)
{
	struct dirs *d = *state;
	pid_t holder = 0;
	int lock, status = 0;
	pid_t pid;

	assert_int_equal(life_folders(&d->places), 0);
	lock = life_lock(d->run, &holder);
	assert_true(lock >= 0);
	pid = fork();
	if (!pid) {
		close(lock); /* of the parent, whose lock it also would be */
		_exit(life_lock(d->run, &holder) == -EALREADY && holder == getppid() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(lock);
	lock = life_lock(d->run, &holder);
	assert_true(lock >= 0);
	close(lock);
}

/* Some containers leave root without the right to raise limits: then as far as it goes. */
static bool may_raise(void)
{
	unsigned long long caps = 0;
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "CapEff:", 7))
			caps = strtoull(line + 7, NULL, 16);
	fclose(f);
	return caps >> CAP_SYS_RESOURCE & 1;
}

static int check_limits(bool may)
{
	struct rlimit files, locked;
	char score[16] = "";
	FILE *f;

	life_limits();
	f = fopen("/proc/self/oom_score_adj", "re");
	if (!f || !fgets(score, sizeof(score), f) || getrlimit(RLIMIT_NOFILE, &files) ||
	    getrlimit(RLIMIT_MEMLOCK, &locked))
		return 1;
	fclose(f);
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
		return 2;
	if (!may)
		return files.rlim_cur < files.rlim_max && files.rlim_cur < 65536 ? 3 : 0;
	if (files.rlim_cur < 65536 || locked.rlim_cur != RLIM_INFINITY)
		return 4;
	return strcmp(score, "-900\n") ? 5 : 0;
}

static void limits_are_raised_and_memory_is_private(void **state)
{
	bool may = may_raise();
	int status = 0;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid)
		_exit(check_limits(may));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int drop_sys_resource(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	struct rlimit locked = { 65536, 65536 };

	if (setrlimit(RLIMIT_MEMLOCK, &locked) || syscall(SYS_capget, &head, data))
		return -1;
	data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
	data[0].permitted &= ~(1u << CAP_SYS_RESOURCE);
	return (int)syscall(SYS_capset, &head, data);
}

/* In a child: what the log says goes to fd. */
static int limits_without_right(int fd)
{
	if (dup2(fd, STDERR_FILENO) < 0 || drop_sys_resource())
		return 2;
	if (*life_trouble())
		return 3; /* nothing was asked for yet */
	life_limits();
	if (!strstr(life_trouble(), "locked memory") ||
	    !strstr(life_trouble(), "CAP_SYS_RESOURCE is missing"))
		return 4;
	return 0;
}

static void what_may_not_be_raised_is_told_in_one_line(void **state)
{
	char text[2048] = "";
	int fd[2], status = 0;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (!pid)
		_exit(limits_without_right(fd[1]));
	close(fd[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	n = read(fd[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	assert_ptr_equal(strchr(text, '\n'), text + n - 1); /* one line */
	assert_non_null(strstr(text, "CAP_SYS_RESOURCE"));
	close(fd[0]);
}

/* ---- the service manager ---- */

static int manager(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, name, len);
	if (*name == '@')
		sun.sun_path[0] = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&sun,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void hear(int fd, const char *begin)
{
	char text[512];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	text[n] = 0;
	assert_memory_equal(text, begin, strlen(begin));
}

static void the_service_manager_is_told(void **state)
{
	struct dirs *d = *state;
	char path[108], abstract[64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/notify", d->top);
	fd = manager(path);
	life_notify("READY=1\nSTATUS=%d hooks", 3);
	hear(fd, "READY=1\nSTATUS=3 hooks");
	life_reloading();
	hear(fd, "RELOADING=1\nMONOTONIC_USEC=");
	close(fd);
	life_notify("READY=1"); /* nobody hears it, and nothing happens */
	assert_int_equal(unlink(path), 0);
	(void)snprintf(abstract, sizeof(abstract), "@komainu-test-%d", getpid());
	fd = manager(abstract);
	life_notify("STOPPING=1");
	hear(fd, "STOPPING=1");
	close(fd);
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	life_notify("READY=1");
}

static void stop_it(void *arg)
{
	loop_stop(arg);
}

/* Turn the loop for 320 ms: how often it was fed, and how often it may have been at most. */
static int fed(struct loop *loop, int fd, int *most)
{
	int timer = loop_every(loop, 320, stop_it, loop), heard = 0;
	uint64_t start = clock_boot_ns();
	char text[64];

	assert_true(timer >= 0);
	assert_int_equal(loop_run(loop), 0);
	loop_timer_drop(loop, timer);
	*most = (int)((clock_boot_ns() - start) / (50 * NS_PER_MS)) + 2;
	while (recv(fd, text, sizeof(text), MSG_DONTWAIT) == 10)
		heard += !memcmp(text, "WATCHDOG=1", 10);
	return heard;
}

/* 320 ms at 50 ms are 6 times; a busy machine may be late, so it has five tries. */
static void the_watchdog_is_fed_at_half_its_time_and_only_by_the_loop(void **state)
{
	struct dirs *d = *state;
	struct loop *loop = loop_new();
	int fd, heard = 0, most = 0;
	char path[108], pid[16], text[64];

	(void)snprintf(path, sizeof(path), "%s/notify", d->top);
	fd = manager(path);
	assert_int_equal(setenv("WATCHDOG_USEC", "100000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0); /* meant for another process */
	assert_int_equal(life_watchdog(loop), 0);
	assert_int_equal(fed(loop, fd, &most), 0);
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(life_watchdog(loop), 0);
	(void)usleep(120000); /* the loop stands still */
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	for (int attempt = 0; attempt < 5 && heard < 4; attempt++) {
		heard = fed(loop, fd, &most);
		assert_true(heard <= most);
	}
	assert_true(heard >= 4); /* at its whole time it would be 3 */
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_int_equal(life_watchdog(loop), 0);
	loop_free(loop);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

static void only_root_begins(void **state)
{
	struct dirs *d = *state;
	int status = 0;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (!geteuid() && (setgid(65534) || setuid(65534)))
			_exit(2);
		_exit(life_begin(&d->places) == -EPERM ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(d->run, F_OK), -1); /* before anything is made */
	if (geteuid())
		return;
	pid = fork();
	if (!pid)
		_exit(life_begin(&d->places) >= 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(folders_are_made_with_their_modes_whatever_the_umask),
		TEST(a_folder_that_others_may_write_is_refused),
		TEST(a_link_in_place_of_a_folder_is_refused),
		TEST(a_second_sensor_is_refused_by_the_pid_of_the_first),
		TEST(limits_are_raised_and_memory_is_private),
		TEST(what_may_not_be_raised_is_told_in_one_line),
		TEST(the_service_manager_is_told),
		TEST(the_watchdog_is_fed_at_half_its_time_and_only_by_the_loop),
		TEST(only_root_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
