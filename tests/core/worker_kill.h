#pragma once
/* Kill workers by their own jobs, one after another, and see that the pool lives on. For cmocka
 * tests whose main() calls worker_main(all_jobs). */
#include "base/auto.h"
#include "base/clock.h"
#include "core/worker_jobs.h"

#define TIMEOUT_MS 20000 /* of jobs that end: far more than they take on a loaded machine */

static inline struct worker_pool *open_pool(struct loop *loop, unsigned workers)
{
	struct worker_pool *p = worker_pool_new(loop, all_jobs, workers);

	assert_non_null(p);
	return p;
}

static inline int call(struct worker_pool *p, const char *job, struct worker_result *r)
{
	kmn_auto(fd) int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return worker_call(p, job, in, NULL, 0, TIMEOUT_MS, r);
}

static inline struct worker_stats stats(const struct worker_pool *p)
{
	struct worker_stats s;

	worker_pool_stats(p, &s);
	return s;
}

static inline uint64_t assert_fails_alone(struct worker_pool *p, const char *job)
{
	struct worker_stats before = stats(p), after;
	struct worker_result r;
	uint64_t t;

	if (call(p, job, &r) != -EPROTO)
		fail_msg("job %s: status %d (%s) instead of its death", job, r.status, r.error);
	assert_int_equal(r.fd, -1);
	assert_int_not_equal(r.error[0], 0);
	t = clock_boot_ns();
	assert_int_equal(call(p, "empty", &r), 0); /* the next worker is there and works */
	t = clock_boot_ns() - t;
	close(r.fd);
	after = stats(p);
	assert_int_equal(after.died, before.died + 1);
	assert_int_equal(after.respawns, before.respawns + 1);
	assert_int_equal(after.failed, before.failed + 1);
	return t;
}

/* Each of the jobs must kill its worker, that often. */
static inline void kill_each(const struct worker_job *const *jobs, unsigned rounds)
{
	struct worker_pool *p = open_pool(NULL, 1);
	uint64_t worst_ns = 0, sum_ns = 0;
	struct worker_result r;
	unsigned n = 0;

	assert_int_equal(call(p, "empty", &r), 0);
	close(r.fd);
	while (rounds--) {
		for (int i = 0; jobs[i]; i++, n++) {
			uint64_t t = assert_fails_alone(p, jobs[i]->name);

			sum_ns += t;
			if (t > worst_ns)
				worst_ns = t;
		}
	}
	print_message("%u workers killed; to the next result %.1f ms, at worst %.1f ms\n", n,
		      (double)sum_ns / n / 1e6, (double)worst_ns / 1e6);
	worker_pool_free(p);
}
