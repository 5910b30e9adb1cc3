/* What it costs to parse in a worker: a list of 16 networks (about 250 bytes), by the real job, in
 * this process; by one worker_call() after another; as a queue that one or two workers take in
 * batches; and a worker that dies of each job. Wall time, and CPU time of core and workers
 * together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/worker_jobs.h"

#define JOBS 20000
#define DEATHS 100
#define TIMEOUT_MS 20000

extern const struct worker_job net_list_job;

static const struct worker_job *const jobs[] = { &net_list_job, T_JOB(empty), T_JOB(exit), NULL };

struct run {
	struct worker_pool *pool;
	struct loop *loop;
	unsigned submitted, back, wrong;
	int in;
};

static int list_fd(void)
{
	int fd = memfd_create("list", MFD_CLOEXEC);

	for (int i = 0; i < 16; i++)
		if (dprintf(fd, "198.51.%d.0/24\n", 100 + i) < 0)
			exit(1);
	return fd;
}

static uint64_t cpu_ns(int who)
{
	struct rusage u;

	(void)getrusage(who, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

/* An empty file for the result, as the pool makes one per job. */
static void direct(struct run *r)
{
	for (; r->back < JOBS; r->back++) {
		kmn_auto(fd) int out = memfd_create("out", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		char error[WORKER_ERROR_MAX] = "";

		(void)lseek(r->in, 0, SEEK_SET);
		r->wrong += net_list_job.run(r->in, out, NULL, 0, error) || worker_seal(out);
	}
}

static void call(struct run *r)
{
	struct worker_result res;

	for (; r->back < JOBS; r->back++) {
		(void)lseek(r->in, 0, SEEK_SET);
		r->wrong += worker_call(r->pool, "net_list", r->in, NULL, 0, TIMEOUT_MS, &res) != 0;
		kmn_auto_fd(&res.fd);
	}
}

static void die(struct run *r)
{
	struct worker_result res;

	for (; r->back < DEATHS; r->back++) {
		r->wrong += worker_call(r->pool, "exit", -1, NULL, 0, TIMEOUT_MS, &res) != -EPROTO;
		r->wrong += worker_call(r->pool, "empty", -1, NULL, 0, TIMEOUT_MS, &res) != 0;
		kmn_auto_fd(&res.fd);
	}
}

static void done(void *arg, struct worker_result *res);

static void fill(struct run *r)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", r->in);
	while (r->submitted < JOBS) {
		kmn_auto(fd) int in = open(path, O_RDONLY | O_CLOEXEC); /* an offset of its own */

		if (worker_submit(r->pool, "net_list", in, NULL, 0, TIMEOUT_MS, done, r) < 0)
			return;
		r->submitted++;
	}
}

static void done(void *arg, struct worker_result *res)
{
	struct run *r = arg;

	r->wrong += res->status != 0;
	kmn_auto_fd(&res->fd);
	r->back++;
	if (r->submitted - r->back < WORKER_QUEUE_MAX / 2)
		fill(r);
	if (r->back == JOBS)
		loop_stop(r->loop);
}

static int measure(const char *name)
{
	struct run r = { .in = list_fd() };
	unsigned workers = !strcmp(name, "queue-2") ? 2 : 1, n = JOBS;
	uint64_t wall, cpu;

	if (!strncmp(name, "queue", 5))
		r.loop = loop_new();
	r.pool = worker_pool_new(r.loop, jobs, workers);
	if (!r.pool || worker_pool_start(r.pool, TIMEOUT_MS) < 0)
		return 1;
	wall = clock_boot_ns();
	cpu = cpu_ns(RUSAGE_SELF);
	if (!strcmp(name, "direct")) {
		direct(&r);
	} else if (!strcmp(name, "call")) {
		call(&r);
	} else if (!strcmp(name, "die")) {
		die(&r);
		n = DEATHS;
	} else if (r.loop) {
		fill(&r);
		if (loop_run(r.loop) < 0)
			return 1;
	} else {
		return 1;
	}
	wall = clock_boot_ns() - wall;
	worker_pool_free(r.pool); /* reaps: their CPU time counts from here */
	cpu = cpu_ns(RUSAGE_SELF) - cpu + cpu_ns(RUSAGE_CHILDREN);
	printf("job\tus wall\tmin\t%.2f\n", (double)wall / n / 1000);
	printf("job\tus CPU\tmin\t%.2f\n", (double)cpu / n / 1000);
	return r.wrong ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc > 0 && !strcmp(argv[0], WORKER_ARGV0))
		worker_main(jobs);
	log_set_level(LOG_ERROR);
	if (argc == 2 && !strcmp(argv[1], "candidates"))
		return puts("direct\ncall\nqueue-1\nqueue-2\ndie") < 0;
	if (argc == 3 && !strcmp(argv[1], "round"))
		return measure(argv[2]);
	return 2;
}
