/* tool_render: events of every kind that the binary knows, as OCSF JSON, one per line: each with
 * every field, and with next to none. tests/conformance/judge_ocsf reads them. */
#include <stdio.h>
#include "base/buf.h"
#include "event/ocsf.h"
#include "event/reader.h"
#include "event/sample.h"
#include "registry.h"

static const struct {
	uint16_t id;
	uint8_t type;
} all_fields[] = {
#define KMN_FIELD(id, name, type) { id, type },
#include "event/fields.def"
#undef KMN_FIELD
};

/* The sample with every field; numbers small, so that they are of each enumeration where it has
 * one. */
static void full(struct event *ev)
{
	static const __u32 ip[4] = { 0, 0, 0xffff0000, 0x0100000a };

	sample_event(ev);
	ev->n = 0;
	for (size_t i = 0; i < sizeof(all_fields) / sizeof(*all_fields); i++) {
		if (all_fields[i].type == EVENT_U64)
			event_u64(ev, all_fields[i].id,
				  all_fields[i].id == EVENT_F_ip_version ? 4 : 1);
		else if (all_fields[i].type == EVENT_TEXT)
			event_text(ev, all_fields[i].id, text_of("some text"));
		else
			event_ip(ev, all_fields[i].id, ip);
	}
}

static int render(const struct event_kinds *kinds, uint8_t part, const struct kmn_event_kind *kind,
		  bool whole, enum event_action action)
{
	static const struct event_origin origin = {
		.host_id = "0123456789abcdef0123456789abcdef",
		.boot_id = "1c2d3e4f-0000-4000-8000-000000000002",
		.hostname = "host",
		.kernel = "6.1.0",
	};
	static char room[1 << 16];
	struct buf out = buf_fixed(room, sizeof(room));
	struct event ev;

	if (whole)
		full(&ev);
	else
		event_init(&ev, part, kind->kind, kind->stream);
	ev.pid = 1234; /* the least that a record of a process says */
	ev.part = part;
	ev.kind = kind->kind;
	ev.stream = kind->stream;
	ev.time_ns = 1790000000123456789ULL;
	ev.seq = 1;
	ev.action = action;
	if (!ocsf_event(&ev, kinds, &origin, &out))
		return 1;
	return puts(buf_text(&out)) < 0;
}

int main(void)
{
	static struct event_kinds kinds;
	int bad = 0;

	event_kinds_init(&kinds);
	event_kinds_roof(&kinds, &kmn_roof);
	for (unsigned part = 0; part < KMN_PARTS; part++) {
		const struct kmn_event_kind *kind = kinds.part[part].kinds;

		for (; kind && kind->kind; kind++) {
			if (!kind->text) /* a record that never becomes an event of its own */
				continue;
			for (int action = EVENT_OBSERVED; action <= EVENT_ERROR; action++) {
				bad |= render(&kinds, (uint8_t)part, kind, true, action);
				bad |= render(&kinds, (uint8_t)part, kind, false, action);
			}
		}
	}
	return bad;
}
