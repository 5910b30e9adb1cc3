#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "event/event.h"

/* The way from an event to the store: event_emit() encodes into memory that was set aside at the
 * start, and a thread of its own writes whole batches. The loop never waits for the disk: findings
 * and telemetry have buffers of their own, and what does not fit is counted. */
struct kmn_metrics;
struct event_sink_config {
	const char *state_dir; /* the store is STATE_DIR/events, host id and key lie in STATE_DIR */
	const struct event_kinds *kinds; /* borrowed as long as the sink lives */
	/* Fill ev->who from ev->pid, start_ns, boot_ns and cgroup_id. False: the process is not in
	 * the table (yet), who has what is known. NULL: nothing is known of processes. */
	bool (*describe)(void *arg, struct event *ev);
	void *describe_arg;
	/* Budget of each stream, 0: EVENT_*_BYTES and EVENT_*_DAYS. */
	uint64_t bytes_max[EVENT_STREAMS];
	uint32_t days_max[EVENT_STREAMS];
};
#define EVENT_FINDINGS_BYTES (512ULL << 20)
#define EVENT_FINDINGS_DAYS 400
#define EVENT_TELEMETRY_BYTES (256ULL << 20)
#define EVENT_TELEMETRY_DAYS 7
/* A stream is handed to the writer at once, but not more often than this: a lone event does not
 * wait, and many go together. Just below the longest period of the rings, so each slow turn does.
 */
#define EVENT_HAND_OVER_MS 90
#define EVENT_PARK_MS 200 /* a finding waits so long for its process to be told of */

/* Opens the store (made when missing, repaired after a crash, a damaged segment set aside), makes
 * the host's id and key at the first start, starts the writer. NULL and errno, logged. */
struct event_sink *event_sink_new(const struct event_sink_config *c);
/* Hands over what is in memory, waits for the writer up to 5 s, closes the store. */
void event_sink_free(struct event_sink *s);

/* Other budgets from now on, 0 as above: a bigger one holds at once, under a smaller one the oldest
 * segments go step by step in the writer's thread. Never waits, never fails. */
void event_sink_budgets(struct event_sink *s, const uint64_t bytes_max[EVENT_STREAMS],
			const uint32_t days_max[EVENT_STREAMS]);

/* Called often (each turn of the rings does it): hands full or old buffers to the writer, lets
 * parked findings go, emits what the writer has to say. Bounded work. */
void event_sink_turn(struct event_sink *s);

/* Everything emitted so far is on disk; waits for it up to timeout_ms. For the stop and for tests,
 * never on the event path. 0, -ETIMEDOUT, or -EIO while the store cannot write. */
int event_sink_flush(struct event_sink *s, uint32_t timeout_ms);

/* Each event as it passes, in the loop's thread, before it is stored; fn must not wait (see
 * event/live.h). NULL: none. */
void event_sink_tap(struct event_sink *s, void (*fn)(void *arg, const struct event *ev), void *arg);

/* How far the telemetry ring is read, so that a finding whose process is unknown can wait until all
 * telemetry that was written before it is read. written, read: positions in bytes. Set by the ring;
 * without it such a finding goes out at once. */
struct event_order {
	uint64_t (*written)(void *arg);
	uint64_t (*read)(void *arg);
	void *arg;
};
void event_sink_order(struct event_sink *s, const struct event_order *order);

/* ---- what it did ---- */
struct event_stream_stats {
	uint64_t emitted;	 /* events given to event_emit() */
	uint64_t stored;	 /* of them on disk */
	uint64_t dropped;	 /* of them lost: the buffer was full while the writer was behind */
	uint64_t in_memory;	 /* emitted = stored + dropped + in_memory */
	uint64_t parked;	 /* findings that wait for their process now (part of in_memory) */
	uint64_t seq, first_seq; /* newest and oldest number in the store; 0: empty */
	uint64_t oldest_ns;	 /* wall clock of the oldest event in the store */
	uint64_t bytes, bytes_max;
	uint64_t expired_events, expired_segments;
	uint32_t segments, damaged, days_max;
	uint64_t lag_ns;       /* age of the oldest event that is not on disk yet */
	uint64_t write_errors; /* attempts that failed; the batch is tried again */
	uint64_t commit_ns, commits;
};
struct event_stats {
	struct event_stream_stats stream[EVENT_STREAMS];
	uint64_t cut_texts, left_out; /* texts cut to their bound; fields without room */
	uint64_t parked_late;	      /* parked findings whose process never came */
	uint64_t clock_steps;	      /* the wall clock was set */
	char error[160];	      /* of the last write; "" when the last one was good */
};
void event_sink_stats(struct event_sink *s, struct event_stats *out);
/* Members of the object "store" of status, alarms included (array of sentences). */
void event_sink_status(struct event_sink *s, struct json *j);
void event_sink_metrics(struct event_sink *s, struct kmn_metrics *m);
/* Bytes of user memory at most, by formula. */
uint64_t event_sink_memory_max(void);
/* 32 hex digits in 8-4-4-4-12, alive as long as the sink. */
const char *event_sink_host_id(const struct event_sink *s);
