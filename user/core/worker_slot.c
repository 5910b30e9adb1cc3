/* The processes of a pool: start, feed, judge, kill, bury, start again. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "core/worker_pool.h"

#define START_NS (10 * NS_PER_S) /* to greet; a loaded host may swap */
#define FREE_DEATHS 3		 /* respawned at once, then with a delay that doubles ... */
#define BACKOFF_MIN_NS (10 * NS_PER_MS)
#define BACKOFF_MAX_NS (5 * NS_PER_S)
#define GIVE_UP_STARTS 4 /* a pool where none can start fails what waits, rather than keep it */
#define LOG_NS NS_PER_S	 /* at most one line about deaths in this time */
#define END_MS 1000

__attribute__((format(printf, 3, 4))) static void set_why(struct slot *s, int cause,
							  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	s->cause = cause;
}

/* The batch is lost. One job alone did it, and fails. Of several nobody knows which: each runs
 * again by itself, so that a job runs at most twice and no worker's word is needed. */
static void settle(struct slot *s)
{
	struct worker_pool *p = s->pool;
	uint32_t n = s->n;

	s->n = 0;
	if (n == 1) {
		work_finish(p, s->batch[0], s->cause, -1, s->why);
		return;
	}
	while (n--) {
		struct work *w = s->batch[n];

		close(w->out);
		w->out = -1;
		w->alone = true;
		w->queued_ns = clock_boot_ns();
		(void)lseek(w->in, w->in_offset, SEEK_SET); /* the first run moved it */
		work_push_front(&p->queue, w);
	}
}

static void log_death(struct slot *s, uint64_t now)
{
	struct worker_pool *p = s->pool;
	const char *job = s->n ? p->jobs[s->batch[0]->ask.job]->name : "none";

	(void)snprintf(p->trouble, sizeof(p->trouble), "%s", s->why);
	if (p->logged_ns && now - p->logged_ns < LOG_NS) {
		p->unlogged++;
		return;
	}
	if (p->unlogged)
		log_warn("worker: %llu more deaths", (unsigned long long)p->unlogged);
	log_warn("worker: job %s%s: %s", job, s->n > 1 ? " and others" : "", s->why);
	p->logged_ns = now;
	p->unlogged = 0;
}

static void close_socket(struct slot *s)
{
	if (s->sock < 0)
		return;
	if (s->pool->loop)
		loop_unwatch(s->pool->loop, s->sock);
	close(s->sock);
	s->sock = -1;
}

static void on_event(void *arg, uint32_t events)
{
	struct slot *s = arg;

	(void)events;
	slot_event(s);
	pool_turned(s->pool);
}

static void reap(struct slot *s);

/* The process must end; why and cause are set, or come with its exit status (cause 0). */
static void slot_kill(struct slot *s)
{
	struct loop *loop = s->pool->loop;

	if (s->state == SLOT_STARTING)
		s->failed_starts++;
	if (s->cause == -ETIMEDOUT)
		s->pool->timed_out++;
	else
		s->pool->died++;
	close_socket(s);
	s->state = SLOT_DYING;
	(void)kill(s->pid, SIGKILL); /* not reaped yet, so the pid is still its own */
	pool_tick_on(s->pool);
	if (s->cause) { /* do not let the callers wait for a process that hangs in the kernel */
		log_death(s, clock_boot_ns());
		settle(s);
	}
	reap(s);
	if (s->state == SLOT_DYING && s->pidfd >= 0 && loop)
		(void)loop_watch(loop, s->pidfd, EPOLLIN, on_event, s); /* else the timer reaps */
}

static uint64_t backoff_ns(unsigned deaths)
{
	uint64_t ns = BACKOFF_MIN_NS;

	if (deaths <= FREE_DEATHS)
		return 0;
	for (unsigned i = FREE_DEATHS + 1; i < deaths && ns < BACKOFF_MAX_NS; i++)
		ns *= 2;
	return ns < BACKOFF_MAX_NS ? ns : BACKOFF_MAX_NS;
}

static void buried(struct slot *s, uint64_t now)
{
	struct worker_pool *p = s->pool;

	if (s->pidfd >= 0) {
		if (p->loop)
			loop_unwatch(p->loop, s->pidfd);
		close(s->pidfd);
	}
	s->pidfd = -1;
	s->pid = 0;
	s->state = SLOT_DOWN;
	s->deaths++;
	s->respawn_ns = now + backoff_ns(s->deaths);
}

static void set_why_from_exit(struct slot *s, const siginfo_t *i)
{
	if (!i->si_pid)
		set_why(s, -EPROTO, "was reaped by somebody else");
	else if (i->si_code == CLD_EXITED)
		set_why(s, -EPROTO, "exited with status %d", i->si_status);
	else if (i->si_status == SIGSYS)
		set_why(s, -EPROTO, "killed: it tried a forbidden system call");
	else if (i->si_status == SIGKILL)
		set_why(s, -EPROTO, "hung up, or was killed from outside");
	else
		set_why(s, -EPROTO, "killed by signal %d (%s)", i->si_status,
			strsignal(i->si_status));
}

static void reap(struct slot *s)
{
	uint64_t now = clock_boot_ns();
	siginfo_t i = { 0 };
	int r;

	if (s->state != SLOT_DYING)
		return;
	r = waitid(P_PID, (id_t)s->pid, &i, WEXITED | WNOHANG);
	if (r ? errno != ECHILD : !i.si_pid) /* not dead yet: pidfd or timer come back */
		return;
	if (!s->cause) {
		set_why_from_exit(s, &i);
		log_death(s, now);
		settle(s);
	}
	buried(s, now);
}

void slot_end(struct slot *s)
{
	if (!s->pid)
		return;
	close_socket(s);
	(void)kill(s->pid, SIGKILL);
	if (s->pidfd >= 0) { /* bounded: one that hangs in the kernel is left to init */
		struct pollfd f = { s->pidfd, POLLIN, 0 };

		(void)poll(&f, 1, END_MS);
		if (s->pool->loop)
			loop_unwatch(s->pool->loop, s->pidfd);
		close(s->pidfd);
		(void)waitpid(s->pid, NULL, WNOHANG);
	} else {
		(void)waitpid(s->pid, NULL, 0);
	}
	s->pidfd = -1;
	s->pid = 0;
	s->state = SLOT_DOWN;
}

static void slot_start(struct slot *s, uint64_t now)
{
	struct worker_pool *p = s->pool;
	pid_t pid = worker_spawn(p->self, p->null, &s->sock, &s->pidfd);

	if (s->started_once)
		p->respawns++;
	s->started_once = true;
	s->cause = 0;
	s->why[0] = 0;
	if (pid < 0) {
		(void)snprintf(p->trouble, sizeof(p->trouble), "cannot start a process: %s",
			       strerror((int)-pid));
		s->deaths++;
		s->failed_starts++;
		s->respawn_ns = now + backoff_ns(s->deaths + FREE_DEATHS);
		return;
	}
	s->pid = pid;
	s->state = SLOT_STARTING;
	s->deadline_ns = now + START_NS;
	if (p->loop && loop_watch(p->loop, s->sock, EPOLLIN, on_event, s) < 0) {
		set_why(s, -EPROTO, "cannot be watched");
		slot_kill(s);
	}
}

static void greeted(struct slot *s)
{
	struct worker_pool *p = s->pool;
	struct worker_hello h;
	int r = worker_read_hello(s->sock, &h, s->why, sizeof(s->why));

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		s->cause = s->why[0] ? -EPROTO : 0; /* no word: its exit status says it */
		slot_kill(s);
		return;
	}
	p->bits = h.bits;
	p->uid = h.uid;
	s->failed_starts = 0;
	s->state = SLOT_IDLE;
}

/* Seal what it filled; nobody reads it before. -EPROTO: its fault. */
static int take_results(struct slot *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		int r = s->pool->answer.answer[i].status ? 0 : worker_seal(s->batch[i]->out);

		if (!r)
			continue;
		if (r == -EBUSY)
			set_why(s, -EPROTO, "kept its result mapped for writing");
		else if (r == -EFBIG)
			set_why(s, -EPROTO, "made a result above %u bytes", WORKER_RESULT_MAX);
		else
			set_why(s, -EPROTO, "made a result that cannot be sealed: %s",
				strerror(-r));
		return -EPROTO;
	}
	return 0;
}

static void answered(struct slot *s)
{
	struct worker_pool *p = s->pool;
	int r = worker_read_answer(s->sock, s->seq, s->n, &p->answer, s->why, sizeof(s->why));
	uint32_t n = s->n;

	if (r == -EAGAIN)
		return;
	if (!r)
		r = take_results(s);
	if (r < 0) {
		s->cause = s->why[0] ? -EPROTO : 0;
		slot_kill(s);
		return;
	}
	s->n = 0;
	s->deaths = 0;
	s->state = SLOT_IDLE;
	for (uint32_t i = 0; i < n; i++) {
		struct work *w = s->batch[i];
		int status = p->answer.answer[i].status, out = w->out;

		w->out = -1;
		work_finish(p, w, status, out, p->answer.answer[i].error);
	}
}

/* Nobody asked: it is dead, or talks out of turn. */
static void spoke(struct slot *s)
{
	int r = worker_read_answer(s->sock, 0, 0, &s->pool->answer, s->why, sizeof(s->why));

	if (r == -EPIPE)
		s->cause = 0;
	else
		set_why(s, -EPROTO, "spoke without being asked");
	slot_kill(s);
}

void slot_event(struct slot *s)
{
	switch (s->state) {
	case SLOT_STARTING:
		greeted(s);
		break;
	case SLOT_IDLE:
		spoke(s);
		break;
	case SLOT_BUSY:
		answered(s);
		break;
	case SLOT_DYING:
		reap(s);
		break;
	case SLOT_DOWN:
		break;
	}
}

/* An empty result for each job, made here so that no descriptor need come back. */
static int open_results(struct slot *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		s->batch[i]->out = memfd_create("komainu-result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (s->batch[i]->out < 0)
			return -errno;
	}
	return 0;
}

static int send_batch(struct slot *s, uint64_t now)
{
	struct worker_batch_ask *b = &s->pool->asked;
	int fds[2 * WORKER_BATCH_MAX], r = open_results(s);
	uint32_t timeout_ms = 0;
	unsigned n = 0;

	if (r < 0)
		return r;
	b->head = (struct worker_head){ WORKER_MAGIC, ++s->seq, s->n, 0 };
	for (uint32_t i = 0; i < s->n; i++) {
		const struct work *w = s->batch[i];

		b->ask[i] = w->ask;
		if (w->in >= 0)
			fds[n++] = w->in;
		fds[n++] = w->out;
		if (w->timeout_ms > timeout_ms)
			timeout_ms = w->timeout_ms;
	}
	/* the longest, not the sum: a batch that takes longer is run again one by one */
	s->deadline_ns = now + timeout_ms * NS_PER_MS;
	s->state = SLOT_BUSY;
	return worker_send_batch(s->sock, b, fds, n);
}

static void feed(struct slot *s, uint32_t share, uint64_t now)
{
	struct worker_pool *p = s->pool;
	int r;

	s->cause = 0;
	s->why[0] = 0;
	while (s->n < share && p->queue.head) {
		if (p->queue.head->alone && s->n)
			break;
		s->batch[s->n++] = work_pop(&p->queue);
		if (s->batch[0]->alone)
			break;
	}
	r = send_batch(s, now);
	if (r < 0) {
		set_why(s, -EPROTO, "cannot be given work: %s", strerror(-r));
		slot_kill(s);
	}
}

/* None gets as far as its greeting: those who wait hear why. */
static void fail_all(struct worker_pool *p)
{
	char why[200];

	for (unsigned i = 0; i < p->n_slots; i++)
		if (p->slots[i].state != SLOT_DOWN || p->slots[i].failed_starts < GIVE_UP_STARTS)
			return;
	(void)snprintf(why, sizeof(why), "no worker starts: the last one %s", p->trouble);
	while (p->queue.head)
		work_finish(p, work_pop(&p->queue), -EPROTO, -1, why);
}

void slots_dispatch(struct worker_pool *p, uint64_t now)
{
	unsigned idle = 0;

	for (unsigned i = 0; i < p->n_slots; i++) {
		if (p->slots[i].state == SLOT_DOWN && now >= p->slots[i].respawn_ns)
			slot_start(&p->slots[i], now);
		idle += p->slots[i].state == SLOT_IDLE;
	}
	for (unsigned i = 0; i < p->n_slots && p->queue.head && idle; i++) {
		uint32_t share = (p->queue.n + idle - 1) / idle;

		if (p->slots[i].state != SLOT_IDLE)
			continue;
		feed(&p->slots[i], share < WORKER_BATCH_MAX ? share : WORKER_BATCH_MAX, now);
		idle--;
	}
	fail_all(p);
	if (p->queue.head || slots_next_ns(p) != UINT64_MAX)
		pool_tick_on(p);
}

static void fail_old(struct worker_pool *p, uint64_t now)
{
	while (p->queue.head && now > p->queue.head->queued_ns + WORKER_QUEUE_MS * NS_PER_MS)
		work_finish(p, work_pop(&p->queue), -ETIMEDOUT, -1, "no worker had time for it");
}

void slots_tick(struct worker_pool *p, uint64_t now)
{
	for (unsigned i = 0; i < p->n_slots; i++) {
		struct slot *s = &p->slots[i];

		if ((s->state == SLOT_BUSY || s->state == SLOT_STARTING) && now >= s->deadline_ns) {
			if (s->state == SLOT_STARTING)
				set_why(s, -EPROTO, "did not greet in time");
			else
				set_why(s, -ETIMEDOUT, "took longer than it may");
			slot_kill(s);
		} else if (s->state == SLOT_DYING) {
			reap(s);
		}
	}
	fail_old(p, now);
	slots_dispatch(p, now);
}

uint64_t slots_next_ns(const struct worker_pool *p)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < p->n_slots; i++) {
		const struct slot *s = &p->slots[i];
		uint64_t t = UINT64_MAX;

		if (s->state == SLOT_BUSY || s->state == SLOT_STARTING)
			t = s->deadline_ns;
		else if (s->state == SLOT_DOWN)
			t = s->respawn_ns;
		else if (s->state == SLOT_DYING)
			t = clock_boot_ns() + 10 * NS_PER_MS;
		if (t < next)
			next = t;
	}
	return next;
}
