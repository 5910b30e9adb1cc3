#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <bpf/bpf.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "event/record.h"
#include "event/ring.h"
#include "event/ring_map.h"

#define WATERMARK 16	   /* a ring may fill to 1/16 between two turns ... */
#define SETTLE_TRIES 16	   /* how often a snapshot is taken before it is called unsettled */
#define SETTLE_NS NS_PER_S /* how often the count of those before us is tried again */

struct ring {
	struct ring_map map;
	uint64_t before, delivered, events, refused[RING_REFUSALS];
	bool settled;  /* before is exact */
	uint64_t seen; /* written position at the last turn: the rate between two turns */
};

struct event_ring {
	struct event_ring_config config;
	struct ring ring[KMN_RINGS];
	struct loop *loop;
	int timer;
	uint32_t period_ms;
	uint64_t turn_ns, settle_ns, turns, worst_turn;
	uint64_t *per_cpu;
};

static const char *const ring_names[KMN_RINGS] = { "findings", "telemetry" };

/* ---- counts ---- */

struct counts {
	uint64_t word[KMN_C_RING_WORDS];
};

static int read_word(struct event_ring *r, enum kmn_ring ring, uint32_t word, uint64_t *out)
{
	uint32_t key = (uint32_t)ring * KMN_C_RING_WORDS + word;
	int e = bpf_map_lookup_elem(r->config.counts_fd, &key, r->per_cpu);

	*out = 0;
	for (unsigned i = 0; i < r->config.cpus && !e; i++)
		*out += r->per_cpu[i];
	return e;
}

/* What became of the records first, then what was offered: if the two agree no program was between
 * the two counts at that moment, and the sums belong together. */
static int read_counts(struct event_ring *r, enum kmn_ring ring, struct counts *c)
{
	static const uint32_t order[] = { KMN_C_SENT, KMN_C_DROPPED, KMN_C_THROTTLED,
					  KMN_C_OFFERED };

	for (unsigned i = 0; i < sizeof(order) / sizeof(*order); i++) {
		int e = read_word(r, ring, order[i], &c->word[order[i]]);

		if (e < 0)
			return e;
	}
	return 0;
}

/* A moment of rest, if there is one: counts and what is in the ring, both of the same instant. 1:
 * it is; 0: programs were at work, the figures are close. */
static int snapshot(struct event_ring *r, enum kmn_ring ring, struct counts *c, uint64_t *in_ring)
{
	const struct ring_map *map = &r->ring[ring].map;
	bool rest = false;
	uint64_t end = 0;

	for (int i = 0; i < SETTLE_TRIES && !rest; i++) {
		int e;

		end = ring_map_written(map);
		e = read_counts(r, ring, c);
		if (e < 0)
			return e;
		rest = c->word[KMN_C_OFFERED] == c->word[KMN_C_SENT] + c->word[KMN_C_DROPPED] +
							 c->word[KMN_C_THROTTLED] &&
		       ring_map_written(map) == end;
	}
	*in_ring = ring_map_count(map, end);
	return rest;
}

static uint64_t refused_of(const struct ring *ring)
{
	uint64_t n = 0;

	for (int i = 0; i < RING_REFUSALS; i++)
		n += ring->refused[i];
	return n;
}

/* Maps that were taken over have counted records that sensors before us read. How many is certain
 * at the first moment of rest; till then it is an estimate. */
static int settle(struct event_ring *r, enum kmn_ring i)
{
	struct ring *ring = &r->ring[i];
	struct counts c;
	uint64_t in_ring, ours;
	int rest = snapshot(r, i, &c, &in_ring);

	if (rest < 0)
		return rest;
	ours = ring->delivered + refused_of(ring) + in_ring;
	ring->before = c.word[KMN_C_SENT] > ours ? c.word[KMN_C_SENT] - ours : 0;
	ring->settled = rest;
	return 0;
}

int event_ring_accounting(struct event_ring *r, enum kmn_ring i, struct event_accounting *a)
{
	struct ring *ring = &r->ring[i];
	struct counts c;
	uint64_t in_ring;
	int e = ring->settled ? 0 : settle(r, i);

	if (!e)
		e = snapshot(r, i, &c, &in_ring);
	if (e < 0)
		return e;
	*a = (struct event_accounting){ .offered = c.word[KMN_C_OFFERED],
					.sent = c.word[KMN_C_SENT],
					.dropped = c.word[KMN_C_DROPPED],
					.throttled = c.word[KMN_C_THROTTLED],
					.before = ring->before,
					.delivered = ring->delivered,
					.events = ring->events,
					.refused = refused_of(ring),
					.in_ring = in_ring,
					.used_bytes = ring_map_written(&ring->map) -
						      ring_map_read(&ring->map),
					.size_bytes = ring->map.size,
					.turns = r->turns,
					.worst_turn = r->worst_turn };
	memcpy(a->refused_by, ring->refused, sizeof(ring->refused));
	a->unsettled = (int64_t)(a->sent - a->before - a->delivered - a->refused - a->in_ring);
	return 0;
}

/* ---- draining ---- */

static void take(struct event_ring *r, struct ring *ring, const void *rec, uint32_t len)
{
	struct event ev;
	int made = record_read(r->config.kinds, rec, len, &ev);

	if (made < 0) {
		ring->refused[RECORD_REFUSAL(made)]++;
		return;
	}
	ring->delivered++;
	if (!made)
		return;
	ring->events++;
	event_emit(r->config.sink, &ev);
}

/* At most max records, none that was written after the batch began. */
static unsigned drain(struct event_ring *r, enum kmn_ring i, unsigned max)
{
	struct ring *ring = &r->ring[i];
	uint64_t end = ring_map_written(&ring->map);
	const void *rec;
	uint32_t len;
	unsigned n = 0;

	while (n < max && ring_map_peek(&ring->map, end, &rec, &len)) {
		take(r, ring, rec, len); /* it reads the ring itself: popped when done */
		ring_map_pop(&ring->map, len);
		n++;
	}
	return n;
}

/* As long as the faster ring needs to fill to the watermark at the rate since the last turn. */
static uint32_t next_period(struct event_ring *r, uint64_t now)
{
	uint64_t passed = now - r->turn_ns, period = RING_PERIOD_MAX_MS * NS_PER_MS;

	for (int i = 0; i < KMN_RINGS; i++) {
		struct ring_map *map = &r->ring[i].map;
		uint64_t written = ring_map_written(map);
		uint64_t came = written - r->ring[i].seen, mark = map->size / WATERMARK;
		uint64_t fit =
			came ? (uint64_t)((double)passed * (double)mark / (double)came) : period;

		if (written - ring_map_read(map) > mark)
			fit = 0; /* behind: at once */
		if (fit < period)
			period = fit;
		r->ring[i].seen = written;
	}
	r->turn_ns = now;
	period /= NS_PER_MS;
	return period < RING_PERIOD_MIN_MS ? RING_PERIOD_MIN_MS : (uint32_t)period;
}

unsigned event_ring_turn(struct event_ring *r)
{
	uint64_t now = clock_boot_ns();
	unsigned sum = 0;

	for (int round = 0; round < RING_ROUNDS; round++) {
		unsigned findings = drain(r, KMN_FINDINGS, RING_FINDINGS_BATCH);
		unsigned telemetry = drain(r, KMN_TELEMETRY, RING_TELEMETRY_BATCH);

		sum += findings + telemetry;
		if (findings < RING_FINDINGS_BATCH && telemetry < RING_TELEMETRY_BATCH)
			break;
	}
	r->turns++;
	if (sum > r->worst_turn)
		r->worst_turn = sum;
	r->period_ms = next_period(r, now);
	event_sink_turn(r->config.sink);
	if (now >= r->settle_ns + SETTLE_NS) {
		for (int i = 0; i < KMN_RINGS; i++)
			if (!r->ring[i].settled)
				(void)settle(r, (enum kmn_ring)i); /* tried again */
		r->settle_ns = now;
	}
	return sum;
}

uint32_t event_ring_period_ms(const struct event_ring *r)
{
	return r->period_ms;
}

static void on_timer(void *arg)
{
	struct event_ring *r = arg;
	uint32_t before = r->period_ms;

	(void)event_ring_turn(r);
	if (r->period_ms != before)
		(void)loop_timer_set(r->loop, r->timer, r->period_ms); /* the old one still fires */
}

/* A record was submitted with a wake-up. Only such a one: the ring is watched for edges. */
static void on_wake(void *arg, uint32_t events)
{
	(void)events;
	on_timer(arg);
}

static uint64_t telemetry_written(void *arg)
{
	return ring_map_written(&((struct event_ring *)arg)->ring[KMN_TELEMETRY].map);
}

static uint64_t telemetry_read(void *arg)
{
	return ring_map_read(&((struct event_ring *)arg)->ring[KMN_TELEMETRY].map);
}

/* ---- making ---- */

struct event_ring *event_ring_new(const struct event_ring_config *c)
{
	struct event_ring *r = calloc(1, sizeof(*r));
	int e = 0;

	if (!r)
		return NULL;
	r->config = *c;
	r->timer = -1;
	r->period_ms = RING_PERIOD_MIN_MS;
	r->turn_ns = clock_boot_ns();
	r->per_cpu = calloc(c->cpus, sizeof(*r->per_cpu));
	if (!r->per_cpu)
		e = -ENOMEM;
	for (int i = 0; i < KMN_RINGS && !e; i++) {
		e = ring_map_open(&r->ring[i].map, c->ring_fd[i]);
		if (!e) {
			r->ring[i].seen = ring_map_written(&r->ring[i].map);
			e = settle(r, (enum kmn_ring)i);
		}
	}
	if (e < 0) {
		event_ring_free(r);
		errno = -kmn_err(e, "event: ring: open");
		return NULL;
	}
	event_sink_order(c->sink, &(struct event_order){ telemetry_written, telemetry_read, r });
	return r;
}

void event_ring_free(struct event_ring *r)
{
	if (!r)
		return;
	if (r->config.sink)
		event_sink_order(r->config.sink, &(struct event_order){ 0 });
	if (r->loop && r->timer >= 0) {
		loop_timer_drop(r->loop, r->timer);
		for (int i = 0; i < KMN_RINGS; i++)
			loop_unwatch(r->loop, r->config.ring_fd[i]);
	}
	for (int i = 0; i < KMN_RINGS; i++)
		ring_map_close(&r->ring[i].map);
	free(r->per_cpu);
	free(r);
}

int event_ring_start(struct event_ring *r, struct loop *loop)
{
	int timer = loop_every(loop, r->period_ms, on_timer, r), e = 0;

	if (timer < 0)
		return timer;
	r->loop = loop;
	r->timer = timer;
	for (int i = 0; i < KMN_RINGS && !e; i++)
		e = loop_watch(loop, r->config.ring_fd[i], EPOLLIN | EPOLLET, on_wake, r);
	return e;
}

/* ---- telling ---- */

static void ring_json(const struct event_accounting *a, struct json *j)
{
	json_u64(j, "offered", a->offered);
	json_u64(j, "sent", a->sent);
	json_u64(j, "dropped", a->dropped);
	json_u64(j, "throttled", a->throttled);
	json_u64(j, "before", a->before);
	json_u64(j, "delivered", a->delivered);
	json_u64(j, "events", a->events);
	json_u64(j, "refused", a->refused);
	json_object(j, "refused_by");
	for (int i = 0; i < RING_REFUSALS; i++)
		if (a->refused_by[i])
			json_u64(j, ring_refusal_names[i], a->refused_by[i]);
	json_end(j);
	json_u64(j, "in_ring", a->in_ring);
	json_i64(j, "unsettled", a->unsettled);
	json_u64(j, "used_bytes", a->used_bytes);
	json_u64(j, "size_bytes", a->size_bytes);
}

void event_ring_status(struct event_ring *r, struct json *j)
{
	struct event_accounting a;

	for (int i = 0; i < KMN_RINGS; i++) {
		if (event_ring_accounting(r, (enum kmn_ring)i, &a) < 0)
			continue; /* the maps are gone: the rest of status says more */
		json_object(j, ring_names[i]);
		ring_json(&a, j);
		json_end(j);
	}
	json_u64(j, "turns", r->turns);
	json_u64(j, "worst_turn", r->worst_turn);
	json_u64(j, "period_ms", r->period_ms);
}

static void ring_metrics(const struct event_accounting *a, const char *name, struct kmn_metrics *m)
{
	metrics_family(m, "komainu_ring_records_total", METRICS_COUNTER,
		       "Records by what became of them: offered = sent + dropped + throttled, "
		       "sent = delivered + refused + in the ring.");
	metrics_u64(m, a->offered, "ring", name, "result", "offered", NULL);
	metrics_u64(m, a->sent, "ring", name, "result", "sent", NULL);
	metrics_u64(m, a->dropped, "ring", name, "result", "dropped", NULL);
	metrics_u64(m, a->throttled, "ring", name, "result", "throttled", NULL);
	metrics_u64(m, a->before + a->delivered, "ring", name, "result", "delivered", NULL);
	for (int i = 0; i < RING_REFUSALS; i++)
		metrics_u64(m, a->refused_by[i], "ring", name, "result", "refused", "reason",
			    ring_refusal_names[i], NULL);
	metrics_family(m, "komainu_ring_used_ratio", METRICS_GAUGE, "How full the ring is.");
	metrics_double(m, (double)a->used_bytes / (double)a->size_bytes, "ring", name, NULL);
}

void event_ring_metrics(struct event_ring *r, struct kmn_metrics *m)
{
	struct event_accounting a;

	for (int i = 0; i < KMN_RINGS; i++)
		if (event_ring_accounting(r, (enum kmn_ring)i, &a) == 0)
			ring_metrics(&a, ring_names[i], m);
}
