#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core/loop.h"

/* Hostile bytes are parsed in a child that has nobody's uid, no capability, no network, no file
 * system and a seccomp list; it gets descriptors and answers with sealed memfds that the core
 * checks before it believes them. A dead worker is replaced; the job that killed it fails. */
struct worker_pool;

/* A kind of job, run in the worker. in: what to read (borrowed). out: an empty memfd to fill; the
 * harness seals it. arg: at most WORKER_ARG_MAX bytes from the core. error: one line for the user,
 * "line:col: what", when it returns -errno. */
#define WORKER_ARG_MAX 256
#define WORKER_ERROR_MAX 512
struct worker_job {
	const char *name;
	int (*run)(int in, int out, const void *arg, uint32_t arg_len, char *error);
};

struct worker_result {
	int status; /* 0, the job's -errno, -EPROTO when the worker died, -ETIMEDOUT */
	int fd;	    /* sealed memfd (owned by the callee of done), -1 */
	char error[WORKER_ERROR_MAX];
};

/* jobs: NULL-terminated, the same in core and worker. NULL and errno. */
struct worker_pool *worker_pool_new(struct loop *loop, const struct worker_job *const *jobs,
				    unsigned workers);
void worker_pool_free(struct worker_pool *p);

/* Queue a job: done(arg, result) runs in the loop. 0, -EAGAIN when the bounded queue is full,
 * -ENOENT for an unknown job. in is duplicated. */
int worker_submit(struct worker_pool *p, const char *job, int in, const void *job_arg,
		  uint32_t job_arg_len, uint32_t timeout_ms,
		  void (*done)(void *arg, struct worker_result *result), void *arg);

/* The same and wait: for the command line and for a policy transaction, never on the event path. */
int worker_call(struct worker_pool *p, const char *job, int in, const void *job_arg,
		uint32_t job_arg_len, uint32_t timeout_ms, struct worker_result *result);

/* Entry of the worker process: main() calls it when argv[0] says so. Does not return. */
_Noreturn void worker_main(const struct worker_job *const *jobs);
#define WORKER_ARGV0 "komainu: worker"

struct worker_stats {
	uint64_t done, failed, died, timed_out, respawns;
	unsigned alive, queued;
	char sandbox[160]; /* what is in force: "uid 65534, no caps, seccomp kill, no net" */
};
void worker_pool_stats(const struct worker_pool *p, struct worker_stats *s);
