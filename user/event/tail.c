#include "event/tail.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "event/ocsf.h"
#include "event/printer.h"

#define WAIT_MS 100

struct event_tail {
	struct event_follow *follow;
	const struct event_kinds *kinds;
	struct printer printer;
	_Atomic bool ending;
	struct buf line;
};

/* All that is there. False: it makes no sense to go on. */
static bool print_present(struct event_tail *t)
{
	struct event_origin origin;
	const struct event *ev;
	int r;

	while ((r = event_follow_next(t->follow, &ev, &origin)) > 0) {
		buf_reset(&t->line);
		(void)ocsf_event(ev, t->kinds, &origin, &t->line); /* false without memory: */
		buf_putc(&t->line, '\n');
		if (t->line.cut)
			continue; /* the next one may be shorter */
		if (!printer_write(&t->printer, t->line.data, t->line.len))
			return false;
	}
	if (r < 0)
		log_warn("event: print events: the store cannot be read: %s", strerror(-r));
	return r == 0;
}

static void *run(void *arg)
{
	struct event_tail *t = arg;
	bool last;

	do {
		last = atomic_load(&t->ending); /* before the look: what was there then is shown */
		if (!print_present(t))
			break;
		if (!last)
			event_follow_wait(t->follow, WAIT_MS);
	} while (!last);
	return NULL;
}

struct event_tail *event_tail_new(const struct event_follow_config *c,
				  const struct event_kinds *kinds, int fd)
{
	struct event_tail *t = calloc(1, sizeof(*t));
	int r = t ? 0 : -ENOMEM;

	if (!r)
		r = event_follow_open(c, &t->follow);
	if (!r)
		r = event_follow_last(t->follow, 0);
	if (!r) {
		t->kinds = kinds;
		r = printer_start(&t->printer, fd, run, t);
	}
	if (r < 0) {
		event_follow_close(t ? t->follow : NULL);
		free(t);
		errno = -kmn_err(r, "event: print events");
		return NULL;
	}
	return t;
}

bool event_tail_free(struct event_tail *t)
{
	if (!t)
		return true;
	atomic_store(&t->ending, true);
	if (!printer_end(&t->printer))
		return false;
	event_follow_close(t->follow);
	buf_free(&t->line);
	free(t);
	return true;
}
