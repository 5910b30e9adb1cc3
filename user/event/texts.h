#pragma once
#include "event/event.h"

/* Walks all texts of an event, so that bounds, marks of cuts and copies of bytes treat each alike.
 */
struct event_text_name {
	const char *of, *what; /* "process" "exe", "field" "detail", ... */
	int index;	       /* of the process; -1 elsewhere */
};

/* The next text, known or not; NULL behind the last. at: 0 at first. */
struct text *event_text_at(struct event *ev, uint32_t *at, struct event_text_name *name);
