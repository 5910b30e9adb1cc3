/* Any bytes as a record from a ring, against the kinds of every part of the binary: refused for one
 * of the reasons, or taken, and never read beyond its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "event/record.h"
#include "registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KINDS_MAX 64

/* What a part makes of a record needs the running part; that it was let through is enough here. */
static int enrich(void *self, const struct kmn_event *rec, struct event *ev)
{
	(void)self;
	ev->count = rec->size;
	return 1;
}

static const struct event_kinds *all_kinds(void)
{
	static struct kmn_event_kind copy[KMN_PARTS][KINDS_MAX];
	static struct event_kinds kinds;

	if (kinds.part[0].name)
		return &kinds;
	event_kinds_roof(&kinds, &kmn_roof);
	for (unsigned p = 0; p < KMN_PARTS; p++) {
		const struct kmn_event_kind *k = kinds.part[p].kinds;

		for (unsigned i = 0; k && k[i].kind && i + 1 < KINDS_MAX; i++) {
			copy[p][i] = k[i];
			if (k[i].enrich)
				copy[p][i].enrich = enrich;
		}
		if (k)
			kinds.part[p].kinds = copy[p];
	}
	return &kinds;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event ev;
	void *rec = malloc(size ? size : 1); /* exact, so that ASan sees one byte too many */
	int r;

	if (!rec)
		abort();
	memcpy(rec, data, size);
	r = record_read(all_kinds(), rec, (uint32_t)size, &ev);
	if (r < 0 && RECORD_REFUSAL(r) >= RING_REFUSALS)
		abort();
	if (size >= sizeof(struct kmn_event)) { /* again as a record whose head is in order */
		struct kmn_event *head = rec;

		head->size = (uint32_t)size;
		r = record_read(all_kinds(), rec, (uint32_t)size, &ev);
		if (r > 0 && ev.count != size)
			abort();
	}
	free(rec);
	return 0;
}
