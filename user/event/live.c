#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/live.h"
#include "event/ocsf.h"
#include "event/text.h"

#define LINE_MAX_BYTES (512 * 1024) /* of one event in JSON: 64 KiB of arguments, escaped twice */
#define PIPE_BYTES (1 << 20)
#define CHUNK 65536

struct event_live {
	const struct event_kinds *kinds;
	bool json, colours;
	int fd, pipe[2]; /* lines go into pipe[1], the thread copies them to fd */
	pthread_t thread;
	_Atomic bool quit;
	uint64_t left_out;
	struct utsname host;
	struct buf line;
	size_t sent; /* bytes of line that are in the pipe: a long one may go in pieces */
};

static bool write_all(struct event_live *l, const char *p, size_t len)
{
	while (len) {
		struct pollfd ready = { .fd = l->fd, .events = POLLOUT };
		ssize_t n;

		if (poll(&ready, 1, 200) <= 0) { /* stands still: as long as the sensor runs */
			if (atomic_load(&l->quit))
				return false;
			continue;
		}
		n = write(l->fd, p, len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return false; /* no one reads any more */
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void *copy(void *arg)
{
	struct event_live *l = arg;
	bool broken = false;
	ssize_t n;
	char *chunk = malloc(CHUNK);

	while (chunk && (n = read(l->pipe[0], chunk, CHUNK)) > 0) /* ends when pipe[1] is closed */
		broken = broken || !write_all(l, chunk, (size_t)n);
	free(chunk);
	return NULL;
}

static int start(struct event_live *l)
{
	sigset_t all, old;
	int r;

	if (pipe2(l->pipe, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(l->pipe[1], F_SETPIPE_SZ, PIPE_BYTES); /* else it is smaller: more left out */
	if (fcntl(l->pipe[1], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	(void)sigfillset(&all); /* SIGPIPE too: a reader that went away is an error of write() */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&l->thread, NULL, copy, l);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

struct event_live *event_live_new(int fd, const struct event_kinds *kinds, bool json, bool colours)
{
	struct event_live *l = calloc(1, sizeof(*l));
	char *mem = malloc(LINE_MAX_BYTES);
	int r = l && mem ? 0 : -ENOMEM;

	if (!r) {
		*l = (struct event_live){ .kinds = kinds,
					  .json = json,
					  .colours = colours,
					  .fd = fd,
					  .pipe = { -1, -1 },
					  .line = buf_fixed(mem, LINE_MAX_BYTES) };
		(void)uname(&l->host); /* cannot fail */
		r = start(l);
	}
	if (r < 0) {
		if (l) {
			kmn_auto_fd(&l->pipe[0]);
			kmn_auto_fd(&l->pipe[1]);
		}
		free(mem);
		free(l);
		errno = -kmn_err(r, "event: print events");
		return NULL;
	}
	return l;
}

void event_live_free(struct event_live *l)
{
	struct timespec until;

	if (!l)
		return;
	close(l->pipe[1]);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	if (pthread_timedjoin_np(l->thread, NULL, &until)) {
		atomic_store(&l->quit, true);
		until.tv_sec++;
		if (pthread_timedjoin_np(l->thread, NULL, &until)) {
			(void)pthread_detach(l->thread); /* held by the terminal; we end anyway */
			return;
		}
	}
	close(l->pipe[0]);
	free(l->line.data);
	free(l);
}

/* True: all of the line is in the pipe. */
static bool send_rest(struct event_live *l)
{
	while (l->sent < l->line.len) {
		ssize_t n = write(l->pipe[1], l->line.data + l->sent, l->line.len - l->sent);

		if (n <= 0)
			return false;
		l->sent += (size_t)n;
	}
	return true;
}

void event_print_live(void *live, const struct event *ev)
{
	struct event_text_style style = { .date = false };
	struct event_live *l = live;

	style.colours = l->colours;
	if (!send_rest(l)) {
		l->left_out++;
		return;
	}
	buf_reset(&l->line);
	l->sent = 0;
	if (l->left_out && !l->json)
		buf_printf(&l->line, "(%llu events were not printed: the terminal was too slow)\n",
			   (unsigned long long)l->left_out);
	l->left_out = 0;
	if (l->json) {
		struct event_origin here = { .hostname = l->host.nodename,
					     .kernel = l->host.release };

		if (!ocsf_event(ev, l->kinds, &here, &l->line)) { /* longer than any that is made */
			buf_reset(&l->line);
			l->left_out++;
			return;
		}
		buf_putc(&l->line, '\n');
	} else {
		event_line(ev, l->kinds, &style, &l->line);
	}
	(void)send_rest(l); /* the rest goes before the next event */
}
