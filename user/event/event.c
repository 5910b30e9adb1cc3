#include <string.h>
#include "core/module.h"
#include "event/event.h"
#include "event/sensor_kinds.h"
#include "event/texts.h"

#define EVENT_TEXTS_MAX_BYTES (128 * 1024) /* of all texts together, else all are cut shorter */
#define EVENT_TEXT_SHORT 512

void event_init(struct event *ev, uint8_t part, uint8_t kind, enum event_stream stream)
{
	memset(ev, 0, offsetof(struct event, fields));
	ev->part = part;
	ev->kind = kind;
	ev->stream = (uint8_t)stream;
	ev->severity = EVENT_INFO;
	ev->count = 1;
}

static struct event_field *add_field(struct event *ev, enum event_field_id id, uint8_t type)
{
	struct event_field *f;

	if (ev->n >= EVENT_FIELDS_MAX) {
		ev->left_out++;
		return NULL;
	}
	f = &ev->fields[ev->n++];
	f->id = (uint16_t)id;
	f->type = type;
	return f;
}

void event_u64(struct event *ev, enum event_field_id id, uint64_t v)
{
	struct event_field *f = add_field(ev, id, EVENT_U64);

	if (f)
		f->u = v;
}

void event_text(struct event *ev, enum event_field_id id, struct text v)
{
	struct event_field *f = v.p ? add_field(ev, id, EVENT_TEXT) : NULL;

	if (f)
		f->text = v;
}

void event_ip(struct event *ev, enum event_field_id id, const __u32 ip_be[4])
{
	struct event_field *f = add_field(ev, id, EVENT_IP);

	if (f)
		memcpy(f->ip, ip_be, sizeof(f->ip));
}

const struct event_field *event_get(const struct event *ev, enum event_field_id id)
{
	for (uint32_t i = 0; i < ev->n; i++)
		if (ev->fields[i].id == (uint16_t)id)
			return &ev->fields[i];
	return NULL;
}

uint64_t event_get_u64(const struct event *ev, enum event_field_id id, uint64_t otherwise)
{
	const struct event_field *f = event_get(ev, id);

	return f && f->type == EVENT_U64 ? f->u : otherwise;
}

struct text event_get_text(const struct event *ev, enum event_field_id id)
{
	const struct event_field *f = event_get(ev, id);

	return f && f->type == EVENT_TEXT ? f->text : (struct text){ NULL, 0 };
}

/* ---- texts ---- */

struct text *event_text_at(struct event *ev, uint32_t *at, struct event_text_name *name)
{
	static const char *const of_process[] = { "exe", "args", "cwd", "user" };
	static const char *const of_container[] = { "id",    "runtime", "name",
						    "image", "pod",	"namespace" };
	const uint32_t processes = 4 * ev->who.n;
	struct container_view *c = &ev->who.container;
	struct text *const container[] = { &c->id,    &c->runtime, &c->name,
					   &c->image, &c->pod,	   &c->namespace_ };
	uint32_t i = (*at)++;

	*name = (struct event_text_name){ .index = -1 };
	if (i < 2) {
		name->of = "event";
		name->what = i ? "message" : "rule";
		return i ? &ev->message : &ev->rule;
	}
	i -= 2;
	if (i < processes) {
		struct process_view *p = &ev->who.p[i / 4];
		struct text *const t[] = { &p->exe, &p->args, &p->cwd, &p->user };

		*name = (struct event_text_name){ "process", of_process[i % 4], (int)(i / 4) };
		return t[i % 4];
	}
	i -= processes;
	if (i < 6) {
		name->of = "container";
		name->what = of_container[i];
		return container[i];
	}
	i -= 6;
	for (; i < ev->n; i++, (*at)++)
		if (ev->fields[i].type == EVENT_TEXT) {
			const char *what = event_field_name(ev->fields[i].id);

			*name = (struct event_text_name){ "field", what ? what : "unknown", -1 };
			return &ev->fields[i].text;
		}
	return NULL;
}

static void cut(struct event *ev, struct text *t, uint32_t max)
{
	if (t->len <= max)
		return;
	for (uint32_t i = 0; i <= ev->n_cuts; i++) {
		if (i < ev->n_cuts && ev->cuts[i].p != t->p)
			continue;
		if (i == ev->n_cuts && i < EVENT_CUTS_MAX)
			ev->cuts[ev->n_cuts++] = (struct event_cut){ t->p, t->len };
		break; /* one cut before keeps the length it had at first */
	}
	t->len = max;
}

/* As nearly every event: nothing to cut, without asking for the name of each text. */
static bool within_bounds(const struct event *ev)
{
	const struct container_view *c = &ev->who.container;
	uint64_t sum = (uint64_t)ev->rule.len + ev->message.len + c->id.len + c->runtime.len +
		       c->name.len + c->image.len + c->pod.len + c->namespace_.len;

	for (uint32_t i = 0; i < ev->who.n; i++) {
		const struct process_view *p = &ev->who.p[i];

		sum += (uint64_t)p->exe.len + p->args.len + p->cwd.len + p->user.len;
	}
	for (uint32_t i = 0; i < ev->n; i++)
		if (ev->fields[i].type == EVENT_TEXT)
			sum += ev->fields[i].text.len;
	return sum <= EVENT_TEXT_MAX;
}

void event_bound(struct event *ev)
{
	struct event_text_name name;
	struct text *t;
	uint64_t sum = 0;

	if (within_bounds(ev))
		return;
	for (uint32_t at = 0; (t = event_text_at(ev, &at, &name));) {
		cut(ev, t, ev->who.n && t == &ev->who.p[0].args ? EVENT_ARGS_MAX : EVENT_TEXT_MAX);
		sum += t->len;
	}
	if (sum <= EVENT_TEXTS_MAX_BYTES)
		return;
	for (uint32_t at = 0; (t = event_text_at(ev, &at, &name));)
		if (!ev->who.n || t != &ev->who.p[0].args)
			cut(ev, t, EVENT_TEXT_SHORT);
}

uint64_t event_cut_len(const struct event *ev, struct text t)
{
	for (uint32_t i = 0; i < ev->n_cuts && t.p; i++)
		if (ev->cuts[i].p == t.p && ev->cuts[i].len > t.len)
			return ev->cuts[i].len;
	return 0;
}

/* ---- names ---- */

const char *event_field_name(uint16_t id)
{
	static const char *const names[] = {
#define KMN_FIELD(id, name, type) [id] = #name,
#include "event/fields.def"
#undef KMN_FIELD
	};

	return id < sizeof(names) / sizeof(*names) ? names[id] : NULL;
}

#define NAME_OF(names, i) ((i) < sizeof(names) / sizeof(*(names)) && (names)[i] ? (names)[i] : "?")

const char *event_severity_name(uint8_t severity)
{
	static const char *const names[] = { NULL, "info", "low", "medium", "high", "critical" };

	return NAME_OF(names, severity);
}

const char *event_action_name(uint8_t action)
{
	static const char *const names[] = { "observed", "allowed", "denied", "would-deny",
					     "error" };

	return NAME_OF(names, action);
}

const char *event_via_name(uint8_t via)
{
	static const char *const names[] = { "none", "owner", "listener", "unknown" };

	return NAME_OF(names, via);
}

const char *event_stream_name(uint8_t stream)
{
	static const char *const names[] = { "findings", "telemetry" };

	return NAME_OF(names, stream);
}

/* ---- kinds ---- */

void event_kinds_init(struct event_kinds *k)
{
	memset(k, 0, sizeof(*k));
	event_kinds_add(k, KMN_PART_sensor, "sensor", sensor_kinds, NULL);
}

void event_kinds_add(struct event_kinds *k, uint8_t part, const char *name,
		     const struct kmn_event_kind *kinds, void *self)
{
	if (part < KMN_PARTS)
		k->part[part] = (struct event_part){ name, kinds, self };
}

void event_kinds_roof(struct event_kinds *k, const struct kmn_roof *roof)
{
	event_kinds_init(k);
	for (const struct kmn_part *const *p = roof->services; p && *p; p++)
		event_kinds_add(k, (*p)->id, (*p)->name, (*p)->kinds, NULL);
	for (const struct kmn_module *const *m = roof->modules; m && *m; m++)
		event_kinds_add(k, (*m)->part.id, (*m)->part.name, (*m)->part.kinds, NULL);
}

const struct kmn_event_kind *event_kind_find(const struct event_kinds *k, uint8_t part,
					     uint8_t kind)
{
	const struct kmn_event_kind *e = part < KMN_PARTS ? k->part[part].kinds : NULL;

	for (; e && e->kind; e++)
		if (e->kind == kind)
			return e;
	return NULL;
}

const char *event_part_name(const struct event_kinds *k, uint8_t part)
{
	return part < KMN_PARTS && k->part[part].name ? k->part[part].name : "unknown";
}
