#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "core/loop.h"

#define MANY 200 /* descriptors, more than a turn hands out */

static void nap_ms(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

struct probe { /* what a callback saw and what it shall do */
	struct loop *loop;
	int fd, calls;
	uint32_t events;
	struct probe *close_other; /* unwatch and close it, once */
	int reused;		   /* descriptor that was opened in its place */
	struct probe *reuse_for;
	bool stop, keep;
};

static void probe_ready(void *arg, uint32_t events)
{
	struct probe *p = arg;
	uint64_t n;

	p->calls++;
	p->events = events;
	if (!p->keep)
		assert_int_equal(read(p->fd, &n, sizeof(n)), sizeof(n));
	if (p->close_other && p->close_other->fd >= 0) {
		struct probe *o = p->close_other;
		int old = o->fd;

		loop_unwatch(p->loop, o->fd);
		close(o->fd);
		o->fd = -1;
		if (p->reuse_for) {
			p->reused = eventfd(0, EFD_NONBLOCK); /* gets the number just closed */
			assert_int_equal(p->reused, old);
			p->reuse_for->fd = p->reused;
			assert_int_equal(
				loop_watch(p->loop, p->reused, EPOLLIN, probe_ready, p->reuse_for),
				0);
		}
	}
	if (p->stop)
		loop_stop(p->loop);
}

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

/* Run for about ms. */
static void run_ms(struct loop *l, uint32_t ms)
{
	int timer = loop_every(l, ms, stop_loop, l);

	assert_true(timer >= 0);
	assert_int_equal(loop_run(l), 0);
	loop_timer_drop(l, timer);
}

static int setup(void **state)
{
	*state = loop_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	loop_free(*state);
	return 0;
}

static void an_event_reaches_its_callback_until_it_is_unwatched(void **state)
{
	struct probe p = { .loop = *state, .fd = eventfd(1, EFD_NONBLOCK) };
	uint64_t one = 1;

	assert_int_equal(loop_watch(*state, p.fd, EPOLLIN, probe_ready, &p), 0);
	run_ms(*state, 10);
	assert_int_equal(p.calls, 1);
	assert_true(p.events & EPOLLIN);
	loop_unwatch(*state, p.fd);
	assert_int_equal(write(p.fd, &one, sizeof(one)), sizeof(one));
	run_ms(*state, 10);
	assert_int_equal(p.calls, 1);
	close(p.fd);
}

static void watching_again_changes_the_events(void **state)
{
	struct probe p = { .loop = *state, .fd = eventfd(0, EFD_NONBLOCK), .keep = true };

	assert_int_equal(loop_watch(*state, p.fd, EPOLLIN, probe_ready, &p), 0);
	run_ms(*state, 10);
	assert_int_equal(p.calls, 0);
	p.stop = true;
	assert_int_equal(loop_watch(*state, p.fd, EPOLLOUT, probe_ready, &p), 0);
	assert_int_equal(loop_run(*state), 0);
	assert_int_equal(p.calls, 1);
	assert_true(p.events & EPOLLOUT);
	close(p.fd);
}

/* Both are ready in one batch: whichever comes first takes the other away. */
static void a_callback_may_close_a_descriptor_whose_event_is_in_the_batch(void **state)
{
	struct probe a = { .loop = *state, .fd = eventfd(1, EFD_NONBLOCK) };
	struct probe b = { .loop = *state, .fd = eventfd(1, EFD_NONBLOCK) };

	a.close_other = &b;
	b.close_other = &a;
	assert_int_equal(loop_watch(*state, a.fd, EPOLLIN, probe_ready, &a), 0);
	assert_int_equal(loop_watch(*state, b.fd, EPOLLIN, probe_ready, &b), 0);
	run_ms(*state, 10);
	assert_int_equal(a.calls + b.calls, 1);
	close(a.fd >= 0 ? a.fd : b.fd);
}

static void an_old_event_does_not_reach_the_new_owner_of_its_number(void **state)
{
	struct probe a = { .loop = *state, .fd = eventfd(1, EFD_NONBLOCK) };
	struct probe b = { .loop = *state, .fd = eventfd(1, EFD_NONBLOCK) };
	struct probe fresh = { .loop = *state, .fd = -1, .keep = true };

	a.close_other = &b;
	b.close_other = &a;
	a.reuse_for = b.reuse_for = &fresh;
	assert_int_equal(loop_watch(*state, a.fd, EPOLLIN, probe_ready, &a), 0);
	assert_int_equal(loop_watch(*state, b.fd, EPOLLIN, probe_ready, &b), 0);
	run_ms(*state, 10);
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(fresh.calls, 0); /* it was never readable */
	close(fresh.fd);
	close(a.fd >= 0 ? a.fd : b.fd);
}

static void a_descriptor_closed_without_unwatch_can_be_watched_anew(void **state)
{
	struct probe p = { .loop = *state, .fd = eventfd(0, EFD_NONBLOCK) };
	struct probe q = { .loop = *state };

	assert_int_equal(loop_watch(*state, p.fd, EPOLLIN, probe_ready, &p), 0);
	close(p.fd);
	q.fd = eventfd(1, EFD_NONBLOCK);
	assert_int_equal(q.fd, p.fd);
	assert_int_equal(loop_watch(*state, q.fd, EPOLLIN, probe_ready, &q), 0);
	run_ms(*state, 10);
	assert_int_equal(p.calls, 0);
	assert_int_equal(q.calls, 1);
	close(q.fd);
}

static void a_turn_hands_out_a_bounded_number_of_events(void **state)
{
	struct probe p[MANY];
	int calls = 0;

	for (int i = 0; i < MANY; i++) {
		p[i] = (struct probe){ .loop = *state, .fd = eventfd(1, EFD_NONBLOCK) };
		p[i].keep = p[i].stop = true;
		assert_int_equal(loop_watch(*state, p[i].fd, EPOLLIN, probe_ready, &p[i]), 0);
	}
	assert_int_equal(loop_run(*state), 0); /* each stops it, so it is one turn */
	for (int i = 0; i < MANY; i++)
		calls += p[i].calls;
	assert_int_equal(calls, 64);
	for (int turn = 0; turn < 2 * MANY / 64 + 1; turn++) /* and nobody starves */
		assert_int_equal(loop_run(*state), 0);
	for (int i = 0; i < MANY; i++) {
		assert_true(p[i].calls > 0);
		close(p[i].fd);
	}
}

struct beat {
	struct loop *loop;
	int n, stop_at, nap;
};

static void beat(void *arg)
{
	struct beat *b = arg;

	b->n++;
	if (b->nap)
		nap_ms(b->nap);
	if (b->n == b->stop_at)
		loop_stop(b->loop);
}

/* A loop that counted from the end of a call would need 280 ms. A busy machine may be late, so it
 * has five tries. */
static void a_timer_does_not_drift(void **state)
{
	uint64_t took_ms = UINT64_MAX;

	for (int attempt = 0; attempt < 5 && took_ms >= 270; attempt++) {
		struct beat b = { .loop = *state, .stop_at = 20, .nap = 4 };
		uint64_t start = clock_boot_ns();
		int timer = loop_every(*state, 10, beat, &b);

		assert_true(timer >= 0);
		assert_int_equal(loop_run(*state), 0);
		loop_timer_drop(*state, timer);
		took_ms = (clock_boot_ns() - start) / NS_PER_MS;
		assert_true(took_ms >= 199);
	}
	assert_true(took_ms < 270);
}

static void missed_periods_are_not_made_up_for(void **state)
{
	struct beat b = { .loop = *state, .stop_at = 3, .nap = 55 };
	uint64_t start = clock_boot_ns();

	assert_true(loop_every(*state, 10, beat, &b) >= 0);
	assert_int_equal(loop_run(*state), 0);
	assert_true(clock_boot_ns() - start > 150 * NS_PER_MS); /* 3 calls, not 15 */
}

static void a_timer_can_be_stopped_started_and_dropped(void **state)
{
	struct beat b = { .loop = *state };
	int timer = loop_every(*state, 5, beat, &b);

	assert_true(timer >= 0);
	assert_int_equal(loop_timer_set(*state, timer, 0), 0);
	run_ms(*state, 30);
	assert_int_equal(b.n, 0);
	assert_int_equal(loop_timer_set(*state, timer, 5), 0);
	b.loop = *state;
	b.stop_at = 2;
	assert_int_equal(loop_run(*state), 0);
	loop_timer_drop(*state, timer);
	assert_int_equal(loop_timer_set(*state, timer, 5), -EINVAL);
	for (int i = 0; i < 300; i++) { /* far more than live at once */
		timer = loop_every(*state, 1000, beat, &b);
		assert_true(timer >= 0);
		loop_timer_drop(*state, timer);
	}
}

static void too_many_timers_are_refused(void **state)
{
	struct beat b = { .loop = *state };
	int r = 0;

	for (int i = 0; i < 1000 && r >= 0; i++)
		r = loop_every(*state, 100000, beat, &b);
	assert_int_equal(r, -ENOSPC);
}

struct caught {
	struct loop *loop;
	int usr1, usr2;
};

static void on_usr1(void *arg)
{
	struct caught *c = arg;

	c->usr1++;
}

static void on_usr2(void *arg)
{
	struct caught *c = arg;

	c->usr2++;
	loop_stop(c->loop);
}

static void signals_come_through_the_loop(void **state)
{
	struct caught c = { .loop = *state };

	assert_int_equal(loop_signal(*state, SIGUSR1, on_usr1, &c), 0);
	assert_int_equal(loop_signal(*state, SIGUSR2, on_usr2, &c), 0);
	assert_int_equal(kill(getpid(), SIGUSR1), 0); /* pending, and kills nobody */
	assert_int_equal(kill(getpid(), SIGUSR2), 0);
	assert_int_equal(loop_run(*state), 0);
	assert_int_equal(c.usr1, 1);
	assert_int_equal(c.usr2, 1);
	assert_int_equal(loop_signal(*state, 0, on_usr1, &c), -EINVAL);
}

static void a_stop_before_the_run_ends_it_at_once(void **state)
{
	struct beat b = { .loop = *state };

	assert_true(loop_every(*state, 1, beat, &b) >= 0);
	loop_stop(*state);
	assert_int_equal(loop_run(*state), 0);
	assert_int_equal(b.n, 0);
}

static int nested;
static void run_inside(void *arg)
{
	nested = loop_run(arg);
	loop_stop(arg);
}

static void a_loop_does_not_run_inside_itself(void **state)
{
	assert_true(loop_every(*state, 1, run_inside, *state) >= 0);
	assert_int_equal(loop_run(*state), 0);
	assert_int_equal(nested, -EBUSY);
}

static void the_longest_turn_is_told_once(void **state)
{
	struct beat b = { .loop = *state, .stop_at = 1, .nap = 30 };
	uint64_t worst;

	assert_true(loop_every(*state, 1, beat, &b) >= 0);
	assert_int_equal(loop_run(*state), 0);
	worst = loop_worst_turn_ns(*state);
	assert_true(worst >= 30 * NS_PER_MS && worst < 10 * NS_PER_S);
	assert_int_equal(loop_worst_turn_ns(*state), 0);
}

static void what_cannot_be_watched_is_an_error(void **state)
{
	struct probe p = { 0 };

	assert_int_equal(loop_watch(*state, -1, EPOLLIN, probe_ready, &p), -EINVAL);
	assert_int_equal(loop_watch(*state, 70000, EPOLLIN, probe_ready, &p), -EMFILE);
	assert_int_equal(loop_watch(*state, 999, EPOLLIN, probe_ready, &p), -EBADF);
	loop_unwatch(*state, 999); /* never watched: nothing happens */
	loop_unwatch(*state, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_reaches_its_callback_until_it_is_unwatched),
		TEST(watching_again_changes_the_events),
		TEST(a_callback_may_close_a_descriptor_whose_event_is_in_the_batch),
		TEST(an_old_event_does_not_reach_the_new_owner_of_its_number),
		TEST(a_descriptor_closed_without_unwatch_can_be_watched_anew),
		TEST(a_turn_hands_out_a_bounded_number_of_events),
		TEST(a_timer_does_not_drift),
		TEST(missed_periods_are_not_made_up_for),
		TEST(a_timer_can_be_stopped_started_and_dropped),
		TEST(too_many_timers_are_refused),
		TEST(signals_come_through_the_loop),
		TEST(a_stop_before_the_run_ends_it_at_once),
		TEST(a_loop_does_not_run_inside_itself),
		TEST(the_longest_turn_is_told_once),
		TEST(what_cannot_be_watched_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
