#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core/loop.h"
#include "event/event.h"
#include "event/sink.h"

/* From the two rings to checked records to events. Findings first, telemetry in small batches, a
 * turn bounded by a constant, so that no flood can hold the loop. */
#define RING_TELEMETRY_BATCH 64 /* telemetry records before findings are looked at again */
#define RING_FINDINGS_BATCH 256 /* findings before telemetry gets its batch */
#define RING_ROUNDS 16		/* batches of each in one turn */
#define RING_TURN_MAX (RING_ROUNDS * (RING_TELEMETRY_BATCH + RING_FINDINGS_BATCH))
#define RING_PERIOD_MIN_MS 2
#define RING_PERIOD_MAX_MS 100

struct event_ring_config {
	int ring_fd[KMN_RINGS]; /* kmn_findings, kmn_telemetry; borrowed */
	int counts_fd;		/* kmn_counts; borrowed */
	unsigned cpus;		/* possible CPUs */
	struct event_sink *sink;
	const struct event_kinds *kinds; /* with the self of each part; borrowed */
};

/* NULL and errno, logged. The rings may hold records of a sensor before us; they are read too. */
struct event_ring *event_ring_new(const struct event_ring_config *c);
void event_ring_free(struct event_ring *r);

/* Drain by an adaptive timer of the loop from now on. 0, or -errno. */
int event_ring_start(struct event_ring *r, struct loop *loop);
/* One turn: at most RING_TURN_MAX records. Returns how many were read. */
unsigned event_ring_turn(struct event_ring *r);
/* Milliseconds to the next turn, as the last one found the rings. */
uint32_t event_ring_period_ms(const struct event_ring *r);

/* Why a record was refused. */
enum ring_refusal {
	RING_BAD_SIZE,	   /* shorter than a head, or not as long as its head says */
	RING_UNKNOWN_PART, /* of no part that is registered */
	RING_UNKNOWN_KIND,
	RING_BAD_KIND_SIZE, /* outside of what its kind may have */
	RING_UNSOUND,	    /* the check of its kind said no */
	RING_NOT_ENRICHED,  /* enrich() failed */
	RING_REFUSALS,
};
extern const char *const ring_refusal_names[RING_REFUSALS];

/* Exactly: offered = sent + dropped + throttled, and
 * sent = before + delivered + refused + in_ring + unsettled. */
struct event_accounting {
	uint64_t offered, sent, dropped, throttled; /* by the programs, since the maps were made */
	uint64_t before;    /* read by sensors before this one (the maps were taken over) */
	uint64_t delivered; /* read by this one: an event was made, or there was nothing to say */
	uint64_t events;    /* of them, those that made an event */
	uint64_t refused, refused_by[RING_REFUSALS];
	uint64_t in_ring;  /* written and not read yet */
	int64_t unsettled; /* 0 unless a program was at work while this was read */
	uint64_t used_bytes, size_bytes;
	uint64_t turns, worst_turn; /* most records in one turn */
};
int event_ring_accounting(struct event_ring *r, enum kmn_ring ring, struct event_accounting *a);
/* Members of the object "events" of status: one object per ring. */
void event_ring_status(struct event_ring *r, struct json *j);
void event_ring_metrics(struct event_ring *r, struct kmn_metrics *m);
