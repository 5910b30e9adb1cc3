#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/worker_kill.h"

#define BATCHES 64

static int text_file(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void assert_result(struct worker_result *r, const char *want)
{
	size_t len;
	const char *p = worker_map(r->fd, WORKER_RESULT_MAX, &len);

	assert_non_null(p);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(p, want, len);
	worker_unmap(p, len);
	close(r->fd);
}

static void a_job_gets_its_file_and_argument_and_its_result_is_sealed(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	kmn_auto(fd) int in = text_file("hello ");
	struct worker_result r;
	int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

	(void)state;
	assert_int_equal(worker_call(p, "copy", in, "world", 5, TIMEOUT_MS, &r), 0);
	assert_string_equal(r.error, "");
	assert_int_equal(fcntl(r.fd, F_GET_SEALS), all);
	assert_int_equal(pwrite(r.fd, "x", 1, 0), -1);
	assert_result(&r, "hello world");
	assert_int_equal(stats(p).done, 1);
	worker_pool_free(p);
}

static void a_job_can_use_its_c_library(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	kmn_auto(fd) int in = text_file("line\n");
	struct worker_result r;

	(void)state;
	if (worker_call(p, "libc", in, NULL, 0, TIMEOUT_MS, &r))
		fail_msg("%s", r.error);
	assert_result(&r, "0.125 42\nline\n");
	worker_pool_free(p);
}

static void an_error_is_one_clean_line(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_result r;

	(void)state;
	assert_int_equal(call(p, "refuse", &r), -EINVAL);
	assert_string_equal(r.error, "3:1: no?address?");
	assert_int_equal(r.fd, -1);
	assert_int_equal(stats(p).failed, 1);
	assert_int_equal(stats(p).died, 0);
	worker_pool_free(p);
}

static void wrong_calls_are_refused(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_result r;
	char arg[WORKER_ARG_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(call(p, "nosuch", &r), -ENOENT);
	assert_int_equal(r.fd, -1);
	assert_int_equal(worker_call(p, "copy", -1, arg, sizeof(arg), 1, &r), -EINVAL);
	assert_int_equal(worker_call(p, "copy", 9999, NULL, 0, 1, &r), -EBADF);
	assert_int_equal(worker_call(p, "copy", -1, NULL, 0, 0, &r), -EINVAL);
	assert_int_equal(worker_submit(p, "copy", -1, NULL, 0, 1, NULL, NULL), -EINVAL);
	assert_int_equal(worker_call(p, "copy", -1, arg, WORKER_ARG_MAX, TIMEOUT_MS, &r), 0);
	close(r.fd);
	assert_null(worker_pool_new(NULL, all_jobs, 0));
	assert_null(worker_pool_new(NULL, all_jobs, WORKERS_MAX + 1));
	worker_pool_free(p);
}

static void a_writable_file_reaches_the_worker_read_only(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	kmn_auto(fd) int in = text_file("");
	struct worker_result r;

	(void)state;
	assert_int_equal(fcntl(in, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_int_equal(worker_call(p, "write_in", in, NULL, 0, TIMEOUT_MS, &r), -EBADF);
	worker_pool_free(p);
}

static void a_worker_holds_no_descriptor_of_the_core(void **state)
{
	kmn_auto(fd) int kept_on_exec = open("/etc/passwd", O_RDONLY);
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_result r;

	(void)state;
	assert_true(kept_on_exec >= 0);
	assert_int_equal(call(p, "count_fds", &r), 0);
	assert_result(&r, "\x04"); /* 0-2, which lead nowhere, and its socket */
	worker_pool_free(p);
}

static void a_result_can_be_large_but_not_above_the_bound(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	uint64_t len = 20 << 20;
	struct worker_result r;
	size_t got;
	const void *m;

	(void)state;
	assert_int_equal(worker_call(p, "big", -1, &len, sizeof(len), TIMEOUT_MS, &r), 0);
	assert_null(worker_map(r.fd, len - 1, &got));
	assert_int_equal(errno, EFBIG);
	m = worker_map(r.fd, len, &got);
	assert_non_null(m);
	assert_int_equal(got, len);
	assert_int_equal(((const char *)m)[len - 1], 'b');
	worker_unmap(m, got);
	close(r.fd);
	assert_int_not_equal(call(p, "oversize", &r), 0); /* EFBIG, or killed by SIGXFSZ */
	assert_int_equal(call(p, "empty", &r), 0);
	close(r.fd);
	worker_pool_free(p);
}

static void the_core_refuses_what_cannot_be_sealed(void **state)
{
	kmn_auto(fd) int big = memfd_create("big", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	kmn_auto(fd) int no_seals = memfd_create("no", MFD_CLOEXEC);
	kmn_auto(fd) int mapped = memfd_create("mapped", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t len;
	void *m;

	(void)state;
	assert_int_equal(ftruncate(big, (off_t)WORKER_RESULT_MAX + 1), 0);
	assert_int_equal(worker_seal(big), -EFBIG);
	assert_int_equal(worker_seal(no_seals), -EPERM);
	assert_null(worker_map(no_seals, 4096, &len));
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(mapped, 4096), 0);
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
	assert_ptr_not_equal(m, MAP_FAILED);
	assert_int_equal(worker_seal(mapped), -EBUSY);
	assert_int_equal(munmap(m, 4096), 0);
	assert_int_equal(worker_seal(mapped), 0);
}

static void memory_of_a_worker_is_bounded(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_result r;

	(void)state;
#ifdef KMN_SANITIZED
	worker_pool_free(p);
	skip(); /* the limit would stop the sanitizer itself */
#endif
	assert_int_equal(call(p, "eat_memory", &r), -ENOMEM);
	worker_pool_free(p);
}

static void each_forbidden_system_call_kills_the_worker_only(void **state)
{
	(void)state;
	kill_each(forbidden_jobs, 1);
}

static void a_forbidden_system_call_is_named_as_the_cause(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_result r;

	(void)state;
	assert_int_equal(call(p, "socket", &r), -EPROTO);
	assert_string_equal(r.error, "killed: it tried a forbidden system call");
	worker_pool_free(p);
}

static void each_crash_and_each_lie_kills_the_worker_only(void **state)
{
	(void)state;
	kill_each(hostile_jobs, 1);
}

static void a_lie_is_named_as_the_cause(void **state)
{
	static const struct {
		const char *job, *error;
	} lies[] = {
		{ "send_fds", "sent descriptors, which no worker may" },
		{ "send_garbage", "sent 12 bytes instead of 532" },
		{ "send_huge", "sent more than 8272 bytes" },
		{ "keep_mapped", "kept its result mapped for writing" },
		{ "exit", "exited with status 7" },
		{ "crash", "killed by signal 11 (Segmentation fault)" },
	};
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_result r;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
#ifdef KMN_SANITIZED
		if (!strcmp(lies[i].job, "crash")) /* the sanitizer reports and exits itself */
			continue;
#endif
		assert_int_equal(call(p, lies[i].job, &r), -EPROTO);
		assert_string_equal(r.error, lies[i].error);
	}
	worker_pool_free(p);
}

static void a_forged_answer_of_the_right_batch_is_still_judged(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	uint32_t seq = 1; /* of a fresh worker's first batch */
	struct worker_result r;

	(void)state;
	assert_int_equal(worker_call(p, "send_wrong_status", -1, &seq, sizeof(seq), TIMEOUT_MS, &r),
			 -EPROTO);
	assert_string_equal(r.error, "sent status 1");
	seq++; /* sequence numbers go on over a respawn */
	assert_int_equal(worker_call(p, "answer_twice", -1, &seq, sizeof(seq), TIMEOUT_MS, &r), 0);
	close(r.fd);
	assert_int_equal(call(p, "empty", &r), -EPROTO); /* its real answer comes out of turn */
	assert_int_equal(call(p, "empty", &r), 0);
	close(r.fd);
	worker_pool_free(p);
}

static void a_job_that_takes_too_long_is_killed(void **state)
{
	static const char *const slow[] = { "spin", "wait" };
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_result r;

	(void)state;
	assert_int_equal(call(p, "empty", &r), 0);
	close(r.fd);
	for (int i = 0; i < 2; i++) {
		uint64_t t = clock_boot_ns();

		assert_int_equal(worker_call(p, slow[i], -1, NULL, 0, 100, &r), -ETIMEDOUT);
		t = clock_boot_ns() - t;
		assert_true(t >= 100 * NS_PER_MS);
		assert_true(t < 5 * NS_PER_S);
	}
	assert_int_equal(stats(p).timed_out, 2);
	assert_int_equal(stats(p).died, 0);
	assert_int_equal(call(p, "empty", &r), 0);
	close(r.fd);
	worker_pool_free(p);
}

static uint64_t give_up_ns;

static bool it_is_time(void)
{
	return clock_boot_ns() >= give_up_ns;
}

static void a_call_that_is_given_up_returns_soon_and_its_worker_ends(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_result r;
	uint64_t t;

	(void)state;
	assert_int_equal(call(p, "empty", &r), 0);
	close(r.fd);
	give_up_ns = UINT64_MAX;
	worker_pool_give_up(p, it_is_time);
	assert_int_equal(call(p, "empty", &r), 0); /* nobody wants it yet */
	close(r.fd);
	t = clock_boot_ns();
	give_up_ns = t + 100 * NS_PER_MS;
	assert_int_equal(worker_call(p, "spin", -1, NULL, 0, 60000, &r), -ECANCELED);
	assert_int_equal(r.fd, -1);
	assert_true(clock_boot_ns() - t < 5 * NS_PER_S);
	worker_pool_free(p);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
	assert_int_equal(errno, ECHILD);
}

static void a_crash_loop_does_not_burn_the_processor(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	uint64_t start = clock_boot_ns(), spent;
	unsigned n = 0;
	struct worker_result r;

	(void)state;
	while (clock_boot_ns() - start < 2 * NS_PER_S) {
		assert_int_equal(call(p, "exit", &r), -EPROTO);
		n++;
	}
	spent = clock_boot_ns() - start;
	/* 3 at once, then 10, 20, 40 ... ms apart: 2 s hold 10 to 12, free running above 300 */
	print_message("%u deaths in %.1f s\n", n, (double)spent / 1e9);
	assert_in_range(n, 4, 14);
	assert_int_equal(stats(p).respawns + 1, n); /* it waits with nothing to do as well */
	worker_pool_free(p);
}

/* The asynchronous side. */
struct seen {
	struct loop *loop;
	unsigned n, good, proto, timeout, expected;
	char order[BATCHES];
	bool inside_call;
};

static void done(void *arg, struct worker_result *r)
{
	struct seen *s = arg;

	assert_false(s->inside_call);
	s->n++;
	s->good += !r->status;
	s->proto += r->status == -EPROTO;
	s->timeout += r->status == -ETIMEDOUT;
	if (r->fd >= 0) {
		char c = 0;

		if (pread(r->fd, &c, 1, 0) == 1 && s->n <= BATCHES)
			s->order[s->n - 1] = c;
		close(r->fd);
	}
	if (s->n == s->expected)
		loop_stop(s->loop);
}

static int submit(struct worker_pool *p, const char *job, const char *arg, uint32_t ms,
		  struct seen *s)
{
	return worker_submit(p, job, -1, arg, arg ? (uint32_t)strlen(arg) : 0, ms, done, s);
}

static struct worker_pool *open_async(struct seen *s, unsigned workers)
{
	struct worker_pool *p;

	*s = (struct seen){ .loop = loop_new() };
	assert_non_null(s->loop);
	p = open_pool(s->loop, workers);
	assert_int_equal(worker_pool_start(p, TIMEOUT_MS), 0);
	return p;
}

static void close_async(struct worker_pool *p, struct seen *s)
{
	worker_pool_free(p);
	loop_free(s->loop);
}

static void many_jobs_come_back_in_order_from_one_worker(void **state)
{
	struct seen s;
	struct worker_pool *p = open_async(&s, 1);

	(void)state;
	s.expected = BATCHES;
	for (int i = 0; i < BATCHES; i++) {
		char c[2] = { (char)('0' + i), 0 };

		assert_int_equal(submit(p, "copy", c, TIMEOUT_MS, &s), 0);
	}
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.good, BATCHES);
	for (int i = 0; i < BATCHES; i++)
		assert_int_equal(s.order[i], '0' + i);
	close_async(p, &s);
}

static void of_a_batch_only_the_guilty_job_fails(void **state)
{
	struct seen s;
	struct worker_pool *p = open_async(&s, 2);

	(void)state;
	s.expected = 41;
	for (int i = 0; i < 40; i++) {
		if (i == 20)
			assert_int_equal(submit(p, "socket", NULL, TIMEOUT_MS, &s), 0);
		assert_int_equal(submit(p, "copy", "x", TIMEOUT_MS, &s), 0);
	}
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.good, 40);
	assert_int_equal(s.proto, 1);
	assert_int_equal(stats(p).died, 2); /* once with the batch, once alone */
	close_async(p, &s);
}

static void of_a_batch_only_the_slow_job_times_out(void **state)
{
	struct seen s;
	struct worker_pool *p = open_async(&s, 1);

	(void)state;
	s.expected = 13;
	for (int i = 0; i < 12; i++) {
		if (i == 6)
			assert_int_equal(submit(p, "spin", NULL, 200, &s), 0);
		assert_int_equal(submit(p, "copy", "x", 200, &s), 0);
	}
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.good, 12);
	assert_int_equal(s.timeout, 1);
	close_async(p, &s);
}

static void a_file_is_read_from_its_start_again_after_a_lost_batch(void **state)
{
	struct seen s;
	struct worker_pool *p = open_async(&s, 1);
	kmn_auto(fd) int in = text_file("skipped.whole");

	(void)state;
	s.expected = 4;
	assert_int_equal(lseek(in, 8, SEEK_SET), 8); /* a job begins where its caller was */
	assert_int_equal(submit(p, "copy", "a", TIMEOUT_MS, &s), 0);
	assert_int_equal(worker_submit(p, "copy", in, NULL, 0, TIMEOUT_MS, done, &s), 0);
	assert_int_equal(submit(p, "exit", NULL, TIMEOUT_MS, &s), 0);
	assert_int_equal(submit(p, "copy", "b", TIMEOUT_MS, &s), 0);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.good, 3);
	assert_non_null(strchr(s.order, 's'));
	close_async(p, &s);
}

static void a_full_queue_refuses_and_nothing_is_lost(void **state)
{
	struct seen s;
	struct worker_pool *p = open_async(&s, 1);
	unsigned taken = 0;

	(void)state;
	while (!submit(p, "empty", NULL, TIMEOUT_MS, &s))
		taken++;
	assert_int_equal(taken, WORKER_QUEUE_MAX);
	assert_int_equal(submit(p, "empty", NULL, TIMEOUT_MS, &s), -EAGAIN);
	s.expected = taken;
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.good, taken);
	close_async(p, &s);
}

static void a_call_leaves_the_callbacks_of_others_to_the_loop(void **state)
{
	struct seen s;
	struct worker_pool *p = open_async(&s, 1);
	struct worker_result r;

	(void)state;
	s.expected = 5;
	for (int i = 0; i < 5; i++)
		assert_int_equal(submit(p, "copy", "x", TIMEOUT_MS, &s), 0);
	s.inside_call = true;
	assert_int_equal(call(p, "empty", &r), 0);
	close(r.fd);
	s.inside_call = false;
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.good, 5);
	close_async(p, &s);
}

static void the_loop_is_never_held_up_by_a_bad_worker(void **state)
{
	struct seen s;
	struct worker_pool *p = open_async(&s, 2);

	(void)state;
	(void)loop_worst_turn_ns(s.loop);
	s.expected = 44;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(submit(p, "spin", NULL, 300, &s), 0);
		for (int j = 0; j < 10; j++)
			assert_int_equal(submit(p, "empty", NULL, 300, &s), 0);
	}
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.good, 40);
	assert_int_equal(s.timeout, 4);
	/* kills, starts and answers, but no wait: a job's timeout would show as 300 ms */
	assert_true(loop_worst_turn_ns(s.loop) < 200 * NS_PER_MS);
	close_async(p, &s);
}

static void an_idle_worker_that_is_killed_comes_back(void **state)
{
	struct seen s;
	struct worker_pool *p = open_async(&s, 1);

	(void)state;
	s.expected = 1; /* its worker dies while nobody waits: the next job still works */
	assert_int_equal(submit(p, "exit", NULL, TIMEOUT_MS, &s), 0);
	assert_int_equal(loop_run(s.loop), 0);
	s.expected = 2;
	assert_int_equal(submit(p, "empty", NULL, TIMEOUT_MS, &s), 0);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.good, 1);
	assert_int_equal(stats(p).alive, 1);
	close_async(p, &s);
}

static void no_process_and_no_descriptor_is_left(void **state)
{
	int before = dup(0), after;

	(void)state;
	close(before);
	for (int i = 0; i < 3; i++) {
		struct seen s;
		struct worker_pool *p = open_async(&s, 3);

		assert_int_equal(submit(p, "spin", NULL, TIMEOUT_MS, &s), 0);
		assert_int_equal(submit(p, "empty", NULL, TIMEOUT_MS, &s), 0);
		close_async(p, &s);
	}
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void the_sandbox_in_force_is_told(void **state)
{
	struct worker_pool *p = open_pool(NULL, 1);
	struct worker_stats s;

	(void)state;
	assert_int_equal(worker_pool_start(p, TIMEOUT_MS), 0);
	s = stats(p);
	print_message("%s\n", s.sandbox);
	assert_int_equal(s.alive, 1);
	assert_non_null(strstr(s.sandbox, "seccomp"));
	assert_non_null(strstr(s.sandbox, "no capabilities"));
	assert_non_null(strstr(s.sandbox, "no_new_privs"));
	assert_null(strstr(s.sandbox, "uid 0"));
	worker_pool_free(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_gets_its_file_and_argument_and_its_result_is_sealed),
		cmocka_unit_test(a_job_can_use_its_c_library),
		cmocka_unit_test(an_error_is_one_clean_line),
		cmocka_unit_test(wrong_calls_are_refused),
		cmocka_unit_test(a_writable_file_reaches_the_worker_read_only),
		cmocka_unit_test(a_worker_holds_no_descriptor_of_the_core),
		cmocka_unit_test(a_result_can_be_large_but_not_above_the_bound),
		cmocka_unit_test(the_core_refuses_what_cannot_be_sealed),
		cmocka_unit_test(memory_of_a_worker_is_bounded),
		cmocka_unit_test(each_forbidden_system_call_kills_the_worker_only),
		cmocka_unit_test(a_forbidden_system_call_is_named_as_the_cause),
		cmocka_unit_test(each_crash_and_each_lie_kills_the_worker_only),
		cmocka_unit_test(a_lie_is_named_as_the_cause),
		cmocka_unit_test(a_forged_answer_of_the_right_batch_is_still_judged),
		cmocka_unit_test(a_job_that_takes_too_long_is_killed),
		cmocka_unit_test(a_crash_loop_does_not_burn_the_processor),
		cmocka_unit_test(many_jobs_come_back_in_order_from_one_worker),
		cmocka_unit_test(of_a_batch_only_the_guilty_job_fails),
		cmocka_unit_test(of_a_batch_only_the_slow_job_times_out),
		cmocka_unit_test(a_file_is_read_from_its_start_again_after_a_lost_batch),
		cmocka_unit_test(a_full_queue_refuses_and_nothing_is_lost),
		cmocka_unit_test(a_call_leaves_the_callbacks_of_others_to_the_loop),
		cmocka_unit_test(the_loop_is_never_held_up_by_a_bad_worker),
		cmocka_unit_test(an_idle_worker_that_is_killed_comes_back),
		cmocka_unit_test(no_process_and_no_descriptor_is_left),
		cmocka_unit_test(the_sandbox_in_force_is_told),
		cmocka_unit_test(a_call_that_is_given_up_returns_soon_and_its_worker_ends),
	};

	if (argc > 0 && !strcmp(argv[0], WORKER_ARGV0))
		worker_main(all_jobs);
	log_set_level(LOG_ERROR); /* each death is a warning */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
