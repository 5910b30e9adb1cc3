#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "control/cli.h"
#include "control/fake.h"
#include "control/life.h"
#include "control/metrics_http.h"

/* The commands that ask a sensor, against a made-up one: exit codes, and what is printed. */

static const struct kmn_part *const services[] = { NULL };
static const struct kmn_module *const modules[] = { NULL };
static const struct kmn_roof roof = { services, modules, NULL };
static char out[65536];

static int run(struct fake *f, char *const *words)
{
	char *argv[12] = { "komainu", "--run-dir", f->dir, "--pin-root",
			   "/sys/fs/bpf/komainu-none" };
	int p[2], status = 0, argc = 5;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	for (int i = 0; words[i]; i++)
		argv[argc++] = words[i];
	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		/* --unload also looks at the interfaces: it must find none but a loopback */
		if (!geteuid() && unshare(CLONE_NEWNET))
			_exit(99);
		(void)dup2(p[1], STDOUT_FILENO);
		(void)dup2(p[1], STDERR_FILENO);
		close(p[0]);
		close(p[1]);
		argc = cli_main(&roof, argc, argv);
		fflush(NULL);
		_exit(argc);
	}
	close(p[1]);
	while (len + 1 < sizeof(out) && (n = read(p[0], out + len, sizeof(out) - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = 0;
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_null(strchr(out, '\033'));
	return WEXITSTATUS(status);
}
#define RUN(...) run(*state, (char *const[]){ __VA_ARGS__, NULL })

static int setup(void **state)
{
	static struct fake f;

	*state = &f;
	return fake_start(&f);
}

static int teardown(void **state)
{
	fake_finish(*state);
	return 0;
}

static void status_tells_by_its_exit_code(void **state)
{
	struct fake *f = *state;

	assert_int_equal(RUN("status"), CLI_GOOD);
	assert_non_null(strstr(out, "komainu 0.1.0  active"));
	f->good = false;
	assert_int_equal(RUN("status"), CLI_DEGRADED);
	assert_non_null(strstr(out, "degraded: net: eth\\x1b[31m0"));
	assert_int_equal(RUN("status", "--json"), CLI_DEGRADED);
	assert_int_equal(out[0], '{');
	assert_non_null(strstr(out, "\"big\":18446744073709551615")); /* exact */
	assert_string_equal(out + strlen(out) - 2, "}\n");
}

static void reload_prints_the_outcome_and_the_errors(void **state)
{
	struct fake *f = *state;

	assert_int_equal(RUN("reload"), CLI_GOOD);
	assert_string_equal(out, "generation 7 is in force\n");
	f->good = false;
	assert_int_equal(RUN("reload"), CLI_NO);
	assert_string_equal(out, "p.yaml:1:1: error: \\x1b[2Jno\n  line two\n"
				 "refused; generation 7 stays in force, whole\n");
	assert_int_equal(RUN("reload", "--json"), CLI_NO);
	assert_non_null(strstr(out, "\"stage\":\"parse\""));
	/* a sensor that knows no dry run must not be told to reload */
	assert_int_equal(RUN("reload", "--dry-run"), CLI_USAGE);
	assert_non_null(strstr(out, "does not know"));
}

static void selftest_fails_when_one_fails(void **state)
{
	struct fake *f = *state;

	assert_int_equal(RUN("selftest"), CLI_DEGRADED);
	assert_non_null(strstr(out, "net    pass    a packet was seen"));
	assert_non_null(strstr(out, "tasks  cannot  no exec here"));
	f->good = false;
	assert_int_equal(RUN("selftest"), CLI_NO);
	assert_int_equal(RUN("selftest", "--json"), CLI_NO);
	assert_int_equal(out[0], '{');
}

static void metrics_are_printed_as_they_are(void **state)
{
	assert_int_equal(RUN("metrics"), CLI_GOOD);
	assert_string_equal(out, "# HELP komainu_up Up.\nkomainu_up 1\n");
}

/* ---- stop ---- */

/* A sensor in a process of its own, with the lock; it ends when it is asked to, if obedient. */
static pid_t sensor_process(char dir[64], bool obedient)
{
	int ready[2];
	pid_t pid, holder;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct fake f;
		int lock;

		if (fake_open(&f) < 0)
			_exit(1);
		lock = life_lock(f.dir, &holder);
		if (!obedient) /* holds the lock, and nobody answers */
			control_socket_free(f.socket);
		if (lock < 0 || write(ready[1], f.dir, sizeof(f.dir)) != sizeof(f.dir))
			_exit(1);
		while (!obedient)
			pause();
		(void)loop_run(f.loop);
		(void)usleep(300000); /* an end takes time, and stop must wait for it */
		fake_close(&f);
		_exit(f.stop_asked ? 0 : 1);
	}
	assert_int_equal(read(ready[0], dir, 64), 64);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void status_watch_goes_on_until_the_sensor_ends(void **state)
{
	struct fake f = { 0 };
	pid_t pid = sensor_process(f.dir, true), killer;
	unsigned shown = 0;

	(void)state;
	killer = fork();
	if (!killer) {
		(void)usleep(2500000);
		_exit(kill(pid, SIGKILL));
	}
	assert_int_equal(run(&f, (char *const[]){ "status", "--watch", NULL }), CLI_UNREACHABLE);
	for (const char *p = strstr(out, "komainu 0.1.0"); p; p = strstr(p + 1, "komainu 0.1.0"))
		shown++;
	assert_in_range(shown, 2, 4);
	assert_int_equal(waitpid(killer, NULL, 0), killer);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)snprintf(out, sizeof(out), "%s/" CONTROL_SOCKET, f.dir);
	assert_int_equal(unlink(out), 0); /* what a killed one leaves */
	(void)snprintf(out, sizeof(out), "%s/komainu.lock", f.dir);
	assert_int_equal(unlink(out), 0);
	assert_int_equal(rmdir(f.dir), 0);
}

static void stop_waits_until_the_sensor_has_ended(void **state)
{
	struct fake f = { 0 };
	int status = 0;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	pid = sensor_process(f.dir, true);
	assert_int_equal(run(&f, (char *const[]){ "stop", "--dry-run", NULL }), CLI_GOOD);
	assert_non_null(strstr(out, "would end the sensor"));
	assert_int_equal(run(&f, (char *const[]){ "stop", NULL }), CLI_GOOD);
	assert_non_null(strstr(out, "has ended; its verdicts stay in force"));
	assert_int_equal(waitpid(pid, &status, WNOHANG), pid); /* already */
	assert_int_equal(status, 0);
	assert_int_equal(run(&f, (char *const[]){ "stop", NULL }), CLI_UNREACHABLE);
}

static void unload_works_without_a_sensor_and_not_beside_one(void **state)
{
	struct fake f = { 0 };
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	pid = sensor_process(f.dir, false);
	assert_int_equal(run(&f, (char *const[]){ "stop", "--unload", NULL }), CLI_UNREACHABLE);
	assert_non_null(strstr(out, "does not answer"));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(run(&f, (char *const[]){ "stop", "--unload", "--dry-run", NULL }),
			 CLI_GOOD);
	assert_int_equal(run(&f, (char *const[]){ "stop", "--unload", NULL }), CLI_GOOD);
	assert_non_null(strstr(out, "nothing of komainu is left"));
	(void)snprintf(out, sizeof(out), "%s/komainu.lock", f.dir);
	(void)unlink(out);
	(void)rmdir(f.dir);
}

/* ---- metrics over HTTP ---- */

static void write_metrics(void *arg, struct buf *b)
{
	(void)arg;
	buf_puts(b, "komainu_up 1\n");
}

static void http_get(const char *dir, const char *request)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t len = 0;
	ssize_t n;

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/" METRICS_SOCKET, dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((n = recv(fd, out + len, sizeof(out) - 1 - len, 0)) > 0)
		len += (size_t)n;
	out[len] = 0;
	close(fd);
}

static void metrics_are_served_over_http(void **state)
{
	struct metrics_socket *m = NULL;
	struct fake f;
	char *end;

	(void)state;
	assert_int_equal(fake_open(&f), 0);
	assert_int_equal(metrics_socket_new(f.loop, f.dir, write_metrics, NULL, &m), 0);
	assert_int_equal(pthread_create(&f.thread, NULL, fake_thread, &f), 0);
	http_get(f.dir, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(out, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(out, "Content-Type: text/plain; version=0.0.4"));
	end = strstr(out, "\r\n\r\n");
	assert_string_equal(end + 4, "komainu_up 1\n");
	http_get(f.dir, "GET /metrics?x=1 HTTP/1.0\n\n");
	assert_non_null(strstr(out, " 200 OK"));
	http_get(f.dir, "HEAD /metrics HTTP/1.1\r\n\r\n");
	assert_non_null(strstr(out, "Content-Length: 13\r\n"));
	assert_null(strstr(out, "komainu_up"));
	http_get(f.dir, "GET /etc/passwd HTTP/1.1\r\n\r\n");
	assert_non_null(strstr(out, " 404 "));
	http_get(f.dir, "POST /metrics HTTP/1.1\r\n\r\n");
	assert_non_null(strstr(out, " 405 "));
	http_get(f.dir, "nonsense\n\n");
	assert_non_null(strstr(out, " 400 "));
	assert_int_equal(eventfd_write(f.end, 1), 0);
	assert_int_equal(pthread_join(f.thread, NULL), 0);
	metrics_socket_free(m);
	fake_close(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status_tells_by_its_exit_code),
		TEST(reload_prints_the_outcome_and_the_errors),
		TEST(selftest_fails_when_one_fails),
		TEST(metrics_are_printed_as_they_are),
		cmocka_unit_test(status_watch_goes_on_until_the_sensor_ends),
		cmocka_unit_test(stop_waits_until_the_sensor_has_ended),
		cmocka_unit_test(unload_works_without_a_sensor_and_not_beside_one),
		cmocka_unit_test(metrics_are_served_over_http),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
