#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "base/log.h"
#include "event/encode.h"
#include "event/reader.h"
#include "event/store_dir.h"

struct event_reader {
	char dir[PATH_MAX - 32];
	uint8_t stream;
	struct segment_filter filter;
	struct segment *seg; /* NULL: none open */
	uint32_t number;     /* of it, or of the last one that was open */
	uint64_t seq;	     /* next number wanted */
	uint64_t from;	     /* batches from this number on are looked for */
	/* the batch in hand */
	struct segment_batch batch;
	const uint8_t *raw;
	size_t at;
	uint64_t at_seq; /* of the event at at */
	bool have;
	struct event_origin origin;
	struct event_reader_stats stats;
};

int event_reader_open(const char *state_dir, enum event_stream stream, struct event_reader **out)
{
	struct event_reader *r = calloc(1, sizeof(*r));
	struct segment_name *names = NULL;
	int n;

	if (!r)
		return -ENOMEM;
	r->stream = (uint8_t)stream;
	(void)snprintf(r->dir, sizeof(r->dir), "%s/events/%s", state_dir,
		       event_stream_name((uint8_t)stream));
	n = segment_list(r->dir, false, &names); /* only to see that it can be read */
	free(names);
	if (n < 0) {
		free(r);
		return n;
	}
	*out = r;
	return 0;
}

void event_reader_close(struct event_reader *r)
{
	if (!r)
		return;
	segment_close(r->seg);
	free(r);
}

void event_reader_filter(struct event_reader *r, const struct segment_filter *f)
{
	r->filter = *f;
}

const struct event_origin *event_reader_origin(const struct event_reader *r)
{
	return &r->origin;
}

const struct event_reader_stats *event_reader_stats(const struct event_reader *r)
{
	return &r->stats;
}

static void set_boot(struct event_reader *r, const uint8_t boot[BOOT_ID_BYTES])
{
	char hex[2 * BOOT_ID_BYTES + 1];

	hex_text(boot, BOOT_ID_BYTES, hex);
	(void)snprintf(r->origin.boot_id, sizeof(r->origin.boot_id), "%.8s-%.4s-%.4s-%.4s-%.12s",
		       hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* Open segment number; -errno. */
static int open_segment(struct event_reader *r, uint32_t number)
{
	char path[PATH_MAX];
	struct segment_head head;
	int e;

	segment_close(KMN_TAKE(r->seg));
	r->have = false;
	r->number = number;
	segment_path(r->dir, number, false, path, sizeof(path));
	e = segment_open_read(path, &r->seg);
	if (!e)
		e = segment_get_head(r->seg, &head);
	if (e < 0) {
		segment_close(KMN_TAKE(r->seg));
		return e;
	}
	memcpy(r->origin.host_id, head.host_id, sizeof(head.host_id));
	r->stats.segments++;
	return 0;
}

/* The segment after the one of number (back: before) that can be opened. 1, 0: there is none. */
static int step_segment(struct event_reader *r, bool back)
{
	struct segment_name *names = NULL;
	int n = segment_list(r->dir, false, &names), e = 0;
	uint32_t from = r->number;

	for (int k = 0; k < n && !e; k++) {
		const struct segment_name *name = &names[back ? n - 1 - k : k];

		if (name->damaged || (back ? name->number >= from : name->number <= from))
			continue;
		e = open_segment(r, name->number);
		if (!e) {
			e = 1;
		} else if (e == -EUCLEAN || e == -EPROTONOSUPPORT) {
			log_warn("event: store: %s/%08u.db: %s, skipped", r->dir, name->number,
				 strerror(-e));
			r->stats.damaged++;
			e = 0;
		} else if (e == -ENOENT) {
			e = 0; /* expired meanwhile */
		}
	}
	free(names);
	return n < 0 ? n : e;
}

static bool newer_exists(struct event_reader *r)
{
	struct segment_name *names = NULL;
	int n = segment_list(r->dir, false, &names);
	bool yes = false;

	for (int i = 0; i < n; i++)
		yes |= !names[i].damaged && names[i].number > r->number;
	free(names);
	return yes;
}

/* Make the batch found in r->batch the one in hand. */
static int take_batch(struct event_reader *r)
{
	int e = segment_unpack(r->seg, &r->batch, &r->raw);

	if (e < 0)
		return e;
	r->have = true;
	r->from = r->batch.last_seq + 1;
	r->at = 0;
	r->at_seq = r->batch.first_seq;
	r->stats.batches++;
	set_boot(r, r->batch.boot);
	return 1;
}

/* A segment that turns out damaged while it is read: go past it. */
static bool is_damage(struct event_reader *r, int e)
{
	if (e != -EUCLEAN)
		return false;
	log_warn("event: store: %s/%08u.db is damaged behind number %llu: the rest is skipped",
		 r->dir, r->number, (unsigned long long)r->seq);
	r->stats.damaged++;
	return true;
}

/* The next batch, of this segment or of a newer one. 1, 0, -errno. */
static int next_batch(struct event_reader *r)
{
	for (;;) {
		bool newer;
		int e = 0;

		if (r->seg) {
			/* Newer first: what is written between the two looks is seen then. */
			newer = newer_exists(r);
			e = segment_get_batch(r->seg, &r->filter, r->from, false, &r->batch);
			if (e > 0)
				e = take_batch(r);
			if (e > 0 || (!e && !newer))
				return e;
			if (e == -EBUSY)
				return 0; /* the writer recovers: later */
			if (e < 0 && !is_damage(r, e))
				return e;
			if (e < 0 && !newer)
				return 0;
		}
		e = step_segment(r, false);
		if (e <= 0)
			return e;
	}
}

/* The event at the place in hand. 1, or 0: the batch ends. */
static int next_in_batch(struct event_reader *r, struct event *ev)
{
	while (r->at < r->batch.raw_len && r->at_seq <= r->batch.last_seq) {
		uint64_t len, seq = r->at_seq++;
		size_t n = varint_get(r->raw + r->at, r->batch.raw_len - r->at, &len);
		const uint8_t *data = r->raw + r->at + n;

		if (!n || len > r->batch.raw_len - r->at - n) {
			r->stats.bad_events += r->batch.last_seq - seq + 1;
			break;
		}
		r->at += n + len;
		if (seq < r->seq)
			continue;
		r->seq = seq + 1;
		if (event_decode(data, len, ev) < 0) {
			r->stats.bad_events++;
			continue;
		}
		ev->seq = seq;
		ev->stream = r->stream;
		r->stats.events++;
		return 1;
	}
	if (r->seq <= r->batch.last_seq)
		r->seq = r->batch.last_seq + 1;
	r->have = false;
	return 0;
}

int event_reader_next(struct event_reader *r, struct event *ev)
{
	int e;

	do {
		if (r->have && next_in_batch(r, ev))
			return 1;
		e = next_batch(r);
	} while (e > 0);
	return e;
}

void event_reader_seek(struct event_reader *r, uint64_t seq)
{
	struct segment_batch b;

	r->have = false;
	r->seq = r->from = seq;
	/* The batch that holds it is the last one whose first number is not above it. */
	r->number = UINT32_MAX;
	while (step_segment(r, true) > 0) {
		if (segment_get_batch(r->seg, NULL, seq, true, &b) <= 0)
			continue; /* all are above, or it is damaged */
		if (b.last_seq >= seq)
			r->from = b.first_seq;
		return;
	}
	segment_close(KMN_TAKE(r->seg));
	r->number = 0; /* older than all: from the beginning */
}

/* How many events of the batch in hand match. */
static uint64_t count_batch(struct event_reader *r, bool (*match)(void *, const struct event *),
			    void *arg)
{
	struct event ev;
	uint64_t n = 0;

	r->seq = 0;
	while (next_in_batch(r, &ev))
		n += match(arg, &ev);
	return n;
}

int event_reader_tail(struct event_reader *r, uint64_t n,
		      bool (*match)(void *arg, const struct event *ev), void *arg, uint64_t *seq,
		      uint64_t *found, uint64_t *last)
{
	struct event_reader_stats before = r->stats;
	int e;

	*seq = 1;
	*found = *last = 0;
	r->number = UINT32_MAX;
	while ((e = step_segment(r, true)) > 0 && *found < n) {
		uint64_t at = UINT64_MAX;

		while (*found < n &&
		       (e = segment_get_batch(r->seg, &r->filter, at, true, &r->batch)) > 0) {
			at = *seq = r->batch.first_seq;
			if (!*last)
				*last = r->batch.last_seq;
			e = take_batch(r);
			if (e > 0)
				*found += count_batch(r, match, arg);
			if (e < 0 || !at)
				break;
			at--;
		}
		if (e < 0 && !is_damage(r, e))
			break;
	}
	r->stats = before;
	event_reader_seek(r, *seq);
	return e < 0 && e != -EUCLEAN ? e : 0;
}
