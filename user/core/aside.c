#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "core/aside.h"

#define ASIDE_STACK (1024 * 1024) /* musl gives a thread 128 KiB, glibc 8 MiB */

struct aside {
	struct loop *loop;
	void (*run)(void *arg);
	void (*done)(void *arg);
	void *arg;
	int ended; /* eventfd: run() has returned */
	pthread_t thread;
};

static void *aside_main(void *arg)
{
	struct aside *a = arg;
	uint64_t one = 1;

	a->run(a->arg);
	(void)!write(a->ended, &one, sizeof(one)); /* a fresh eventfd takes it */
	return NULL;
}

void aside_end(struct aside *a)
{
	if (!a)
		return;
	(void)pthread_join(a->thread, NULL);
	loop_unwatch(a->loop, a->ended);
	close(a->ended);
	free(a);
}

static void on_ended(void *arg, uint32_t events)
{
	struct aside *a = arg;
	void (*done)(void *arg) = a->done;
	void *done_arg = a->arg;

	(void)events;
	aside_end(a); /* the thread has nothing left to do */
	done(done_arg);
}

static int start_thread(struct aside *a)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	r = -pthread_attr_init(&attr);
	if (r < 0)
		return r;
	(void)pthread_attr_setstacksize(&attr, ASIDE_STACK);
	(void)sigfillset(&all); /* signals are the loop's */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&a->thread, &attr, aside_main, a);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return r;
}

int aside_start(struct loop *loop, void (*run)(void *arg), void (*done)(void *arg), void *arg,
		struct aside **out)
{
	kmn_auto(fd) int ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct aside *a = ended < 0 ? NULL : calloc(1, sizeof(*a));
	int r;

	if (!a)
		return kmn_err(ended < 0 ? -errno : -ENOMEM, "aside: start");
	*a = (struct aside){ .loop = loop, .run = run, .done = done, .arg = arg, .ended = ended };
	r = loop_watch(loop, ended, EPOLLIN, on_ended, a);
	if (!r) {
		r = start_thread(a);
		if (r < 0)
			loop_unwatch(loop, ended);
	}
	if (r < 0) {
		free(a);
		return kmn_err(r, "aside: start a thread");
	}
	ended = -1; /* it is a's */
	*out = a;
	return 0;
}
