/* What callers see of the workers: jobs go into a bounded queue and come out with a result. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/sandbox.h"
#include "core/worker_pool.h"

#define TICK_MS 10
#define IDLE_TICKS 100 /* then the timer sleeps: an idle sensor wakes for nobody */
#define FD_MIN 10      /* clear of what a new worker gets as 0-3 */

KMN_AUTO_DEFINE(struct worker_pool *, worker_pool_free)

void work_push(struct work_list *l, struct work *w)
{
	w->next = NULL;
	if (!l->head)
		l->tail = &l->head;
	*l->tail = w;
	l->tail = &w->next;
	l->n++;
}

void work_push_front(struct work_list *l, struct work *w)
{
	w->next = l->head;
	if (!l->head)
		l->tail = &w->next;
	l->head = w;
	l->n++;
}

struct work *work_pop(struct work_list *l)
{
	struct work *w = l->head;

	if (!w)
		return NULL;
	l->head = w->next;
	l->n--;
	return w;
}

void work_finish(struct worker_pool *p, struct work *w, int status, int fd, const char *error)
{
	if (status && fd >= 0) {
		close(fd);
		fd = -1;
	}
	if (w->in >= 0)
		close(w->in);
	if (w->out >= 0)
		close(w->out);
	w->in = w->out = -1;
	w->result.status = status;
	w->result.fd = fd;
	(void)snprintf(w->result.error, sizeof(w->result.error), "%s",
		       status && error ? error : "");
	if (status)
		p->failed++;
	else
		p->done++;
	w->finished = true;
	if (!w->sync)
		work_push(&p->finished, w);
}

/* Callbacks may submit again, so the list is taken as it is now: what they add waits its turn. */
static void deliver(struct worker_pool *p)
{
	for (unsigned n = p->finished.n; n; n--) {
		struct work *w = work_pop(&p->finished);
		struct worker_result result = w->result;
		void (*done)(void *arg, struct worker_result *result) = w->done;
		void *arg = w->done_arg;

		work_push(&p->free, w);
		done(arg, &result);
	}
}

void pool_tick_on(struct worker_pool *p)
{
	p->idle_ticks = 0;
	if (p->ticking || !p->loop)
		return;
	p->ticking = true;
	(void)loop_timer_set(p->loop, p->timer, TICK_MS);
}

static void on_tick(void *arg)
{
	struct worker_pool *p = arg;

	slots_tick(p, clock_boot_ns());
	deliver(p);
	if (p->idle_ticks++ < IDLE_TICKS)
		return;
	p->ticking = false;
	(void)loop_timer_set(p->loop, p->timer, 0);
}

void pool_turned(struct worker_pool *p)
{
	slots_dispatch(p, clock_boot_ns()); /* first: the workers go on while callbacks run */
	deliver(p);
}

static int open_self(struct worker_pool *p)
{
	kmn_auto(fd) int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	kmn_auto(fd) int null = memfd_create("komainu-null", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (self < 0)
		return kmn_err(-errno, "worker: open our own binary (/proc/self/exe)");
	/* what a worker has as 0-2: reads nothing, and no write to it comes through */
	if (null < 0 ||
	    fcntl(null, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return kmn_err(-errno, "worker: empty file");
	p->self = fcntl(self, F_DUPFD_CLOEXEC, FD_MIN);
	p->null = fcntl(null, F_DUPFD_CLOEXEC, FD_MIN);
	return p->self < 0 || p->null < 0 ? kmn_err(-errno, "worker: descriptors") : 0;
}

struct worker_pool *worker_pool_new(struct loop *loop, const struct worker_job *const *jobs,
				    unsigned workers)
{
	kmn_auto(worker_pool_free) struct worker_pool *p = NULL;
	int r;

	if (!workers || workers > WORKERS_MAX) {
		errno = EINVAL;
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->loop = loop;
	p->jobs = jobs;
	p->self = p->null = p->timer = -1;
	p->n_slots = workers;
	for (unsigned i = 0; i < workers; i++)
		p->slots[i] = (struct slot){ .pool = p, .sock = -1, .pidfd = -1 };
	for (unsigned i = 0; i < WORKER_QUEUE_MAX; i++) {
		p->works[i].in = p->works[i].out = p->works[i].result.fd = -1;
		work_push(&p->free, &p->works[i]);
	}
	r = open_self(p);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	if (loop) {
		p->timer = loop_every(loop, 0, on_tick, p);
		if (p->timer < 0) {
			errno = -p->timer;
			return NULL;
		}
		slots_dispatch(p, clock_boot_ns());
	}
	return KMN_TAKE(p);
}

void worker_pool_free(struct worker_pool *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n_slots; i++)
		slot_end(&p->slots[i]);
	for (unsigned i = 0; i < WORKER_QUEUE_MAX; i++) {
		kmn_auto_fd(&p->works[i].in);
		kmn_auto_fd(&p->works[i].out);
		if (!p->works[i].sync)
			kmn_auto_fd(&p->works[i].result.fd);
	}
	if (p->timer >= 0)
		loop_timer_drop(p->loop, p->timer);
	kmn_auto_fd(&p->self);
	kmn_auto_fd(&p->null);
	free(p);
}

static int find_job(const struct worker_pool *p, const char *name)
{
	for (int i = 0; p->jobs[i]; i++)
		if (!strcmp(p->jobs[i]->name, name))
			return i;
	return -ENOENT;
}

/* A descriptor of our own that the worker can only read, whatever the caller's allows. */
static int dup_in(int in)
{
	int flags = fcntl(in, F_GETFL), fd;
	char path[40];

	if (flags < 0)
		return -errno;
	if ((flags & O_ACCMODE) == O_RDONLY) {
		fd = fcntl(in, F_DUPFD_CLOEXEC, FD_MIN);
	} else {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", in);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	return fd < 0 ? -errno : fd;
}

/* A filled work off the free list; -errno, nothing taken. */
static int new_work(struct worker_pool *p, const char *job, int in, const void *arg,
		    uint32_t arg_len, uint32_t timeout_ms, struct work **out)
{
	int id = find_job(p, job), fd = -1;
	struct work *w;

	if (id < 0)
		return id;
	if (arg_len > WORKER_ARG_MAX || (arg_len && !arg) || !timeout_ms)
		return -EINVAL;
	if (!p->free.head)
		return -EAGAIN;
	if (in >= 0) {
		fd = dup_in(in);
		if (fd < 0)
			return fd;
	}
	w = work_pop(&p->free);
	memset(w, 0, sizeof(*w));
	w->in = fd;
	w->in_offset = fd >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
	w->alone = w->in_offset < 0; /* a pipe can be read once, so it must be known who read it */
	w->out = w->result.fd = -1;
	w->timeout_ms = timeout_ms;
	w->queued_ns = clock_boot_ns();
	w->ask = (struct worker_ask){ .job = (uint32_t)id, .has_in = fd >= 0, .arg_len = arg_len };
	if (arg_len)
		memcpy(w->ask.arg, arg, arg_len);
	*out = w;
	return 0;
}

int worker_submit(struct worker_pool *p, const char *job, int in, const void *job_arg,
		  uint32_t job_arg_len, uint32_t timeout_ms,
		  void (*done)(void *arg, struct worker_result *result), void *arg)
{
	struct work *w;
	int r;

	if (!p->loop || !done)
		return -EINVAL;
	r = new_work(p, job, in, job_arg, job_arg_len, timeout_ms, &w);
	if (r < 0)
		return r;
	w->done = done;
	w->done_arg = arg;
	work_push(&p->queue, w);
	slots_dispatch(p, w->queued_ns);
	return 0;
}

/* One turn without the loop: wait for the workers only, at most until until_ns. */
static void pump(struct worker_pool *p, uint64_t until_ns)
{
	struct pollfd f[WORKERS_MAX];
	uint64_t now = clock_boot_ns(), next = slots_next_ns(p);
	unsigned n = p->n_slots;

	for (unsigned i = 0; i < n; i++) {
		const struct slot *s = &p->slots[i];

		f[i] = (struct pollfd){ s->state == SLOT_DYING ? s->pidfd : s->sock, POLLIN, 0 };
	}
	if (next > until_ns)
		next = until_ns;
	next = next > now ? (next - now + NS_PER_MS - 1) / NS_PER_MS : 0;
	if (poll(f, n, next < 1000 ? (int)next : 1000) > 0)
		for (unsigned i = 0; i < n; i++)
			if (f[i].revents)
				slot_event(&p->slots[i]);
	slots_tick(p, clock_boot_ns());
}

void worker_pool_give_up(struct worker_pool *p, bool (*asked)(void))
{
	p->give_up = asked;
}

static bool given_up(const struct worker_pool *p)
{
	return p->give_up && p->give_up();
}

int worker_call(struct worker_pool *p, const char *job, int in, const void *job_arg,
		uint32_t job_arg_len, uint32_t timeout_ms, struct worker_result *result)
{
	struct work *w;
	int r = new_work(p, job, in, job_arg, job_arg_len, timeout_ms, &w);

	if (r < 0) {
		*result = (struct worker_result){ .status = r, .fd = -1 };
		(void)snprintf(result->error, sizeof(result->error), "worker: job %s: %s", job,
			       strerror(-r));
		return r;
	}
	w->sync = true;
	work_push_front(&p->queue, w);
	slots_dispatch(p, w->queued_ns);
	while (!w->finished && !given_up(p))
		pump(p, UINT64_MAX);
	if (!w->finished) { /* its worker has it still: nothing of it is used again */
		*result = (struct worker_result){ .status = -ECANCELED, .fd = -1 };
		return -ECANCELED;
	}
	*result = w->result;
	w->result.fd = -1;
	work_push(&p->free, w);
	if (p->finished.head) /* of others: their callbacks are for the loop to run */
		pool_tick_on(p);
	return result->status;
}

int worker_pool_start(struct worker_pool *p, uint32_t timeout_ms)
{
	uint64_t until = clock_boot_ns() + timeout_ms * NS_PER_MS;
	unsigned alive, settled;

	slots_dispatch(p, clock_boot_ns());
	for (;;) {
		alive = settled = 0;
		for (unsigned i = 0; i < p->n_slots; i++) {
			const struct slot *s = &p->slots[i];

			alive += s->state == SLOT_IDLE || s->state == SLOT_BUSY;
			settled += s->state == SLOT_IDLE || s->state == SLOT_BUSY || s->deaths;
		}
		if (settled == p->n_slots)
			return alive ? 0 : -EPROTO;
		if (clock_boot_ns() >= until)
			return -ETIMEDOUT;
		pump(p, until);
	}
}

void worker_stats_add(struct worker_stats *sum, const struct worker_stats *s)
{
	sum->done += s->done;
	sum->failed += s->failed;
	sum->died += s->died;
	sum->timed_out += s->timed_out;
	sum->respawns += s->respawns;
}

void worker_pool_stats(const struct worker_pool *p, struct worker_stats *s)
{
	*s = (struct worker_stats){ .done = p->done,
				    .failed = p->failed,
				    .died = p->died,
				    .timed_out = p->timed_out,
				    .respawns = p->respawns,
				    .queued = p->queue.n };
	for (unsigned i = 0; i < p->n_slots; i++) {
		enum slot_state state = p->slots[i].state;

		s->alive += state == SLOT_IDLE || state == SLOT_BUSY;
		s->busy += state == SLOT_BUSY;
	}
	if (p->bits)
		sandbox_text(p->bits, p->uid, s->sandbox, sizeof(s->sandbox));
	else
		(void)snprintf(s->sandbox, sizeof(s->sandbox), "no worker has started");
	(void)snprintf(s->trouble, sizeof(s->trouble), "%s", p->trouble);
}
