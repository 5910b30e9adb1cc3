#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>
#include "base/clock.h"
#include "control/client.h"
#include "control/life.h"
#include "control/fake.h"

#define PING "{\"v\":1,\"do\":\"ping\"}"
#define STRANGER 65534

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

static int connected(const struct fake *f)
{
	int fd = control_connect(f->dir, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* Ask on fd and expect the answer to hold text. */
static void expect(int fd, const char *request, const char *text)
{
	struct buf answer = { 0 };

	assert_int_equal(control_call(fd, request, 5000, &answer), 0);
	if (!strstr(buf_text(&answer), text))
		fail_msg("%s: %s", request, buf_text(&answer));
	buf_free(&answer);
}

/* The same in a child, which must not use cmocka: the end of a line that is not as expected. */
static void must_hold(int fd, const char *request, const char *text)
{
	struct buf answer = { 0 };

	if (control_call(fd, request, 5000, &answer) == 0 && strstr(buf_text(&answer), text))
		return;
	fprintf(stderr, "%s: %s\n", request, buf_text(&answer));
	_exit(1);
}

static void child_is_good(pid_t pid)
{
	int status = 0;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_question_is_answered_on_one_line(void **state)
{
	int fd = connected(*state);

	expect(fd, PING, "{\"v\":1,\"do\":\"ping\",\"ok\":true,\"result\":{\"pid\":");
	expect(fd, "{\"v\":1,\"do\":\"echo\",\"text\":\"a\\nb\\u001b\"}",
	       "\"ok\":true,\"result\":{\"text\":\"a\\nb\\u001b\"}}\n");
	close(fd);
}

static void what_is_no_request_is_refused_and_the_next_one_answered(void **state)
{
	static const char *const bad[][2] = {
		{ "", "bad_request" },
		{ "hello", "bad_request" },
		{ "[]", "bad_request" },
		{ "{\"v\":1,\"do\":\"ping\"", "bad_request" },
		{ "{\"v\":1,\"do\":\"ping\"} x", "bad_request" },
		{ "{\"v\":1}", "bad_request" },
		{ "{\"v\":1,\"do\":7}", "bad_request" },
		{ "{\"v\":1,\"do\":\"PING\"}", "bad_request" },
		{ "{\"v\":1,\"do\":\"a234567890123456789012345678901234567890\"}", "bad_request" },
		{ "{\"v\":1,\"do\":\"\\u001b[2J\"}", "bad_request" },
		{ "{\"do\":\"ping\"}", "\"version\"" },
		{ "{\"v\":2,\"do\":\"ping\"}", "\"version\"" },
		{ "{\"v\":\"1\",\"do\":\"ping\"}", "\"version\"" },
		{ "{\"v\":1,\"do\":\"fly\"}", "\"unknown\"" },
	};
	int fd = connected(*state);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		expect(fd, bad[i][0], "\"ok\":false");
		expect(fd, bad[i][0], bad[i][1]);
		expect(fd, PING, "\"ok\":true");
	}
	close(fd);
}

static void deep_nesting_is_refused(void **state)
{
	char deep[4096] = "{\"v\":1,\"do\":\"ping\",\"x\":";
	int fd = connected(*state);
	size_t n = strlen(deep);

	memset(deep + n, '[', sizeof(deep) - n - 1);
	deep[sizeof(deep) - 1] = 0;
	expect(fd, deep, "bad_request");
	expect(fd, PING, "\"ok\":true");
	close(fd);
}

static void a_request_that_is_too_long_ends_the_connection(void **state)
{
	char *line = malloc(CONTROL_REQUEST_MAX + 1);
	struct buf answer = { 0 };
	int fd = connected(*state), other = connected(*state);

	assert_non_null(line);
	memset(line, ' ', CONTROL_REQUEST_MAX);
	line[CONTROL_REQUEST_MAX] = 0;
	assert_int_equal(control_call(fd, line, 5000, &answer), 0);
	assert_non_null(strstr(buf_text(&answer), "too_long"));
	assert_int_equal(control_call(fd, PING, 5000, &answer), -EPIPE);
	close(fd);
	memcpy(line, PING, strlen(PING)); /* with blanks behind it, and just fits */
	line[CONTROL_REQUEST_MAX - 1] = 0;
	expect(other, line, "\"ok\":true");
	close(other);
	buf_free(&answer);
	free(line);
}

static void requests_in_a_row_are_answered_in_order(void **state)
{
	struct buf all = { 0 };
	int fd = connected(*state), next = 0;
	char data[4096];

	for (int i = 0; i < 100; i++)
		buf_printf(&all, "{\"v\":1,\"do\":\"echo\",\"text\":\"%d\"}\n", i);
	assert_int_equal(send(fd, all.data, all.len, 0), all.len);
	buf_reset(&all);
	while (!strstr(buf_text(&all), "\"99\"")) {
		ssize_t n = recv(fd, data, sizeof(data), 0);

		assert_true(n > 0);
		buf_add(&all, data, (size_t)n);
	}
	for (const char *p = strstr(buf_text(&all), "\"text\""); p; p = strstr(p + 1, "\"text\"")) {
		char want[32];

		(void)snprintf(want, sizeof(want), "\"text\":\"%d\"}", next++);
		assert_memory_equal(p, want, strlen(want));
	}
	assert_int_equal(next, 100);
	buf_free(&all);
	close(fd);
}

static void an_answer_may_come_later_and_others_are_served_meanwhile(void **state)
{
	int slow = connected(*state), quick = connected(*state);
	struct pollfd p = { .fd = slow, .events = POLLIN };

	assert_int_equal(send(slow, "{\"v\":1,\"do\":\"later\"}\n", 21, 0), 21);
	expect(quick, PING, "\"ok\":true");
	assert_int_equal(poll(&p, 1, 5000), 1);
	expect(slow, PING, "\"late\":true"); /* the first line that waits there */
	close(slow);
	close(quick);
}

static void a_client_that_has_gone_costs_nothing(void **state)
{
	for (int i = 0; i < 100; i++) {
		int fd = connected(*state);

		assert_int_equal(send(fd, "{\"v\":1,\"do\":\"later\"}\n", 21, 0), 21);
		close(fd);
	}
	for (int i = 0; i < 3; i++) {
		int fd = connected(*state);

		expect(fd, "{\"v\":1,\"do\":\"later\"}", "\"");
		close(fd);
	}
}

static void a_client_that_has_said_all_gets_its_answer(void **state)
{
	struct buf all = { 0 };
	int fd = connected(*state);
	char data[4096];
	ssize_t n;

	assert_int_equal(send(fd, "{\"v\":1,\"do\":\"later\"}\n" PING "\n", 21 + 21, 0), 42);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while ((n = recv(fd, data, sizeof(data), 0)) > 0)
		buf_add(&all, data, (size_t)n);
	assert_int_equal(n, 0); /* and is hung up on */
	assert_non_null(strstr(buf_text(&all), "\"late\":true"));
	assert_non_null(strstr(buf_text(&all), "\"pid\""));
	buf_free(&all);
	close(fd);
}

static void large_answers_come_whole_and_too_large_ones_are_an_error(void **state)
{
	int fd = connected(*state);

	expect(fd, "{\"v\":1,\"do\":\"big\",\"mib\":6}", "xxx\"]}}\n");
	expect(fd, "{\"v\":1,\"do\":\"big\",\"mib\":9}", "too large");
	expect(fd, PING, "\"ok\":true");
	close(fd);
}

static void clients_are_bounded_and_the_one_too_many_is_told(void **state)
{
	struct buf answer = { 0 };
	int fd[SERVER_CLIENTS], more;

	for (int i = 0; i < SERVER_CLIENTS; i++) {
		fd[i] = connected(*state);
		expect(fd[i], PING, "\"ok\":true");
	}
	for (int i = 0; i < 50; i++) {
		more = connected(*state);
		assert_int_equal(control_call(more, PING, 5000, &answer), 0);
		assert_non_null(strstr(buf_text(&answer), "\"busy\""));
		close(more);
	}
	for (int i = 0; i < SERVER_CLIENTS; i++)
		expect(fd[i], PING, "\"ok\":true"); /* nobody was thrown out for them */
	close(fd[3]);
	expect(fd[0], PING, "\"ok\":true"); /* a turn later the place is free */
	more = connected(*state);
	expect(more, PING, "\"ok\":true");
	close(more);
	for (int i = 0; i < SERVER_CLIENTS; i++)
		if (i != 3)
			close(fd[i]);
	buf_free(&answer);
}

static void garbage_of_any_length_does_no_harm(void **state)
{
	unsigned char junk[8192];
	uint32_t x = 1;

	for (int round = 0; round < 50; round++) {
		int fd = connected(*state);

		for (size_t i = 0; i < sizeof(junk); i++) {
			x = x * 1664525 + 1013904223;
			junk[i] = (unsigned char)(x >> 24);
		}
		for (int i = 0; i < 12; i++)
			if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
				break;
		close(fd);
	}
	int fd = connected(*state);

	expect(fd, PING, "\"ok\":true");
	close(fd);
}

/* ---- slow and idle clients, with short times ---- */

static size_t one_byte(const char *data, size_t len)
{
	(void)data;
	return len ? 1 : 0;
}

static struct server *test_server;

static void answer_much(void *arg, uint64_t id, const struct server_peer *peer, const char *data,
			size_t len)
{
	static char much[4 << 20];

	(void)arg;
	(void)peer;
	(void)len;
	assert_true(server_answer(test_server, id, much, *data == 'm' ? sizeof(much) : 1, false) <=
		    0);
}

static const char *nothing(enum server_refusal why)
{
	(void)why;
	return "no\n";
}

static void stop_it(void *arg)
{
	loop_stop(arg);
}

static void slow_and_idle_clients_are_dropped_and_a_busy_one_is_not(void **state)
{
	static const struct server_protocol protocol = { .request_max = 16,
							 .answer_max = 8 << 20,
							 .frame = one_byte,
							 .request = answer_much,
							 .refusal = nothing };
	struct fake *f = *state;
	struct loop *loop = loop_new();
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd[3], timer;
	struct server_stats st;

	assert_non_null(loop);
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/other.sock", f->dir);
	assert_int_equal(server_new(loop, sun.sun_path, &protocol, NULL, 300, 1500, &test_server),
			 0);
	for (int i = 0; i < 3; i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(connect(fd[i], (struct sockaddr *)&sun, sizeof(sun)), 0);
	}
	assert_int_equal(send(fd[0], "m", 1, 0), 1); /* and never reads */
	timer = loop_every(loop, 700, stop_it, loop);
	for (int i = 0; i < 6; i++) {
		char answer;

		assert_int_equal(send(fd[2], "s", 1, 0), 1);
		assert_int_equal(loop_run(loop), 0);
		assert_int_equal(recv(fd[2], &answer, 1, MSG_DONTWAIT), 1);
	}
	loop_timer_drop(loop, timer);
	server_stats(test_server, &st);
	assert_int_equal(st.slow, 1);
	assert_int_equal(st.idle, 1);
	assert_int_equal(st.clients, 1);
	server_free(test_server);
	loop_free(loop);
	assert_int_equal(access(sun.sun_path, F_OK), -1);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* ---- who may ask ---- */

static void only_root_and_the_group_come_in(void **state)
{
	struct fake *f = *state;
	char path[128];
	struct stat st;
	pid_t pid;
	int fd;

	if (geteuid())
		skip();
	(void)snprintf(path, sizeof(path), "%s/" CONTROL_SOCKET, f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
	pid = fork();
	if (!pid) { /* the file's mode keeps a stranger out */
		if (setgroups(0, NULL) || setgid(STRANGER) || setuid(STRANGER))
			_exit(2);
		_exit(control_connect(f->dir, NULL) == -EACCES ? 0 : 3);
	}
	child_is_good(pid);
	assert_int_equal(chmod(path, 0666), 0);
	pid = fork();
	if (!pid) { /* and should it be loosened, the kernel's word for who speaks does */
		if (setgroups(0, NULL) || setgid(STRANGER) || setuid(STRANGER))
			_exit(2);
		/* the listener belongs to root, so the client believes it */
		must_hold(control_connect(f->dir, NULL), "{\"v\":1,\"do\":\"stop\"}",
			  "\"error\":\"denied\"");
		_exit(0);
	}
	child_is_good(pid);
	fd = connected(f);
	expect(fd, PING, "\"ok\":true"); /* "stop" was not obeyed */
	close(fd);
}

/* Mounts of ours are nobody else's from now on. In a chroot whose root is no mount point nothing
 * can be said of it by its path: we step out to the root of our namespace, and in again. */
static int own_mounts(void)
{
	int root, ns, r;

	if (unshare(CLONE_NEWNS))
		return -1;
	if (!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 0;
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	r = root < 0 || ns < 0 || setns(ns, CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || fchdir(root) || chroot(".");
	close(root);
	close(ns);
	return r ? -1 : 0;
}

/* A made-up /etc/group, in a mount namespace of our own. */
static void with_group(gid_t gid)
{
	char file[] = "/tmp/komainu-group-XXXXXX";
	int fd = mkstemp(file);

	if (fd < 0 || dprintf(fd, "root:x:0:\nkomainu:x:%u:\n", gid) < 0 || fchmod(fd, 0644) ||
	    own_mounts() || mount(file, "/etc/group", NULL, MS_BIND, NULL))
		_exit(5);
	close(fd);
	(void)unlink(file);
}

static void as_member(const struct fake *f, gid_t primary, gid_t further)
{
	pid_t pid = fork();
	int status = 0, fd;

	if (!pid) {
		if (setgroups(further ? 1 : 0, &further) || setgid(primary) || setuid(STRANGER))
			_exit(2);
		fd = control_connect(f->dir, NULL);
		if (primary != 54321 && further != 54321)
			_exit(fd == -EACCES ? 0 : 3);
		must_hold(fd, "{\"v\":1,\"do\":\"status\"}", "\"ok\":true");
		must_hold(fd, "{\"v\":1,\"do\":\"reload\"}", "\"error\":\"denied\"");
		must_hold(fd, "{\"v\":1,\"do\":\"stop\"}", "\"error\":\"denied\"");
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		_exit(6);
}

static void members_of_the_group_may_read_and_not_change(void **state)
{
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	pid = fork();
	if (!pid) {
		struct fake f;

		with_group(54321);
		if (fake_start(&f) < 0)
			_exit(4);
		as_member(&f, 54321, 0);
		as_member(&f, STRANGER, 54321); /* a further group of the process */
		as_member(&f, STRANGER, 54322);
		fake_finish(&f);
		_exit(0);
	}
	child_is_good(pid);
}

/* ---- one sensor only ---- */

static void the_socket_of_a_dead_sensor_is_replaced(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/komainu-test-XXXXXX";
	struct control_socket *s = NULL;
	struct loop *loop = loop_new();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/" CONTROL_SOCKET, dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd); /* the file stays, and nobody listens */
	assert_int_equal(control_connect(dir, NULL), -ECONNREFUSED);
	assert_int_equal(control_socket_new(loop, dir, fake_handlers, NULL, &s), 0);
	fd = control_connect(dir, NULL);
	assert_true(fd >= 0);
	close(fd);
	control_socket_free(s);
	assert_int_equal(control_connect(dir, NULL), -ENOENT);
	assert_int_equal(rmdir(dir), 0);
	loop_free(loop);
}

static void a_socket_that_is_answered_is_left_alone(void **state)
{
	struct control_socket *s = NULL;
	struct loop *loop = loop_new();
	struct fake *f = *state;
	int fd;

	assert_int_equal(control_socket_new(loop, f->dir, fake_handlers, NULL, &s), -EADDRINUSE);
	loop_free(loop);
	fd = connected(f);
	expect(fd, PING, "\"ok\":true");
	close(fd);
}

static void the_lock_names_its_holder_and_ends_with_it(void **state)
{
	struct fake *f = *state;
	int lock, ready[2], done[2];
	char byte = 0;
	pid_t pid, holder = 0;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	pid = fork();
	if (!pid) {
		if (life_lock(f->dir, &holder) < 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		(void)!read(done[0], &byte, 1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(life_lock(f->dir, &holder), -EALREADY);
	assert_int_equal(holder, pid);
	assert_int_equal(write(done[1], &byte, 1), 1);
	child_is_good(pid);
	lock = life_lock(f->dir, &holder);
	assert_true(lock >= 0);
	close(lock);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(done[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_question_is_answered_on_one_line),
		TEST(what_is_no_request_is_refused_and_the_next_one_answered),
		TEST(deep_nesting_is_refused),
		TEST(a_request_that_is_too_long_ends_the_connection),
		TEST(requests_in_a_row_are_answered_in_order),
		TEST(an_answer_may_come_later_and_others_are_served_meanwhile),
		TEST(a_client_that_has_gone_costs_nothing),
		TEST(a_client_that_has_said_all_gets_its_answer),
		TEST(large_answers_come_whole_and_too_large_ones_are_an_error),
		TEST(clients_are_bounded_and_the_one_too_many_is_told),
		TEST(garbage_of_any_length_does_no_harm),
		TEST(slow_and_idle_clients_are_dropped_and_a_busy_one_is_not),
		TEST(only_root_and_the_group_come_in),
		TEST(members_of_the_group_may_read_and_not_change),
		TEST(the_socket_of_a_dead_sensor_is_replaced),
		TEST(a_socket_that_is_answered_is_left_alone),
		TEST(the_lock_names_its_holder_and_ends_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
