#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/loop.h"

#define LOOP_EVENTS 64	   /* handled per turn: epoll serves the rest first in the next one */
#define LOOP_TIMERS 64	   /* timers that live at once */
#define LOOP_SIGNALS 16	   /* signals taken per turn */
#define LOOP_FDS_MAX 65536 /* the largest descriptor watched: RLIMIT_NOFILE is kept below */

/* One watched descriptor; the table is indexed by it. serial tells a watch from an older one of the
 * same number, whose events may still lie in the batch in hand. */
struct watch {
	loop_fd_fn *fn; /* NULL: not watched */
	void *arg;
	uint32_t serial;
};

struct timer {
	int fd; /* -1: free */
	loop_fn *fn;
	void *arg;
	struct loop *loop;
};

struct loop {
	int epoll, signals; /* signals -1: none asked for */
	sigset_t mask;
	struct watch *watch;
	int watches; /* length of the table */
	uint32_t serial;
	struct timer timer[LOOP_TIMERS];
	struct {
		loop_fn *fn;
		void *arg;
	} on_signal[_NSIG];
	bool running, stop;
	uint64_t worst_turn_ns;
};

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->signals = -1;
	sigemptyset(&l->mask);
	for (int i = 0; i < LOOP_TIMERS; i++)
		l->timer[i].fd = -1;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		int err = errno;

		free(l);
		errno = err;
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (int i = 0; i < LOOP_TIMERS; i++)
		if (l->timer[i].fd >= 0)
			close(l->timer[i].fd);
	if (l->signals >= 0)
		close(l->signals);
	close(l->epoll);
	free(l->watch);
	free(l);
}

/* Room for fd in the table. */
static int watch_room(struct loop *l, int fd)
{
	int n = l->watches ? l->watches : 64;
	struct watch *w;

	if (fd >= LOOP_FDS_MAX)
		return -EMFILE;
	while (n <= fd)
		n *= 2;
	if (n == l->watches)
		return 0;
	w = realloc(l->watch, (size_t)n * sizeof(*w));
	if (!w)
		return -ENOMEM;
	memset(w + l->watches, 0, (size_t)(n - l->watches) * sizeof(*w));
	l->watch = w;
	l->watches = n;
	return 0;
}

int loop_watch(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *arg)
{
	struct epoll_event ev = { .events = events };
	uint32_t serial;
	bool known;
	int r;

	if (fd < 0 || !fn)
		return kmn_err(-EINVAL, "loop: watch descriptor %d", fd);
	r = watch_room(l, fd);
	if (r < 0)
		return kmn_err(r, "loop: watch descriptor %d", fd);
	known = l->watch[fd].fn;
	serial = known ? l->watch[fd].serial : ++l->serial;
	ev.data.u64 = (uint64_t)serial << 32 | (uint32_t)fd;
	r = epoll_ctl(l->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
	if (r < 0 && known && errno == ENOENT) { /* closed without unwatch, and the number is new */
		serial = ++l->serial;
		ev.data.u64 = (uint64_t)serial << 32 | (uint32_t)fd;
		r = epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev);
	}
	if (r < 0)
		return kmn_err(-errno, "loop: watch descriptor %d", fd);
	l->watch[fd] = (struct watch){ fn, arg, serial };
	return 0;
}

void loop_unwatch(struct loop *l, int fd)
{
	if (fd < 0 || fd >= l->watches || !l->watch[fd].fn)
		return;
	l->watch[fd].fn = NULL;
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL); /* closed already: gone by itself */
}

static void timer_fired(void *arg, uint32_t events)
{
	struct timer *t = arg;
	uint64_t times;

	(void)events;
	/* Periods that were missed are not made up for: fn is called once. */
	if (read(t->fd, &times, sizeof(times)) == sizeof(times))
		t->fn(t->arg);
}

int loop_every(struct loop *l, uint32_t period_ms, loop_fn *fn, void *arg)
{
	int i = 0, r;

	while (i < LOOP_TIMERS && l->timer[i].fd >= 0)
		i++;
	if (i == LOOP_TIMERS)
		return kmn_err(-ENOSPC, "loop: more than %d timers", LOOP_TIMERS);
	kmn_auto(fd) int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0)
		return kmn_err(-errno, "loop: timer");
	r = loop_watch(l, fd, EPOLLIN, timer_fired, &l->timer[i]);
	if (r < 0)
		return r;
	l->timer[i] = (struct timer){ fd, fn, arg, l };
	fd = -1;
	r = loop_timer_set(l, i, period_ms);
	if (r < 0)
		loop_timer_drop(l, i);
	return r < 0 ? r : i;
}

int loop_timer_set(struct loop *l, int timer, uint32_t period_ms)
{
	struct itimerspec when = { 0 };

	if (timer < 0 || timer >= LOOP_TIMERS || l->timer[timer].fd < 0)
		return kmn_err(-EINVAL, "loop: timer %d", timer);
	when.it_interval.tv_sec = period_ms / 1000;
	when.it_interval.tv_nsec = (long)(period_ms % 1000) * (long)NS_PER_MS;
	when.it_value = when.it_interval;
	if (timerfd_settime(l->timer[timer].fd, 0, &when, NULL) < 0)
		return kmn_err(-errno, "loop: timer %d: %u ms", timer, period_ms);
	return 0;
}

void loop_timer_drop(struct loop *l, int timer)
{
	if (timer < 0 || timer >= LOOP_TIMERS || l->timer[timer].fd < 0)
		return;
	loop_unwatch(l, l->timer[timer].fd);
	close(l->timer[timer].fd);
	l->timer[timer].fd = -1;
}

static void signal_came(void *arg, uint32_t events)
{
	struct signalfd_siginfo info[LOOP_SIGNALS];
	struct loop *l = arg;
	ssize_t n = read(l->signals, info, sizeof(info));

	(void)events;
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(info[0]); i++) {
		uint32_t signo = info[i].ssi_signo;

		if (signo < _NSIG && l->on_signal[signo].fn)
			l->on_signal[signo].fn(l->on_signal[signo].arg);
	}
}

int loop_signal(struct loop *l, int signo, loop_fn *fn, void *arg)
{
	sigset_t mask = l->mask;
	int fd, r;

	if (signo < 1 || signo >= _NSIG || sigaddset(&mask, signo) < 0)
		return kmn_err(-EINVAL, "loop: signal %d", signo);
	r = pthread_sigmask(SIG_BLOCK, &mask, NULL);
	if (r)
		return kmn_err(-r, "loop: block signal %d", signo);
	fd = signalfd(l->signals, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return kmn_err(-errno, "loop: signal %d", signo);
	if (l->signals < 0) {
		r = loop_watch(l, fd, EPOLLIN, signal_came, l);
		if (r < 0) {
			close(fd);
			return r;
		}
		l->signals = fd;
	}
	l->mask = mask;
	l->on_signal[signo].fn = fn;
	l->on_signal[signo].arg = arg;
	return 0;
}

/* Hand the batch out. A callback may unwatch, close and watch anew any descriptor, so each event is
 * matched with the table as it is now. */
static void dispatch(struct loop *l, const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		int fd = (int)(uint32_t)ev[i].data.u64;
		uint32_t serial = (uint32_t)(ev[i].data.u64 >> 32);

		if (fd < l->watches && l->watch[fd].fn && l->watch[fd].serial == serial)
			l->watch[fd].fn(l->watch[fd].arg, ev[i].events);
	}
}

int loop_run(struct loop *l)
{
	struct epoll_event ev[LOOP_EVENTS];
	int r = 0;

	if (l->running)
		return kmn_err(-EBUSY, "loop: run inside of a callback");
	l->running = true;
	while (!l->stop) {
		uint64_t start_ns, turn_ns;
		int n = epoll_wait(l->epoll, ev, LOOP_EVENTS, -1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = kmn_err(-errno, "loop: wait");
			break;
		}
		start_ns = clock_boot_ns();
		dispatch(l, ev, n);
		turn_ns = clock_boot_ns() - start_ns;
		if (turn_ns > l->worst_turn_ns)
			l->worst_turn_ns = turn_ns;
	}
	l->running = l->stop = false;
	return r;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

uint64_t loop_worst_turn_ns(struct loop *l)
{
	uint64_t worst = l->worst_turn_ns;

	l->worst_turn_ns = 0;
	return worst;
}
