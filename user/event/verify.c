#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "event/encode.h"
#include "event/segment.h"
#include "event/store_dir.h"
#include "event/verify.h"

KMN_AUTO_DEFINE(struct hash *, hash_free)
KMN_AUTO_DEFINE(struct segment *, segment_close)

struct check {
	void (*say)(void *arg, const char *what);
	void *arg;
	struct verify_result *out;
	struct hash *hash;
	const struct hostkey *key;
	uint8_t stream;
	uint32_t number; /* of the segment in hand, for the sentences */
	/* how the segment before ended */
	bool have_prev, prev_sealed, prev_damaged;
	uint32_t prev_number;
	uint64_t prev_last_seq;
	struct segment_seal prev;
};

static void problem(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void problem(struct check *c, const char *fmt, ...)
{
	char what[400], line[460];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)snprintf(line, sizeof(line), "%s segment %u: %s", event_stream_name(c->stream),
		       c->number, what);
	c->out->problems++;
	c->say(c->arg, line);
}

static bool same_seal(const struct segment_seal *a, const struct segment_seal *b)
{
	return a->number == b->number && a->first_seq == b->first_seq &&
	       a->last_seq == b->last_seq && a->batches == b->batches &&
	       !memcmp(a->final, b->final, sizeof(a->final)) &&
	       !memcmp(a->signature, b->signature, sizeof(a->signature));
}

static void check_seam(struct check *c, const struct segment_head *h)
{
	const struct segment_seal *prev = &h->prev;

	if (h->gap == SEGMENT_BROKEN)
		problem(c,
			"the sensor began it after a damaged segment: events before number %llu "
			"may be missing",
			(unsigned long long)h->first_seq);
	if (h->gap == SEGMENT_FIRST && c->have_prev)
		problem(c, "it says that it is the first one, but segment %u is there",
			c->prev_number);
	if (h->gap != SEGMENT_JOINED)
		return;
	if (segment_seal_verify(h, prev) < 0)
		problem(c, "the signature of the segment before (%u) is wrong", prev->number);
	if (prev->last_seq + 1 != h->first_seq || prev->number >= h->number)
		problem(c,
			"it does not follow the segment that it names (%u, ending with number "
			"%llu)",
			prev->number, (unsigned long long)prev->last_seq);
	if (!c->have_prev || c->prev_damaged)
		return; /* the oldest one: what was before has expired */
	if (prev->number != c->prev_number) {
		problem(c, "the segment before it, %u, is missing", prev->number);
		if (h->first_seq > c->prev_last_seq + 1)
			c->out->missing += h->first_seq - c->prev_last_seq - 1;
	} else if (!c->prev_sealed) {
		problem(c, "the segment before it (%u) has lost its seal", prev->number);
	} else if (!same_seal(prev, &c->prev)) {
		problem(c,
			"the segment before it (%u) did not end like this: it was changed or "
			"exchanged",
			prev->number);
	}
}

static int check_head(struct check *c, struct segment *seg, struct segment_head *h,
		      uint8_t chain[HASH_BYTES])
{
	char id[HOST_ID_TEXT];
	int r = segment_get_head(seg, h);

	if (r < 0)
		return r;
	hostkey_id(h->public_key, id);
	if (strcmp(id, h->host_id) != 0)
		problem(c, "its host id does not belong to its key");
	if (c->key && memcmp(c->key->public_key, h->public_key, sizeof(h->public_key)) != 0)
		problem(c, "it was written by another host (%s)", id);
	if (!*c->out->host_id)
		memcpy(c->out->host_id, id, sizeof(id));
	else if (strcmp(c->out->host_id, id) != 0)
		problem(c, "its host is %s, that of the segments before is %s", id,
			c->out->host_id);
	if (h->number != c->number || h->stream != c->stream)
		problem(c, "it is segment %u of %s, not the one that its name says", h->number,
			event_stream_name(h->stream));
	check_seam(c, h);
	return segment_head_hash(h, chain);
}

/* As many events as its numbers say, each decodes. */
static bool batch_sound(struct segment *seg, const struct segment_batch *b)
{
	const uint8_t *raw;
	uint64_t n = 0, len;
	struct event ev;

	if (segment_unpack(seg, b, &raw) < 0)
		return false;
	for (size_t at = 0, used; at < b->raw_len; at += used + len, n++) {
		used = varint_get(raw + at, b->raw_len - at, &len);
		if (!used || len > b->raw_len - at - used ||
		    event_decode(raw + at + used, len, &ev) < 0)
			return false;
	}
	return n == b->last_seq - b->first_seq + 1;
}

struct walk {
	uint64_t batches, seq;
	uint8_t chain[HASH_BYTES];
};

static int check_batches(struct check *c, struct segment *seg, struct walk *w)
{
	struct segment_batch b;
	uint8_t sum[HASH_BYTES];
	int r;

	while ((r = segment_get_batch(seg, NULL, w->seq + 1, false, &b)) > 0) {
		if (b.first_seq != w->seq + 1) {
			problem(c, "numbers %llu to %llu are missing",
				(unsigned long long)w->seq + 1,
				(unsigned long long)b.first_seq - 1);
			c->out->missing += b.first_seq - w->seq - 1;
		}
		r = segment_batch_hash(c->hash, w->chain, &b, sum);
		if (r < 0)
			return r;
		if (memcmp(sum, b.chain, sizeof(sum)) != 0)
			problem(c,
				"the batch with numbers %llu to %llu, or the one before it, was "
				"changed",
				(unsigned long long)b.first_seq, (unsigned long long)b.last_seq);
		else if (!batch_sound(seg, &b))
			problem(c, "the batch with numbers %llu to %llu cannot be read",
				(unsigned long long)b.first_seq, (unsigned long long)b.last_seq);
		memcpy(w->chain, b.chain, sizeof(b.chain)); /* so that one change is said once */
		if (b.last_seq <= w->seq)
			return -EUCLEAN;
		c->out->events += b.last_seq - b.first_seq + 1;
		if (!c->out->first_seq) {
			c->out->first_seq = b.first_seq;
			c->out->oldest_ns = b.first_ns;
		}
		c->out->newest_ns = b.last_ns;
		w->seq = c->out->last_seq = b.last_seq;
		w->batches++;
	}
	c->out->batches += w->batches;
	return r;
}

static int check_seal(struct check *c, struct segment *seg, const struct segment_head *h,
		      const struct walk *w)
{
	int r = segment_get_seal(seg, &c->prev);

	c->prev_sealed = !r;
	if (r == -ENOENT) {
		c->out->unsealed = w->seq + 1 - h->first_seq;
		return 0;
	}
	if (r < 0)
		return r;
	c->out->sealed++;
	if (segment_seal_verify(h, &c->prev) < 0)
		problem(c, "its signature is wrong");
	if (c->prev.last_seq != w->seq || c->prev.batches != w->batches ||
	    c->prev.first_seq != h->first_seq || c->prev.number != h->number)
		problem(c,
			"it was sealed with numbers %llu to %llu in %llu batches, and ends with "
			"%llu after %llu",
			(unsigned long long)c->prev.first_seq, (unsigned long long)c->prev.last_seq,
			(unsigned long long)c->prev.batches, (unsigned long long)w->seq,
			(unsigned long long)w->batches);
	else if (memcmp(c->prev.final, w->chain, sizeof(w->chain)) != 0)
		problem(c, "its chain does not end as it was sealed");
	return 0;
}

static int check_segment(struct check *c, const char *path)
{
	kmn_auto(segment_close) struct segment *seg = NULL;
	struct segment_head h;
	struct walk w = { 0 };
	int r = segment_open_read(path, &seg);

	if (!r)
		r = check_head(c, seg, &h, w.chain);
	if (!r) {
		w.seq = h.first_seq - 1;
		r = check_batches(c, seg, &w);
	}
	if (!r)
		r = check_seal(c, seg, &h, &w);
	if (r < 0)
		return r;
	c->out->segments++;
	c->have_prev = true;
	c->prev_damaged = false;
	c->prev_number = c->number;
	c->prev_last_seq = w.seq;
	return 0;
}

int event_verify(const char *state_dir, enum event_stream stream, const struct hostkey *key,
		 void (*say)(void *arg, const char *what), void *arg, struct verify_result *out)
{
	kmn_auto(hash_free) struct hash *hash = hash_new();
	struct check c = { .say = say,
			   .arg = arg,
			   .out = out,
			   .hash = hash,
			   .key = key,
			   .stream = (uint8_t)stream };
	struct segment_name *names = NULL;
	char dir[PATH_MAX - 32], path[PATH_MAX];
	int n, r = hash ? 0 : -ENOMEM;

	memset(out, 0, sizeof(*out));
	(void)snprintf(dir, sizeof(dir), "%s/events/%s", state_dir,
		       event_stream_name((uint8_t)stream));
	n = segment_list(dir, false, &names);
	for (int i = 0; i < n && !r; i++) {
		c.number = names[i].number;
		segment_path(dir, names[i].number, names[i].damaged, path, sizeof(path));
		if (!names[i].damaged)
			r = check_segment(&c, path);
		if (names[i].damaged || r == -EUCLEAN) {
			problem(&c, "it is damaged and cannot be read to its end (%s)", path);
			out->damaged++;
			c.prev_damaged = true;
			r = 0;
		} else if (r == -ENOENT) {
			r = 0; /* expired while we looked */
		}
	}
	free(names);
	return n < 0 ? n : r;
}
