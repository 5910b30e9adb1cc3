#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "event/follow.h"

/* The first write of a transaction wakes us; it can be seen when the last one is on disk, which
 * nothing tells: so some looks follow each other closely. */
#define SETTLE_MS 10
#define CLOSE_LOOKS 5
#define CLOSE_MS 20

/* One stream, with the next event of it that is wanted. */
struct source {
	struct event_reader *reader; /* NULL: not asked for, or not there */
	struct event ev;
	bool have;
};

struct event_follow {
	struct event_follow_config config;
	struct source source[EVENT_STREAMS];
	struct utsname host;
	uint64_t skip; /* of those that are wanted, from the front */
	int watch;     /* inotify; -1: none can be had */
	int close_looks;
};

static void watch_stream(struct event_follow *f, enum event_stream stream)
{
	char path[PATH_MAX];

	/* A transaction is appended to the log beside the file, so the folder is watched. */
	if (f->watch >= 0 &&
	    (size_t)snprintf(path, sizeof(path), "%s/events/%s", f->config.state_dir,
			     event_stream_name((uint8_t)stream)) < sizeof(path))
		(void)inotify_add_watch(f->watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
}

static int open_readers(struct event_follow *f)
{
	int open = 0, r = -ENOENT;

	for (int i = 0; i < EVENT_STREAMS; i++) {
		enum event_stream stream = (enum event_stream)i;

		if (!f->config.stream[i])
			continue;
		r = event_reader_open(f->config.state_dir, stream, &f->source[i].reader);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		event_reader_filter(f->source[i].reader, &f->config.filter);
		watch_stream(f, stream);
		open++;
	}
	return open ? 0 : r;
}

int event_follow_open(const struct event_follow_config *c, struct event_follow **out)
{
	struct event_follow *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->config = *c;
	(void)uname(&f->host); /* cannot fail */
	f->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	r = open_readers(f);
	if (r < 0) {
		event_follow_close(f);
		return r;
	}
	*out = f;
	return 0;
}

void event_follow_close(struct event_follow *f)
{
	if (!f)
		return;
	for (int i = 0; i < EVENT_STREAMS; i++)
		event_reader_close(f->source[i].reader);
	kmn_auto_fd(&f->watch);
	free(f);
}

static bool wanted(void *arg, const struct event *ev)
{
	struct event_follow *f = arg;

	return !f->config.match || f->config.match(f->config.arg, ev);
}

int event_follow_last(struct event_follow *f, uint64_t n)
{
	uint64_t sum = 0;

	for (int i = 0; i < EVENT_STREAMS; i++) {
		struct event_reader *reader = f->source[i].reader;
		uint64_t seq, found, last;
		int r;

		if (!reader)
			continue;
		r = event_reader_tail(reader, n ? n : 1, wanted, f, &seq, &found, &last);
		if (r < 0)
			return r;
		if (n)
			sum += found;
		else
			event_reader_seek(reader, last + 1);
	}
	f->skip = sum > n ? sum - n : 0; /* what is before them in the other stream */
	return 0;
}

/* The next event of one stream that is wanted. 1, 0: none for now, -errno. */
static int fill(struct event_follow *f, struct source *src)
{
	int r = 0;

	while (!src->have && (r = event_reader_next(src->reader, &src->ev)) > 0)
		src->have = wanted(f, &src->ev);
	return src->have ? 1 : r;
}

static int find_earliest(struct event_follow *f, struct source **next)
{
	*next = NULL;
	for (int i = 0; i < EVENT_STREAMS; i++) {
		struct source *src = &f->source[i];
		int r = src->reader ? fill(f, src) : 0;

		if (r < 0)
			return r;
		if (r && (!*next || src->ev.time_ns < (*next)->ev.time_ns))
			*next = src;
	}
	return *next != NULL;
}

int event_follow_next(struct event_follow *f, const struct event **ev, struct event_origin *origin)
{
	struct source *next;
	int r;

	while ((r = find_earliest(f, &next)) > 0) {
		next->have = false;
		if (f->skip) {
			f->skip--;
			continue;
		}
		*ev = &next->ev;
		*origin = *event_reader_origin(next->reader);
		origin->hostname = f->host.nodename;
		origin->kernel = f->host.release;
		return 1;
	}
	return r;
}

static void nap(int ms)
{
	const struct timespec t = { ms / 1000, (long)(ms % 1000) * (long)NS_PER_MS };

	(void)nanosleep(&t, NULL); /* cut short: one look more */
}

void event_follow_wait(struct event_follow *f, int timeout_ms)
{
	struct pollfd p = { .fd = f->watch, .events = POLLIN };
	char news[4096];

	if (f->watch < 0) {
		nap(timeout_ms);
		return;
	}
	if (f->close_looks && timeout_ms > CLOSE_MS)
		timeout_ms = CLOSE_MS;
	f->close_looks -= f->close_looks > 0;
	if (poll(&p, 1, timeout_ms) <= 0)
		return;
	f->close_looks = CLOSE_LOOKS;
	nap(SETTLE_MS);
	while (read(f->watch, news, sizeof(news)) > 0)
		; /* that there are some is all we need to know */
}

uint32_t event_follow_damaged(const struct event_follow *f)
{
	uint32_t damaged = 0;

	for (int i = 0; i < EVENT_STREAMS; i++)
		if (f->source[i].reader)
			damaged += event_reader_stats(f->source[i].reader)->damaged;
	return damaged;
}
