#pragma once
#include "event/event.h"

/* An event as one line for a person: time, severity, part, kind, what happened, whose act it was.
 * Any bytes in it come out harmless. */
struct event_text_style {
	bool colours;
	bool date; /* with the day, else only the time of day */
};
void event_line(const struct event *ev, const struct event_kinds *kinds,
		const struct event_text_style *style, struct buf *out);

/* Arguments as a shell would take them, made safe; at most max bytes of them. */
void event_add_args(struct buf *out, struct text args, uint32_t max);

/* Whose act it was: "  [curl(1234) root < bash(1200) < sshd(900)]" and the container. Nothing when
 * nothing is known. */
void event_add_who(const struct event *ev, struct buf *out);
