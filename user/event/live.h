#pragma once
#include "event/event.h"

/* Events on a terminal as they pass (komainu run --foreground). A thread of its own writes, so that
 * a terminal that stands still (Ctrl-S, a full pipe) stops nothing: lines that find no room in the
 * pipe to it are left out, and the next line says how many. */
struct event_live;

/* fd: borrowed. NULL and errno, logged. */
struct event_live *event_live_new(int fd, const struct event_kinds *kinds, bool colours);
void event_live_free(struct event_live *l); /* writes what is left, up to a second */
/* For event_sink_tap(): live is a struct event_live. */
void event_print_live(void *live, const struct event *ev);
