#pragma once
#include "event/reader.h"

/* The streams of the store as one row of events in the order of their times: those that are there,
 * and those that come. What is shown of the store is read here, whether a person asks or a sensor
 * prints as it runs, so that both see the same events in the same words. */
struct event_follow;

struct event_follow_config {
	const char *state_dir;
	bool stream[EVENT_STREAMS];
	struct segment_filter filter; /* what need not be read at all */
	/* Is it wanted? Called by event_follow_last() and event_follow_next(). NULL: all are. */
	bool (*match)(void *arg, const struct event *ev);
	void *arg;
};

/* 0; -ENOENT: there is no store; -EACCES; other -errno. */
int event_follow_open(const struct event_follow_config *c, struct event_follow **out);
void event_follow_close(struct event_follow *f);

/* Begin with the last n that are wanted, of all streams together; 0: with what is not there yet.
 * Without it the row begins with the oldest. 0 or -errno. */
int event_follow_last(struct event_follow *f, uint64_t n);

/* The next event that is wanted, and where it comes from; both live until the next call. 1; 0: no
 * more for now; -errno. */
int event_follow_next(struct event_follow *f, const struct event **ev, struct event_origin *origin);

/* Wait until the store has grown, timeout_ms at most. It may return early. */
void event_follow_wait(struct event_follow *f, int timeout_ms);

/* Parts of the store that could not be read and were skipped. */
uint32_t event_follow_damaged(const struct event_follow *f);
