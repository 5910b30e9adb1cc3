#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "event/event.h"
#include "event/segment.h"

/* Reads a stream of the store in order, while the sensor writes it or when none runs. Read-only: it
 * holds no lock between two calls, so that it can stop the writer from nothing. */
struct event_reader;

/* dir: STATE_DIR/events/STREAM is made of state_dir. 0, or -ENOENT: there is no store; -EACCES. */
int event_reader_open(const char *state_dir, enum event_stream stream, struct event_reader **out);
void event_reader_close(struct event_reader *r);

/* Batches that the filter rules out are not read; what is in a batch that is read is not filtered.
 * Set it before the first event_reader_next(). */
void event_reader_filter(struct event_reader *r, const struct segment_filter *f);

/* The next event in *ev (texts live until the next call), its number in ev->seq. 1; 0: no more for
 * now, a later call finds what came meanwhile; -errno. A damaged segment is skipped and counted. */
int event_reader_next(struct event_reader *r, struct event *ev);

/* Go on with the first event whose number is seq or more. */
void event_reader_seek(struct event_reader *r, uint64_t seq);

/* Find, from the end, the number from which at least n events match; fewer: that of the first.
 * *found: how many match from there on, *last: number of the newest event looked at. 0 or -errno.
 */
int event_reader_tail(struct event_reader *r, uint64_t n,
		      bool (*match)(void *arg, const struct event *ev), void *arg, uint64_t *seq,
		      uint64_t *found, uint64_t *last);

/* Of the event that was read last. */
struct event_origin {
	char host_id[HOST_ID_TEXT];
	char boot_id[37];
	const char *hostname, *kernel; /* of this host now; NULL: not known */
};
const struct event_origin *event_reader_origin(const struct event_reader *r);

struct event_reader_stats {
	uint64_t events, batches, bad_events; /* bad: bytes that do not decode */
	uint32_t segments, damaged;	      /* damaged: could not be read, skipped */
};
const struct event_reader_stats *event_reader_stats(const struct event_reader *r);
