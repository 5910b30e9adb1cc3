#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "event/live.h"
#include "event/printer.h"
#include "event/text.h"

#define LINE_MAX_BYTES (512 * 1024) /* of one event: its texts whole and every byte escaped */
#define PIPE_BYTES (1 << 20)
#define CHUNK 65536
#define GATHER_US 10000 /* what comes within it goes out together: a line does not wake us each */

struct event_live {
	const struct event_kinds *kinds;
	bool colours;
	int pipe[2]; /* lines go into pipe[1], the thread copies them */
	struct printer printer;
	uint64_t left_out;
	struct buf line;
	size_t sent; /* bytes of line that are in the pipe: a long one may go in pieces */
};

static void *copy(void *arg)
{
	struct event_live *l = arg;
	bool broken = false;
	ssize_t n;
	char *chunk = malloc(CHUNK);

	while (chunk && (n = read(l->pipe[0], chunk, CHUNK)) > 0) { /* till pipe[1] is closed */
		broken = broken || !printer_write(&l->printer, chunk, (size_t)n);
		if (n < CHUNK)
			(void)usleep(GATHER_US);
	}
	free(chunk);
	return NULL;
}

static int start(struct event_live *l, int fd)
{
	if (pipe2(l->pipe, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(l->pipe[1], F_SETPIPE_SZ, PIPE_BYTES); /* else it is smaller: more left out */
	if (fcntl(l->pipe[1], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return printer_start(&l->printer, fd, copy, l);
}

struct event_live *event_live_new(int fd, const struct event_kinds *kinds, bool colours)
{
	struct event_live *l = calloc(1, sizeof(*l));
	char *mem = malloc(LINE_MAX_BYTES);
	int r = l && mem ? 0 : -ENOMEM;

	if (!r) {
		*l = (struct event_live){ .kinds = kinds,
					  .colours = colours,
					  .pipe = { -1, -1 },
					  .line = buf_fixed(mem, LINE_MAX_BYTES) };
		r = start(l, fd);
		if (r < 0) {
			kmn_auto_fd(&l->pipe[0]);
			kmn_auto_fd(&l->pipe[1]);
		}
	}
	if (r < 0) {
		free(mem);
		free(l);
		errno = -kmn_err(r, "event: print events");
		return NULL;
	}
	return l;
}

void event_live_free(struct event_live *l)
{
	if (!l)
		return;
	close(l->pipe[1]);
	if (!printer_end(&l->printer))
		return; /* held by the terminal; we end anyway */
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
	if (l->left_out)
		buf_printf(&l->line, "(%llu events were not printed: the terminal was too slow)\n",
			   (unsigned long long)l->left_out);
	l->left_out = 0;
	event_line(ev, l->kinds, &style, &l->line);
	(void)send_rest(l); /* the rest goes before the next event */
}
