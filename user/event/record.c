#include "event/record.h"

const char *const ring_refusal_names[RING_REFUSALS] = { "size",	     "part",	"kind",
							"kind_size", "unsound", "enrich" };

int record_read(const struct event_kinds *kinds, const void *rec, uint32_t len, struct event *ev)
{
	const struct kmn_event *head = rec;
	const struct kmn_event_kind *kind;
	const struct event_part *part;
	int r;

	if (len < sizeof(*head) || head->size != len)
		return RECORD_REFUSED(RING_BAD_SIZE);
	part = head->part < KMN_PARTS ? &kinds->part[head->part] : NULL;
	if (!part || !part->kinds)
		return RECORD_REFUSED(RING_UNKNOWN_PART);
	kind = event_kind_find(kinds, head->part, head->kind);
	if (!kind || !kind->enrich)
		return RECORD_REFUSED(RING_UNKNOWN_KIND);
	if (len < kind->size_min || len > kind->size_max)
		return RECORD_REFUSED(RING_BAD_KIND_SIZE);
	if (kind->check && !kind->check(head))
		return RECORD_REFUSED(RING_UNSOUND);
	event_init(ev, head->part, head->kind, kind->stream);
	ev->boot_ns = head->time_ns;
	ev->gen = head->gen;
	ev->pid = head->pid;
	ev->start_ns = head->start_ns;
	ev->cgroup_id = head->cgroup_id;
	r = kind->enrich(part->self, head, ev);
	return r < 0 ? RECORD_REFUSED(RING_NOT_ENRICHED) : r > 0;
}
