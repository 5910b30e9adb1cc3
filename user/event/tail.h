#pragma once
#include "event/follow.h"

/* New events of the store as OCSF JSON, one per line, while the sensor writes them (komainu run
 * --foreground --json). They are read back, so a line is what komainu events --json shows of the
 * event, number and all, and nothing is printed that a crash could take back. A thread of its own
 * reads and writes: a reader that stands still stops nothing and loses nothing that the store
 * keeps. */
struct event_tail;

/* From here on. fd: borrowed. c: its match is called in the thread. NULL and errno, logged. */
struct event_tail *event_tail_new(const struct event_follow_config *c,
				  const struct event_kinds *kinds, int fd);
/* Prints what is in the store now, up to two seconds, and ends. Flush the sink before it. False:
 * the reader or the store still holds the thread; c->arg and kinds must live on. */
bool event_tail_free(struct event_tail *t);
