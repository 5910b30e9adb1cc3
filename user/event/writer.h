#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "event/sink.h"
#include "event/store.h"

/* The thread that owns the store. The loop fills the front buffer of a lane and hands it over when
 * the back one is free; neither side ever waits for the other. Inside of the sink only. */
struct lane {
	/* the loop's */
	uint8_t *front;
	size_t cap, len;
	uint64_t n, oldest_ns; /* events in front; boot clock of the first */
	uint64_t emitted, dropped;
	/* handed over: the loop writes them while full is 0, the writer reads them while it is 1 */
	uint8_t *back;
	size_t back_len;
	uint64_t back_n, back_oldest_ns;
	_Atomic int full;
	/* the writer's, for all to read */
	_Atomic uint64_t stored;
	_Atomic bool behind; /* front is more than half full: do not spend time on packing */
};

#define WRITER_NOTES 8
#define WRITER_NOTE_BYTES 512

struct writer_report { /* what the thread tells, copied under a lock that is held for the copy only
			*/
	struct store_stats store[EVENT_STREAMS];
	uint64_t write_errors[EVENT_STREAMS], commits[EVENT_STREAMS], commit_ns[EVENT_STREAMS];
	char error[160];
	unsigned n_notes; /* damaged segments, to be told as events */
	char note[WRITER_NOTES][WRITER_NOTE_BYTES];
};

struct writer;
/* Opens the store and starts the thread. lanes: EVENT_STREAMS of them, with their buffers, alive
 * until writer_free(). NULL and errno, logged. */
struct writer *writer_new(const struct store_config *c, struct lane *lanes);
void writer_free(struct writer *w); /* what is handed over is written, if the disk takes it */

/* Hand the front of a lane over, if the back is free. False: not now. */
bool writer_hand_over(struct writer *w, struct lane *lane);
/* The newest report; notes are handed out once. */
void writer_report(struct writer *w, struct writer_report *out);
/* Other budgets of the store from now on. Never waits; the thread obeys them at once. */
void writer_budgets(struct writer *w, const uint64_t bytes_max[EVENT_STREAMS],
		    const uint32_t days_max[EVENT_STREAMS]);
/* May events be dropped for their age: false while the wall clock is in doubt. */
void writer_trust_clock(struct writer *w, bool trusted);
const char *writer_host_id(const struct writer *w);
