#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>
#include "core/aside.h"

struct job {
	struct loop *loop;
	struct aside *aside;
	pthread_t main, ran_in, done_in;
	_Atomic bool go, ran, signals_blocked;
	int ticks, done, naps; /* naps: how many until it goes by itself; 0: never */
};

static void nap(void)
{
	struct timespec t = { .tv_nsec = 2000000 };

	(void)nanosleep(&t, NULL);
}

static void run(void *arg)
{
	struct job *j = arg;
	sigset_t now;

	j->ran_in = pthread_self();
	(void)pthread_sigmask(SIG_SETMASK, NULL, &now);
	atomic_store(&j->signals_blocked, sigismember(&now, SIGTERM) && sigismember(&now, SIGHUP));
	for (int n = 1; !atomic_load(&j->go) && n != j->naps; n++)
		nap();
	atomic_store(&j->ran, true);
}

static void done(void *arg)
{
	struct job *j = arg;

	j->done_in = pthread_self();
	j->done++;
	loop_stop(j->loop);
}

static void tick(void *arg)
{
	struct job *j = arg;

	if (++j->ticks == 5)
		atomic_store(&j->go, true);
}

static void stop(void *arg)
{
	struct job *j = arg;

	loop_stop(j->loop);
}

static void the_loop_turns_while_it_runs_and_hears_of_its_end(void **state)
{
	struct job j = { .loop = loop_new(), .main = pthread_self() };
	sigset_t before, after;

	(void)state;
	(void)pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_true(loop_every(j.loop, 5, tick, &j) >= 0);
	assert_int_equal(aside_start(j.loop, run, done, &j, &j.aside), 0);
	assert_int_equal(loop_run(j.loop), 0);
	assert_true(j.ticks >= 5);
	assert_int_equal(j.done, 1);
	assert_true(atomic_load(&j.ran));
	assert_true(atomic_load(&j.signals_blocked));
	assert_false(pthread_equal(j.ran_in, j.main));
	assert_true(pthread_equal(j.done_in, j.main));
	(void)pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i < 32; i++)
		assert_int_equal(sigismember(&before, i), sigismember(&after, i));
	loop_free(j.loop);
}

static void the_end_waits_for_it_and_says_nothing(void **state)
{
	struct job j = { .loop = loop_new(), .main = pthread_self(), .naps = 50 };

	(void)state;
	assert_int_equal(aside_start(j.loop, run, done, &j, &j.aside), 0);
	aside_end(j.aside);
	assert_true(atomic_load(&j.ran));
	assert_true(loop_every(j.loop, 20, stop, &j) >= 0);
	assert_int_equal(loop_run(j.loop), 0); /* nor later */
	assert_int_equal(j.done, 0);
	aside_end(NULL);
	loop_free(j.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_loop_turns_while_it_runs_and_hears_of_its_end),
		cmocka_unit_test(the_end_waits_for_it_and_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
