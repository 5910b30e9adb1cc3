#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "base/thread.h"
#include "core/aside.h"

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
		r = thread_start(&a->thread, aside_main, a);
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
