#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "event/encode.h"
#include "event/sensor_kinds.h"
#include "event/sink.h"
#include "event/writer.h"

#define FINDINGS_BUFFER (1u << 20)  /* bytes, two of them */
#define TELEMETRY_BUFFER (4u << 20) /* the same: 0.4 s of 100,000 events a second */
#define PARK_SLOTS 256
#define PARK_BYTES 2048			 /* of an encoded event without its process */
#define STEP_NS (NS_PER_S / 2)		 /* the wall clock was set, not slewed */
#define DOUBT_STEP_NS (86400 * NS_PER_S) /* a step so big that ages may be wrong ... */
#define DOUBT_NS (86400 * NS_PER_S)	 /* ... for so long nothing expires by age */
#define LOST_EVENT_NS (10 * NS_PER_S)	 /* losses are told at most so often */

struct parked {
	uint64_t goal, deadline_ns;
	uint32_t len;
	uint8_t bytes[PARK_BYTES];
};

struct event_sink {
	struct event_sink_config config;
	struct lane lane[EVENT_STREAMS];
	struct writer *writer;
	void (*tap)(void *arg, const struct event *ev);
	void *tap_arg;
	struct event_order order;
	struct parked *park; /* first in, first out */
	uint32_t park_first, park_n;
	int64_t offset_ns; /* wall clock minus boot clock */
	uint64_t measured_ns, doubt_until_ns;
	uint64_t handed_ns[EVENT_STREAMS]; /* last time to the writer */
	uint64_t cut_texts, left_out, parked_late, clock_steps;
	uint64_t told_ns, told[EVENT_STREAMS]; /* losses that an event has told of */
	struct writer_report report;
};

/* ---- clock ---- */

/* The pair of readings that lie closest together. */
static int64_t measure_offset(void)
{
	uint64_t best = UINT64_MAX;
	int64_t offset = 0;

	for (int i = 0; i < 3; i++) {
		uint64_t a = clock_boot_ns(), wall = clock_wall_ns(), b = clock_boot_ns();

		if (b - a < best) {
			best = b - a;
			offset = (int64_t)(wall - (a + (b - a) / 2));
		}
	}
	return offset;
}

/* Order is that of the numbers; the wall clock is for people, so a step just shows in the times. */
static void look_at_clock(struct event_sink *s, uint64_t now)
{
	int64_t offset = measure_offset();
	uint64_t step = (uint64_t)llabs(offset - s->offset_ns);

	if (s->measured_ns && step > STEP_NS)
		s->clock_steps++;
	if (s->measured_ns && step > DOUBT_STEP_NS) {
		log_warn(
			"event: the wall clock was set by more than a day: no event expires by its "
			"age for the next 24 hours");
		s->doubt_until_ns = now + DOUBT_NS;
	}
	s->offset_ns = offset;
	s->measured_ns = now;
	writer_trust_clock(s->writer, now >= s->doubt_until_ns);
}

/* ---- an event ---- */

static bool encode_into(struct lane *l, const struct event *ev)
{
	struct store_frame *f = (struct store_frame *)(l->front + l->len);
	size_t room = l->cap - l->len;
	int len;

	if (room <= sizeof(*f))
		return false;
	len = event_encode(ev, f + 1, room - sizeof(*f));
	if (len < 0 || STORE_FRAME_BYTES(len) > room)
		return false;
	*f = (struct store_frame){ .len = (uint32_t)len,
				   .part = ev->part,
				   .severity = ev->severity,
				   .time_ns = ev->time_ns };
	l->len += STORE_FRAME_BYTES(len);
	if (!l->n++)
		l->oldest_ns = clock_boot_ns();
	if (l->len > l->cap / 2)
		atomic_store(&l->behind, true);
	return true;
}

static void put(struct event_sink *s, struct event *ev)
{
	struct lane *l = &s->lane[ev->stream];

	event_bound(ev);
	s->cut_texts += ev->n_cuts;
	s->left_out += ev->left_out;
	if (s->tap)
		s->tap(s->tap_arg, ev);
	if (encode_into(l, ev))
		return;
	if (!writer_hand_over(s->writer, l) || !encode_into(l, ev))
		l->dropped++;
}

/* Keep a finding until its process is told of. False: no room, it goes out as it is. */
static bool park(struct event_sink *s, const struct event *ev)
{
	struct parked *p = &s->park[(s->park_first + s->park_n) % PARK_SLOTS];
	int len;

	if (s->park_n == PARK_SLOTS)
		return false;
	len = event_encode(ev, p->bytes, sizeof(p->bytes));
	if (len < 0)
		return false;
	p->len = (uint32_t)len;
	p->goal = s->order.written(s->order.arg);
	p->deadline_ns = clock_boot_ns() + EVENT_PARK_MS * NS_PER_MS;
	s->park_n++;
	return true;
}

static bool describe(struct event_sink *s, struct event *ev)
{
	if (ev->who.n || !s->config.describe || (!ev->pid && !ev->cgroup_id))
		return true;
	return s->config.describe(s->config.describe_arg, ev) || !ev->pid;
}

void event_emit(struct event_sink *s, struct event *ev)
{
	if (ev->stream >= EVENT_STREAMS)
		ev->stream = EVENT_TELEMETRY;
	s->lane[ev->stream].emitted++;
	if (!ev->count)
		ev->count = 1;
	if (!ev->boot_ns)
		ev->boot_ns = clock_boot_ns();
	ev->time_ns = ev->boot_ns + (uint64_t)s->offset_ns;
	if (!describe(s, ev) && ev->stream == EVENT_FINDINGS && s->order.written) {
		struct process_chain known = ev->who;

		ev->who.n = 0; /* to be described again */
		if (park(s, ev))
			return;
		ev->who = known;
	}
	put(s, ev);
}

static void let_go(struct event_sink *s, uint64_t now, bool all)
{
	struct event ev;

	while (s->park_n) {
		struct parked *p = &s->park[s->park_first];
		bool read = s->order.read(s->order.arg) >= p->goal || now >= p->deadline_ns;

		if (event_decode(p->bytes, p->len, &ev) == 0) { /* ours, so it does */
			bool known = describe(s, &ev);

			if (!known && !read && !all)
				return;
			s->parked_late += !known;
			put(s, &ev);
		}
		s->park_first = (s->park_first + 1) % PARK_SLOTS;
		s->park_n--;
	}
}

/* ---- a turn ---- */

/* Notes that are not told of yet stay: the thread hands each out once. */
static void fetch_report(struct event_sink *s)
{
	if (!s->report.n_notes)
		writer_report(s->writer, &s->report);
}

static void tell_notes(struct event_sink *s)
{
	for (unsigned i = 0; i < s->report.n_notes; i++) {
		struct event ev;

		sensor_event(&ev, SENSOR_STORE_DAMAGED, EVENT_HIGH,
			     "a part of the event store was damaged");
		event_text(&ev, EVENT_F_detail, text_of(s->report.note[i]));
		event_emit(s, &ev);
	}
	s->report.n_notes = 0;
}

static void tell_losses(struct event_sink *s, uint64_t now)
{
	if (now < s->told_ns + LOST_EVENT_NS)
		return;
	for (int i = 0; i < EVENT_STREAMS; i++) {
		uint64_t lost = s->lane[i].dropped - s->told[i];
		struct event ev;

		if (!lost)
			continue;
		sensor_event(&ev, SENSOR_EVENTS_LOST, EVENT_HIGH,
			     "events were lost: the store could not keep up");
		ev.count = lost;
		event_u64(&ev, EVENT_F_reason, EVENT_LOST_BUFFER);
		event_text(&ev, EVENT_F_detail, text_of(event_stream_name((uint8_t)i)));
		s->told[i] += lost;
		s->told_ns = now;
		event_emit(s, &ev);
	}
}

void event_sink_turn(struct event_sink *s)
{
	uint64_t now = clock_boot_ns();

	let_go(s, now, false);
	if (now >= s->measured_ns + NS_PER_S) {
		look_at_clock(s, now);
		fetch_report(s);
		tell_notes(s);
		tell_losses(s, now);
	}
	for (int i = 0; i < EVENT_STREAMS; i++) {
		struct lane *l = &s->lane[i];

		if (l->n &&
		    (l->len > l->cap / 2 ||
		     now >= s->handed_ns[i] + EVENT_HAND_OVER_MS * NS_PER_MS) &&
		    writer_hand_over(s->writer, l)) /* else the next turn */
			s->handed_ns[i] = now;
	}
}

int event_sink_flush(struct event_sink *s, uint32_t timeout_ms)
{
	const struct timespec ms = { .tv_nsec = NS_PER_MS };
	uint64_t until = clock_boot_ns() + timeout_ms * NS_PER_MS;

	let_go(s, 0, true);
	for (;;) {
		bool done = true;

		for (int i = 0; i < EVENT_STREAMS; i++) {
			done &= writer_hand_over(s->writer, &s->lane[i]);
			done &= !atomic_load(&s->lane[i].full);
		}
		if (done)
			return 0;
		if (clock_boot_ns() >= until) {
			fetch_report(s);
			return *s->report.error ? -EIO : -ETIMEDOUT;
		}
		(void)nanosleep(&ms, NULL);
	}
}

/* ---- making ---- */

/* Budgets as they are asked for, or ours where they are 0. */
static void fill_budgets(const uint64_t bytes_max[EVENT_STREAMS],
			 const uint32_t days_max[EVENT_STREAMS], uint64_t bytes[EVENT_STREAMS],
			 uint32_t days[EVENT_STREAMS])
{
	static const uint64_t our_bytes[] = { EVENT_FINDINGS_BYTES, EVENT_TELEMETRY_BYTES };
	static const uint32_t our_days[] = { EVENT_FINDINGS_DAYS, EVENT_TELEMETRY_DAYS };

	for (int i = 0; i < EVENT_STREAMS; i++) {
		bytes[i] = bytes_max[i] ? bytes_max[i] : our_bytes[i];
		days[i] = days_max[i] ? days_max[i] : our_days[i];
	}
}

void event_sink_budgets(struct event_sink *s, const uint64_t bytes_max[EVENT_STREAMS],
			const uint32_t days_max[EVENT_STREAMS])
{
	uint64_t bytes[EVENT_STREAMS];
	uint32_t days[EVENT_STREAMS];

	fill_budgets(bytes_max, days_max, bytes, days);
	writer_budgets(s->writer, bytes, days);
}

struct event_sink *event_sink_new(const struct event_sink_config *c)
{
	static const size_t cap[EVENT_STREAMS] = { FINDINGS_BUFFER, TELEMETRY_BUFFER };
	struct store_config store = { .state_dir = c->state_dir };
	struct event_sink *s = calloc(1, sizeof(*s));
	bool ok = s != NULL;

	fill_budgets(c->bytes_max, c->days_max, store.bytes_max, store.days_max);
	for (int i = 0; i < EVENT_STREAMS && ok; i++) {
		struct lane *l = &s->lane[i];

		l->cap = cap[i];
		l->front = malloc(cap[i]);
		l->back = malloc(cap[i]);
		ok = l->front && l->back;
	}
	if (ok) {
		s->config = *c;
		s->offset_ns = measure_offset();
		s->park = malloc(PARK_SLOTS * sizeof(*s->park));
		ok = s->park != NULL;
	}
	errno = ok ? errno : ENOMEM;
	if (ok)
		s->writer = writer_new(&store, s->lane);
	if (!ok || !s->writer) {
		int err = errno;

		event_sink_free(s);
		errno = err;
		return NULL;
	}
	return s;
}

void event_sink_free(struct event_sink *s)
{
	if (!s)
		return;
	if (s->writer && event_sink_flush(s, 5000) < 0)
		log_warn("event: store: not all events in memory could be written");
	writer_free(s->writer);
	for (int i = 0; i < EVENT_STREAMS; i++) {
		free(s->lane[i].front);
		free(s->lane[i].back);
	}
	free(s->park);
	free(s);
}

void event_sink_tap(struct event_sink *s, void (*fn)(void *arg, const struct event *ev), void *arg)
{
	s->tap = fn;
	s->tap_arg = arg;
}

void event_sink_order(struct event_sink *s, const struct event_order *order)
{
	s->order = *order;
}

const char *event_sink_host_id(const struct event_sink *s)
{
	return writer_host_id(s->writer);
}

uint64_t event_sink_memory_max(void)
{
	return 2ULL * (FINDINGS_BUFFER + TELEMETRY_BUFFER) + PARK_SLOTS * sizeof(struct parked) +
	       STORE_MEMORY_MAX;
}

void event_sink_stats(struct event_sink *s, struct event_stats *out)
{
	uint64_t now = clock_boot_ns();
	struct writer_report *r = &s->report;

	fetch_report(s);
	*out = (struct event_stats){ .cut_texts = s->cut_texts,
				     .left_out = s->left_out,
				     .parked_late = s->parked_late,
				     .clock_steps = s->clock_steps };
	memcpy(out->error, r->error, sizeof(out->error));
	for (int i = 0; i < EVENT_STREAMS; i++) {
		const struct lane *l = &s->lane[i];
		const struct store_stats *st = &r->store[i];
		bool full = atomic_load(&l->full);

		out->stream[i] = (struct event_stream_stats){
			.emitted = l->emitted,
			.stored = atomic_load(&l->stored),
			.dropped = l->dropped,
			.parked = i == EVENT_FINDINGS ? s->park_n : 0,
			.seq = st->seq,
			.first_seq = st->first_seq,
			.oldest_ns = st->oldest_ns,
			.bytes = st->bytes,
			.bytes_max = st->bytes_max,
			.expired_events = st->expired_events,
			.expired_segments = st->expired_segments,
			.segments = st->segments,
			.damaged = st->damaged,
			.days_max = st->days_max,
			.lag_ns = full	 ? now - l->back_oldest_ns
				  : l->n ? now - l->oldest_ns
					 : 0,
			.write_errors = r->write_errors[i],
			.commit_ns = r->commit_ns[i],
			.commits = r->commits[i],
		};
		out->stream[i].in_memory = l->emitted - l->dropped - out->stream[i].stored;
	}
}
