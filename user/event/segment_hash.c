#include <errno.h>
#include <string.h>
#include "base/auto.h"
#include "event/segment.h"

KMN_AUTO_DEFINE(struct hash *, hash_free)

static void add_seal(struct hash *h, const struct segment_seal *s)
{
	hash_u64(h, s->number);
	hash_u64(h, s->first_seq);
	hash_u64(h, s->last_seq);
	hash_u64(h, s->batches);
	hash_add(h, s->final, sizeof(s->final));
}

int segment_head_hash(const struct segment_head *head, uint8_t out[HASH_BYTES])
{
	kmn_auto(hash_free) struct hash *h = hash_new();

	if (!h)
		return -ENOMEM;
	hash_begin(h);
	hash_add(h, "komainu head 1", 14);
	hash_add(h, head->public_key, sizeof(head->public_key));
	hash_u64(h, head->stream);
	hash_u64(h, head->number);
	hash_add(h, head->boot, sizeof(head->boot));
	hash_u64(h, head->created_ns);
	hash_u64(h, head->first_seq);
	hash_u64(h, head->gap);
	add_seal(h, &head->prev);
	hash_add(h, head->prev.signature, sizeof(head->prev.signature));
	return hash_end(h, out);
}

int segment_batch_hash(struct hash *h, const uint8_t prev[HASH_BYTES],
		       const struct segment_batch *b, uint8_t out[HASH_BYTES])
{
	hash_begin(h);
	hash_add(h, prev, HASH_BYTES);
	hash_u64(h, b->first_seq);
	hash_u64(h, b->last_seq);
	hash_u64(h, b->first_ns);
	hash_u64(h, b->last_ns);
	hash_u64(h, b->modules);
	hash_u64(h, b->services);
	hash_u64(h, b->severities);
	hash_u64(h, b->packing);
	hash_u64(h, b->raw_len);
	hash_add(h, b->boot, sizeof(b->boot));
	hash_u64(h, b->len);
	hash_add(h, b->blob, b->len);
	return hash_end(h, out);
}

int segment_seal_hash(const struct segment_head *head, const struct segment_seal *s,
		      uint8_t out[HASH_BYTES])
{
	kmn_auto(hash_free) struct hash *h = hash_new();

	if (!h)
		return -ENOMEM;
	hash_begin(h);
	hash_add(h, "komainu seal 1", 14);
	hash_add(h, head->public_key, sizeof(head->public_key));
	hash_u64(h, head->stream);
	add_seal(h, s);
	return hash_end(h, out);
}

int segment_seal_verify(const struct segment_head *head, const struct segment_seal *s)
{
	uint8_t sum[HASH_BYTES];
	int r = segment_seal_hash(head, s, sum);

	return r < 0 ? r : sign_verify(head->public_key, sum, sizeof(sum), s->signature);
}
