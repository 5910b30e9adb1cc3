#include "event/printer.h"
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include "base/thread.h"

int printer_start(struct printer *p, int fd, void *(*run)(void *arg), void *arg)
{
	p->fd = fd;
	atomic_store(&p->quit, false);
	return thread_start(&p->thread, run, arg);
}

bool printer_write(struct printer *p, const char *text, size_t len)
{
	while (len) {
		struct pollfd ready = { .fd = p->fd, .events = POLLOUT };
		ssize_t n;

		if (poll(&ready, 1, 200) <= 0) { /* stands still: as long as the sensor runs */
			if (atomic_load(&p->quit))
				return false;
			continue;
		}
		n = write(p->fd, text, len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return !atomic_load(&p->quit);
}

bool printer_end(struct printer *p)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	if (!pthread_timedjoin_np(p->thread, NULL, &until))
		return true;
	atomic_store(&p->quit, true);
	until.tv_sec++;
	if (!pthread_timedjoin_np(p->thread, NULL, &until))
		return true;
	(void)pthread_detach(p->thread);
	return false;
}
