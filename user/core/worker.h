#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/loop.h"

/* Hostile bytes are parsed in a child that has nobody's uid, no capability, no network, no file
 * system and a seccomp list. It gets a descriptor to read and an empty memfd to fill, both made by
 * the core; the core seals what it filled and checks the size before anyone sees it. No descriptor
 * ever comes from a worker. A dead worker is replaced; the job that killed it fails with the cause
 * and is never run again. docs/workers.md has the whole. */
struct worker_pool;

/* A kind of job, run in the worker. in: what to read (borrowed; -1: none), perhaps not at its
 * start and perhaps not seekable. out: an empty memfd of at most WORKER_RESULT_MAX bytes to fill by
 * write() or through a mapping, which the job unmaps before it returns: the core could not seal it
 * else, and kills. arg: at most WORKER_ARG_MAX bytes from the core. error: WORKER_ERROR_MAX zero
 * bytes for one line to the user, "line:col: what", when it returns -errno. It has memory, the two
 * descriptors and the clock, nothing else: no file, no thread, no signal, no sleep. */
#define WORKER_ARG_MAX 256
#define WORKER_ERROR_MAX 512
#define WORKER_RESULT_MAX (64U << 20)
struct worker_job {
	const char *name;
	int (*run)(int in, int out, const void *arg, uint32_t arg_len, char *error);
};

/* status: 0; the job's -errno; -EPROTO: the worker died or broke the protocol, error says how;
 * -ETIMEDOUT: killed after timeout_ms, or never begun for WORKER_QUEUE_MS. */
#define WORKER_QUEUE_MS 30000
struct worker_result {
	int status;
	int fd; /* sealed memfd when status is 0 (owned by the callee of done), else -1 */
	char error[WORKER_ERROR_MAX]; /* one line without control characters; "" when status is 0 */
};

/* Opens our own binary, so that a worker is always of this version. With a loop, all workers start
 * at once; without one (NULL: the command line) they start when needed and only worker_call() and
 * worker_pool_start() work.
 * jobs: NULL-terminated, the same in core and worker. workers: 1 to WORKERS_MAX. NULL and errno,
 * logged. Free the pool before the loop, and not out of a done(). Jobs that wait then are dropped
 * without a done(). */
#define WORKERS_MAX 16
struct worker_pool *worker_pool_new(struct loop *loop, const struct worker_job *const *jobs,
				    unsigned workers);
void worker_pool_free(struct worker_pool *p);

/* Queue a job: done(arg, result) runs in the loop. in is duplicated (-1: none). Never waits. 0,
 * -EAGAIN when the queue of WORKER_QUEUE_MAX is full, -ENOENT for an unknown job, -EINVAL for an
 * argument out of bounds or a pool without a loop, or -errno of dup(). */
#define WORKER_QUEUE_MAX 256
int worker_submit(struct worker_pool *p, const char *job, int in, const void *job_arg,
		  uint32_t job_arg_len, uint32_t timeout_ms,
		  void (*done)(void *arg, struct worker_result *result), void *arg);

/* The same and wait: for the command line and for a policy transaction, never on the event path. It
 * goes before queued jobs; a done() of those runs later, in the loop. Returns result->status, or
 * the error of submitting, which is put into result too. */
int worker_call(struct worker_pool *p, const char *job, int in, const void *job_arg,
		uint32_t job_arg_len, uint32_t timeout_ms, struct worker_result *result);

/* Let worker_call() return -ECANCELED within about a second once asked() says true; the pool is
 * then good for worker_pool_free() alone. */
void worker_pool_give_up(struct worker_pool *p, bool (*asked)(void));

/* Wait until each worker has started or failed to: for tests, benchmarks and probes. 0, -EPROTO
 * when none runs (the reason is in worker_stats.trouble), -ETIMEDOUT. */
int worker_pool_start(struct worker_pool *p, uint32_t timeout_ms);

/* Map the result of a job for reading. at most max bytes, else NULL and errno EFBIG. An empty one
 * gives a pointer too (*len 0). Unmap by worker_unmap(). */
const void *worker_map(int fd, size_t max, size_t *len);
void worker_unmap(const void *p, size_t len);

/* Entry of the worker process: main() calls it first when argv[0] is WORKER_ARGV0. */
_Noreturn void worker_main(const struct worker_job *const *jobs);
#define WORKER_ARGV0 "komainu: worker"

struct worker_stats {
	uint64_t done;	    /* jobs that came back with status 0 */
	uint64_t failed;    /* all others, for whatever reason */
	uint64_t died;	    /* workers that died or were killed for breaking the protocol */
	uint64_t timed_out; /* workers killed because a job took too long */
	uint64_t respawns;
	unsigned alive, busy, queued;
	char sandbox[160]; /* what is in force: "uid 65534, no capabilities, empty root, ..." */
	char trouble[160]; /* why the last worker died; "" = none did */
};
void worker_pool_stats(const struct worker_pool *p, struct worker_stats *s);
/* The counters of another pool, which may be gone, to those of one; not what it is now. */
void worker_stats_add(struct worker_stats *sum, const struct worker_stats *s);
