/* grace_wait() returns only after every program that was running has ended: shown with one that
 * runs for a tenth of a second, in a thread of its own, under the kernel's own RCU read lock. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include "base/clock.h"
#include "policy/grace.h"
#include "grace_abi.h"
#include "tests/policy/grace.skel.h"

#define RUN_NS (100 * NS_PER_MS)
#define TRIES 10
#define TIME_NS (80 * NS_PER_S) /* of a busy host; it takes 2 s */

struct reader {
	struct grace_bpf *skel;
	struct grace_turns *turns;
	int fd;
	volatile bool stop;
};

static uint64_t seen(const __u64 *v)
{
	return __atomic_load_n(v, __ATOMIC_ACQUIRE);
}

static void run_once(const struct reader *r)
{
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	(void)bpf_prog_test_run_opts(r->fd, &opts); /* a run that fails ends nothing: seen below */
}

static void *read_on(void *arg)
{
	struct reader *r = arg;

	while (!r->stop)
		run_once(r);
	return NULL;
}

static int setup(void **state)
{
	static struct reader r;
	uint64_t from;

	if (geteuid())
		return 0; /* skipped by the test */
	r.skel = grace_bpf__open_and_load();
	assert_non_null(r.skel);
	r.fd = bpf_program__fd(r.skel->progs.grace_long);
	r.turns = mmap(NULL, sizeof(*r.turns), PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(r.skel->maps.grace_turns), 0);
	assert_ptr_not_equal(r.turns, MAP_FAILED);
	r.turns->rounds = 1;
	run_once(&r);
	assert_int_equal(r.turns->ended, 1);
	for (from = clock_boot_ns();
	     clock_boot_ns() - from < RUN_NS / 20;) /* how long a round is */
		run_once(&r);
	r.turns->rounds = (__u32)((r.turns->ended - 1) * 20 + 1);
	if (r.turns->rounds > GRACE_ROUNDS_MAX)
		r.turns->rounds = GRACE_ROUNDS_MAX;
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct reader *r = *state;

	if (!r)
		return 0;
	(void)munmap(r->turns, sizeof(*r->turns));
	grace_bpf__destroy(r->skel);
	return 0;
}

/* Wait until a run is under way; its number, or 0. */
static uint64_t running(const struct reader *r)
{
	uint64_t from = clock_boot_ns(), begun;

	do {
		begun = seen(&r->turns->begun);
		if (begun > seen(&r->turns->ended))
			return begun;
	} while (clock_boot_ns() - from < NS_PER_S);
	return 0;
}

static void the_wait_ends_after_every_program_that_was_running(void **state)
{
	struct reader *r = *state;
	unsigned waited = 0, control = 0;
	uint64_t from = clock_boot_ns();
	bool early = false;
	pthread_t thread;

	if (!r || sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		print_message("needs root and two processors\n");
		skip();
	}
	assert_int_equal(pthread_create(&thread, NULL, read_on, r), 0);
	for (unsigned turn = 0; !early && (waited < TRIES || !control); turn++) {
		uint64_t run = running(r);

		if (clock_boot_ns() - from > TIME_NS)
			break;
		if (!run) /* a busy host: the thread had no turn */
			continue;
		if (turn % 2) { /* the control: without the wait it is still there */
			control += seen(&r->turns->ended) < run;
			continue;
		}
		early = grace_wait() < 0 || seen(&r->turns->ended) < run;
		waited++;
	}
	r->stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(early);
	assert_true(waited >= TRIES);
	assert_true(control > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_wait_ends_after_every_program_that_was_running,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
