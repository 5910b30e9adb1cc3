#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "event/segment.h"

/* The one durable place: STATE_DIR/events/{findings,telemetry}/NNNNNNNN.db, each stream a row of
 * segments under a budget of bytes and days. Used by one thread, the writer's. */
struct store_config {
	const char *state_dir;
	uint64_t bytes_max[EVENT_STREAMS];
	uint32_t days_max[EVENT_STREAMS];
	uint64_t segment_max; /* 0: SEGMENT_BYTES_MAX; the budget's eighth when that is less */
	/* A segment was damaged and is set aside: said in the caller's thread. May be NULL. */
	void (*damaged)(void *arg, enum event_stream stream, const char *what);
	void *arg;
};
#define SEGMENT_BYTES_MAX (64u << 20)
/* User memory of an open store: two batches, SQLite's page caches and what it reads back. */
#define STORE_MEMORY_MAX (8u << 20)
#define STORE_BYTES_MIN (4u << 20) /* a smaller budget is raised to it */

/* Events on their way to the store, one behind the other; each begins on a multiple of 8. */
struct store_frame {
	uint32_t len; /* bytes of the encoded event behind this head */
	uint8_t part, severity;
	uint16_t pad;
	uint64_t time_ns;
};
#define STORE_FRAME_BYTES(len) (sizeof(struct store_frame) + (((size_t)(len) + 7) & ~(size_t)7))

struct event_store;
/* Opens or makes it, takes up where the last sensor stopped, sets damaged segments aside. 0, or
 * -errno, logged; -EBUSY: another sensor has it open. */
int store_open(const struct store_config *c, struct event_store **out);
void store_close(struct event_store *s);
const struct hostkey *store_host(const struct event_store *s);

/* Write frames as batches, in transactions; *done: bytes of frames that are written for good. pack:
 * with zlib, when that pays. 0, or -errno of the transaction that failed: what is behind *done is
 * to be given again. -ENOSPC: full even after telemetry made room. */
int store_append(struct event_store *s, enum event_stream stream, const void *frames, size_t len,
		 bool pack, size_t *done);

/* Segments that one call lets go of one stream at most: a budget that shrinks a lot must not hold
 * up what is to be written. */
#define STORE_DROPS_MAX 16

/* Drop segments whose events are all older than the days of their budget, at most STORE_DROPS_MAX
 * of each stream. wall_ns: now, by a clock that can be trusted. Returns segments that went. */
unsigned store_expire(struct event_store *s, uint64_t wall_ns);

/* Other budgets from now on. store_trim() brings the streams under them: the oldest segments go, at
 * most STORE_DROPS_MAX of each stream; true: more of them have to, call it again. */
void store_budgets(struct event_store *s, const uint64_t bytes_max[EVENT_STREAMS],
		   const uint32_t days_max[EVENT_STREAMS]);
bool store_trim(struct event_store *s);

struct store_stats {
	uint64_t seq, first_seq, oldest_ns, bytes, bytes_max;
	uint64_t expired_events, expired_segments;
	uint32_t segments, damaged, days_max;
};
void store_stats(const struct event_store *s, enum event_stream stream, struct store_stats *out);
