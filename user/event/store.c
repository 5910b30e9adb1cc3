#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "base/auto.h"
#include "base/log.h"
#include "event/encode.h"
#include "event/store.h"
#include "event/store_stream.h"

#define BATCH_RAW_MAX (256u * 1024)    /* unpacked bytes of a batch: what one read costs */
#define TRANSACTION_MAX (1024u * 1024) /* bytes of frames; an eighth of a smaller segment */
#define RAW_CAP (BATCH_RAW_MAX + EVENT_ENCODED_MAX + VARINT_MAX)
#define PACK_MIN 512		  /* smaller batches are not worth it */
#define SLACK_BYTES (128u * 1024) /* pages and log that a transaction needs beside its batches */

struct event_store {
	struct store_stream stream[EVENT_STREAMS];
	struct hostkey key;
	uint8_t boot[BOOT_ID_BYTES];
	uint64_t segment_max; /* of a full budget */
	int lock;
	struct hash *hash;
	uint8_t *raw, *packed; /* one batch each */
	uLong packed_cap;
	z_stream z;
	bool z_ready;
};

const struct hostkey *store_host(const struct event_store *s)
{
	return &s->key;
}

/* ---- writing ---- */

static void pack(struct event_store *s, struct segment_batch *b)
{
	if (b->raw_len < PACK_MIN || !s->z_ready || deflateReset(&s->z) != Z_OK)
		return;
	s->z.next_in = s->raw;
	s->z.avail_in = b->raw_len;
	s->z.next_out = s->packed;
	s->z.avail_out = (uInt)s->packed_cap;
	if (deflate(&s->z, Z_FINISH) != Z_STREAM_END || s->z.total_out > b->raw_len / 8 * 7)
		return;
	b->blob = s->packed;
	b->len = (uint32_t)s->z.total_out;
	b->packing = SEGMENT_ZLIB;
}

/* Gather frames from *at on into s->raw until a batch is full. */
static void gather(struct event_store *s, const uint8_t *frames, size_t len, size_t *at,
		   struct segment_batch *b)
{
	b->first_ns = UINT64_MAX;
	while (*at < len && b->raw_len < BATCH_RAW_MAX) {
		const struct store_frame *f = (const void *)(frames + *at);

		b->raw_len += (uint32_t)varint_put(s->raw + b->raw_len, f->len);
		memcpy(s->raw + b->raw_len, f + 1, f->len);
		b->raw_len += f->len;
		b->last_seq++;
		segment_part_bits(f->part, &b->modules, &b->services);
		b->severities |= 1u << (f->severity & 31);
		if (f->time_ns < b->first_ns)
			b->first_ns = f->time_ns;
		if (f->time_ns > b->last_ns)
			b->last_ns = f->time_ns;
		*at += STORE_FRAME_BYTES(f->len);
	}
	b->blob = s->raw;
	b->len = b->raw_len;
}

struct position { /* of a stream: what a transaction moves */
	uint64_t seq, first_ns, last_ns;
	uint8_t chain[HASH_BYTES];
};

static int put_batches(struct event_store *s, struct store_stream *st, const uint8_t *frames,
		       size_t len, bool packed, struct position *pos)
{
	for (size_t at = 0; at < len;) {
		struct segment_batch b = { .first_seq = pos->seq + 1, .last_seq = pos->seq };
		int r;

		gather(s, frames, len, &at, &b);
		memcpy(b.boot, s->boot, sizeof(b.boot));
		if (packed)
			pack(s, &b);
		r = segment_batch_hash(s->hash, pos->chain, &b, b.chain);
		if (!r)
			r = segment_put(st->open, &b);
		if (r < 0)
			return r;
		memcpy(pos->chain, b.chain, sizeof(b.chain));
		pos->seq = b.last_seq;
		if (!pos->first_ns || b.first_ns < pos->first_ns)
			pos->first_ns = b.first_ns;
		if (b.last_ns > pos->last_ns)
			pos->last_ns = b.last_ns;
	}
	return 0;
}

/* One transaction. */
static int append(struct event_store *s, struct store_stream *st, const uint8_t *frames, size_t len,
		  bool packed)
{
	struct store_info *in;
	struct position pos;
	int r = stream_ready(st);

	if (!r && stream_newest(st)->bytes + len + SLACK_BYTES > st->segment_max &&
	    st->seq >= st->head.first_seq)
		r = stream_roll(st);
	if (!r) /* twice: first in the log, then in the file */
		r = stream_make_room(st, 2 * len + SLACK_BYTES);
	if (r < 0)
		return r;
	in = stream_newest(st);
	pos = (struct position){ st->seq, in->first_ns, in->last_ns, { 0 } };
	memcpy(pos.chain, st->chain, sizeof(pos.chain));
	r = segment_begin(st->open);
	if (!r)
		r = put_batches(s, st, frames, len, packed, &pos);
	if (r < 0) {
		segment_rollback(st->open);
		return r;
	}
	r = segment_commit(st->open);
	if (r < 0) { /* which does not say whether it is done: look */
		int again;

		segment_rollback(st->open);
		again = stream_reopen(st);
		return again < 0 ? again : st->seq == pos.seq ? 0 : r;
	}
	st->seq = in->last_seq = pos.seq;
	memcpy(st->chain, pos.chain, sizeof(st->chain));
	in->first_ns = pos.first_ns;
	in->last_ns = pos.last_ns;
	stream_measure(st, in);
	return 0;
}

static int append_or_repair(struct event_store *s, struct store_stream *st, const uint8_t *frames,
			    size_t len, bool packed)
{
	struct store_stream *noise = &s->stream[EVENT_TELEMETRY];
	int r = append(s, st, frames, len, packed);

	if (r == -EUCLEAN && !st->ended) {
		stream_set_aside(st, r);
		r = append(s, st, frames, len, packed);
	}
	/* Findings outlive noise: on a full disk telemetry gives way, a segment at a time. */
	while (r == -ENOSPC && st != noise && stream_may_drop(noise)) {
		stream_drop_oldest(noise);
		r = append(s, st, frames, len, packed);
	}
	return r;
}

int store_append(struct event_store *s, enum event_stream stream, const void *frames, size_t len,
		 bool packed, size_t *done)
{
	struct store_stream *st = &s->stream[stream];
	size_t max = st->segment_max / 8 < TRANSACTION_MAX ? st->segment_max / 8 : TRANSACTION_MAX;
	const uint8_t *p = frames;
	int r = 0;

	for (*done = 0; *done < len && !r;) {
		size_t n = 0;

		while (*done + n < len && n < max)
			n += STORE_FRAME_BYTES(((const struct store_frame *)(p + *done + n))->len);
		r = append_or_repair(s, st, p + *done, n, packed);
		if (!r)
			*done += n;
	}
	return r;
}

unsigned store_expire(struct event_store *s, uint64_t wall_ns)
{
	uint64_t gone = 0;

	for (int i = 0; i < EVENT_STREAMS; i++) {
		uint64_t before = s->stream[i].expired_segments;

		stream_expire(&s->stream[i], wall_ns);
		gone += s->stream[i].expired_segments - before;
	}
	return (unsigned)gone;
}

/* ---- budgets ---- */

static void set_budget(struct event_store *s, enum event_stream id, uint64_t bytes_max,
		       uint32_t days_max)
{
	struct store_stream *st = &s->stream[id];

	st->bytes_max = bytes_max > STORE_BYTES_MIN ? bytes_max : STORE_BYTES_MIN;
	st->segment_max = s->segment_max < st->bytes_max / 8 ? s->segment_max : st->bytes_max / 8;
	st->days_max = days_max;
}

void store_budgets(struct event_store *s, const uint64_t bytes_max[EVENT_STREAMS],
		   const uint32_t days_max[EVENT_STREAMS])
{
	for (int i = 0; i < EVENT_STREAMS; i++)
		set_budget(s, (enum event_stream)i, bytes_max[i], days_max[i]);
}

bool store_trim(struct event_store *s)
{
	bool more = false;

	for (int i = 0; i < EVENT_STREAMS; i++)
		more |= stream_trim(&s->stream[i]);
	return more;
}

/* ---- the whole ---- */

static int make_dir(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static void read_boot_id(uint8_t out[BOOT_ID_BYTES])
{
	kmn_auto(fd) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[64], hex[33];
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;
	size_t len = 0;

	for (ssize_t i = 0; i < n && len < 32; i++)
		if (text[i] != '-')
			hex[len++] = text[i];
	if (!hex_bytes(hex, len, out, BOOT_ID_BYTES))
		memset(out, 0, BOOT_ID_BYTES); /* no /proc: not known */
}

static int open_one(struct event_store *s, const struct store_config *c, const char *events,
		    enum event_stream id)
{
	struct store_stream *st = &s->stream[id];
	int r;

	st->id = id;
	set_budget(s, id, c->bytes_max[id], c->days_max[id]);
	st->key = &s->key;
	st->boot = s->boot;
	st->hash = s->hash;
	st->on_damaged = c->damaged;
	st->arg = c->arg;
	(void)snprintf(st->dir, sizeof(st->dir), "%s/%s", events, event_stream_name((uint8_t)id));
	r = make_dir(st->dir);
	if (!r)
		r = stream_open(st);
	return r < 0 ? kmn_err(r, "event: store: open %s", st->dir) : 0;
}

static int open_all(struct event_store *s, const struct store_config *c)
{
	char events[PATH_MAX - 64];
	int r;

	r = hostkey_open(c->state_dir, &s->key);
	if (r < 0)
		return r; /* logged */
	if ((size_t)snprintf(events, sizeof(events), "%s/events", c->state_dir) >= sizeof(events))
		return kmn_err(-ENAMETOOLONG, "event: store: %s", c->state_dir);
	r = make_dir(events);
	if (r < 0)
		return kmn_err(r, "event: store: make %s", events);
	s->lock = open(events, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock < 0)
		return kmn_err(-errno, "event: store: %s", events);
	if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
		return kmn_err(errno == EWOULDBLOCK ? -EBUSY : -errno,
			       "event: store: %s: another sensor writes it", events);
	for (int i = 0; i < EVENT_STREAMS && !r; i++)
		r = open_one(s, c, events, (enum event_stream)i);
	return r;
}

int store_open(const struct store_config *c, struct event_store **out)
{
	struct event_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->lock = -1;
	s->segment_max = c->segment_max ? c->segment_max : SEGMENT_BYTES_MAX;
	s->hash = hash_new();
	s->raw = malloc(RAW_CAP);
	s->packed_cap = compressBound(RAW_CAP);
	s->packed = malloc(s->packed_cap);
	s->z_ready = deflateInit(&s->z, 1) == Z_OK; /* else batches stay plain */
	read_boot_id(s->boot);
	r = s->hash && s->raw && s->packed ? open_all(s, c) : -ENOMEM;
	if (r < 0) {
		store_close(s);
		return r;
	}
	*out = s;
	return 0;
}

void store_close(struct event_store *s)
{
	if (!s)
		return;
	for (int i = 0; i < EVENT_STREAMS; i++)
		stream_close(&s->stream[i]);
	if (s->z_ready)
		(void)deflateEnd(&s->z);
	hash_free(s->hash);
	free(s->raw);
	free(s->packed);
	kmn_auto_fd(&s->lock);
	explicit_bzero(&s->key, sizeof(s->key));
	free(s);
}

void store_stats(const struct event_store *s, enum event_stream stream, struct store_stats *out)
{
	const struct store_stream *st = &s->stream[stream];

	*out = (struct store_stats){ .seq = st->seq,
				     .bytes = stream_bytes(st),
				     .bytes_max = st->bytes_max,
				     .expired_events = st->expired_events,
				     .expired_segments = st->expired_segments,
				     .segments = st->n - st->damaged,
				     .damaged = st->damaged,
				     .days_max = st->days_max };
	for (uint32_t i = 0; i < st->n && !out->first_seq; i++)
		if (!st->list[i].damaged && st->list[i].last_seq >= st->list[i].first_seq) {
			out->first_seq = st->list[i].first_seq;
			out->oldest_ns = st->list[i].first_ns;
		}
}
