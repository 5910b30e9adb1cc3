/* Parts of the service that need no kernel: its timers, and how long a canary is waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include "services/tasks/proc.h"
#include "services/tasks/tasks_self.h"

static struct kmn_core core;
static struct tasks_self tasks = { .core = &core };
static uint32_t runs;
static int fired, records;
static int slow_timer, fast_timer;

static void on_slow(void *arg)
{
	(void)arg;
	fired++;
	tasks_timer(&tasks, slow_timer, &runs, 0);
	loop_stop(core.loop);
}

static void on_record(void *arg)
{
	(void)arg;
	if (++records == 200)
		loop_stop(core.loop); /* put off for ever */
	tasks_timer(&tasks, slow_timer, &runs, 50);
}

static void a_timer_is_not_put_off_by_more_records(void **state)
{
	(void)state;
	core.loop = loop_new();
	assert_non_null(core.loop);
	slow_timer = loop_every(core.loop, 1000, on_slow, NULL);
	assert_true(slow_timer >= 0);
	assert_int_equal(loop_timer_set(core.loop, slow_timer, 0), 0);
	fast_timer = loop_every(core.loop, 5, on_record, NULL);
	assert_true(fast_timer >= 0);
	assert_int_equal(loop_run(core.loop), 0);
	assert_int_equal(fired, 1);
	assert_true(records >= 5); /* it waited for its time */
	assert_int_equal(runs, 0); /* stopped ... */
	assert_int_equal(loop_run(core.loop), 0);
	assert_int_equal(fired, 2); /* ... and started again */
	loop_free(core.loop);
}

static void a_canary_is_waited_for_as_long_as_others_took(void **state)
{
	static const struct {
		uint64_t slowest_ms, limit_ms;
	} cases[] = { { 0, 30000 }, { 20, 5000 }, { 3000, 24000 }, { 20000, 60000 } };
	struct tasks_canary c = { .exe = -1 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t limit = cases[i].limit_ms * NS_PER_MS;

		c.slowest_ns = cases[i].slowest_ms * NS_PER_MS;
		c.wanted = TASKS_PROOF_EXEC;
		c.reaped = true;
		c.sent_ns = NS_PER_S;
		c.missed = 0;
		assert_int_equal(tasks_canary_limit_ns(&c), limit);
		assert_false(tasks_canary_over(&c, c.sent_ns + limit - 1));
		assert_true(tasks_canary_over(&c, c.sent_ns + limit));
		assert_int_equal(c.missed, 1);
	}
}

static void a_pid_namespace_of_ones_own_is_noticed(void **state)
{
	bool here = tasks_own_pids();
	int status;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(77);
		pid = fork();
		if (!pid)
			_exit(!tasks_own_pids());
		_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
									   : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(tasks_own_pids(), here);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_is_not_put_off_by_more_records),
		cmocka_unit_test(a_canary_is_waited_for_as_long_as_others_took),
		cmocka_unit_test(a_pid_namespace_of_ones_own_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
