#include <errno.h>
#include <string.h>
#include "event/encode.h"
#include "event/encode_keys.h"

struct in {
	const uint8_t *p, *end;
};

/* One field as read: number, or text (for WIRE_ADDRESS its bytes). */
struct item {
	uint32_t key;
	enum wire wire;
	uint64_t number;
	struct text text;
	uint64_t whole; /* length before the cut, 0 = not cut */
};

size_t varint_get(const uint8_t *in, size_t len, uint64_t *v)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len && i < VARINT_MAX; i++) {
		if (i == VARINT_MAX - 1 && in[i] > 1) /* the 64th bit is the last */
			return 0;
		value |= (uint64_t)(in[i] & 0x7f) << (7 * i);
		if (!(in[i] & 0x80)) {
			*v = value;
			return i + 1;
		}
	}
	return 0;
}

static bool get_varint(struct in *in, uint64_t *v)
{
	size_t n = varint_get(in->p, (size_t)(in->end - in->p), v);

	in->p += n;
	return n != 0;
}

static bool get_bytes(struct in *in, uint64_t len, struct text *t)
{
	if (len > (uint64_t)(in->end - in->p) || len > UINT32_MAX)
		return false;
	*t = (struct text){ (const char *)in->p, (uint32_t)len };
	in->p += len;
	return true;
}

static bool get_item(struct in *in, struct item *it)
{
	uint64_t key, len;

	*it = (struct item){ 0 };
	if (!get_varint(in, &key) || key >> 2 > UINT32_MAX)
		return false;
	it->key = (uint32_t)(key >> 2);
	it->wire = (enum wire)(key & 3);
	switch (it->wire) {
	case WIRE_NUMBER:
		return get_varint(in, &it->number);
	case WIRE_CUT:
		if (!get_varint(in, &it->whole))
			return false;
		/* fall through */
	case WIRE_BYTES:
		return get_varint(in, &len) && get_bytes(in, len, &it->text) &&
		       (it->wire == WIRE_BYTES || it->whole > len);
	case WIRE_ADDRESS:
		return in->p < in->end && (*in->p == 4 || *in->p == 16) &&
		       get_bytes(in, *in->p++, &it->text);
	}
	return false;
}

/* Each returns false when the field has another type, or the number is too big for its place. */
static bool take_number(const struct item *it, uint64_t max, uint64_t *v)
{
	*v = it->number;
	return it->wire == WIRE_NUMBER && it->number <= max;
}

static bool take_u64(const struct item *it, uint64_t *out)
{
	return take_number(it, UINT64_MAX, out);
}

static bool take_u32(const struct item *it, uint32_t *out)
{
	uint64_t v;
	bool ok = take_number(it, UINT32_MAX, &v);

	*out = (uint32_t)v;
	return ok;
}

static bool take_u8(const struct item *it, uint8_t *out)
{
	uint64_t v;
	bool ok = take_number(it, UINT8_MAX, &v);

	*out = (uint8_t)v;
	return ok;
}

static bool take_text(const struct item *it, struct event *ev, struct text *out)
{
	if (it->wire != WIRE_BYTES && it->wire != WIRE_CUT)
		return false;
	*out = it->text;
	if (it->whole && ev->n_cuts < EVENT_CUTS_MAX)
		ev->cuts[ev->n_cuts++] = (struct event_cut){ it->text.p, it->whole };
	return true;
}

/* The bytes of a message inside the message. */
static bool enter(const struct item *message, struct in *in)
{
	if (message->wire != WIRE_BYTES)
		return false;
	in->p = (const uint8_t *)message->text.p;
	in->end = in->p + message->text.len;
	return true;
}

static bool take_of_process(const struct item *it, struct event *ev, struct process_view *p)
{
	bool ok;

	switch (it->key) {
	case P_PID:
		return take_u32(it, &p->pid);
	case P_PPID:
		return take_u32(it, &p->ppid);
	case P_UID:
		return take_u32(it, &p->uid);
	case P_EUID:
		return take_u32(it, &p->euid);
	case P_GID:
		return take_u32(it, &p->gid);
	case P_LOGIN_UID:
		ok = take_u32(it, &p->login_uid);
		p->login_uid--;
		return ok;
	case P_START:
		return take_u64(it, &p->start_ns);
	case P_FLAGS:
		return take_u32(it, &p->flags);
	case P_SOURCE:
		return take_u32(it, &p->source);
	case P_EXE_INO:
		return take_u64(it, (uint64_t *)&p->exe_id.ino);
	case P_EXE_DEV:
		return take_u32(it, &p->exe_id.dev);
	case P_EXE_GEN:
		return take_u32(it, &p->exe_id.gen);
	case P_EXE:
		return take_text(it, ev, &p->exe);
	case P_ARGS:
		return take_text(it, ev, &p->args);
	case P_CWD:
		return take_text(it, ev, &p->cwd);
	case P_USER:
		return take_text(it, ev, &p->user);
	}
	return true; /* of a newer sensor: skipped */
}

static bool get_process(const struct item *message, struct event *ev)
{
	struct process_view *p;
	struct item it;
	struct in in;

	if (!enter(message, &in))
		return false;
	if (ev->who.n == PROCESS_CHAIN) /* a longer chain, by a newer sensor */
		return true;
	p = &ev->who.p[ev->who.n++];
	p->login_uid = UINT32_MAX;
	while (in.p < in.end)
		if (!get_item(&in, &it) || !take_of_process(&it, ev, p))
			return false;
	return true;
}

static bool get_container(const struct item *message, struct event *ev)
{
	struct container_view *c = &ev->who.container;
	struct item it;
	struct in in;
	bool ok = enter(message, &in);

	while (ok && in.p < in.end) {
		if (!get_item(&in, &it))
			return false;
		switch (it.key) {
		case C_ID:
			ok = take_text(&it, ev, &c->id);
			break;
		case C_RUNTIME:
			ok = take_text(&it, ev, &c->runtime);
			break;
		case C_NAME:
			ok = take_text(&it, ev, &c->name);
			break;
		case C_IMAGE:
			ok = take_text(&it, ev, &c->image);
			break;
		case C_POD:
			ok = take_text(&it, ev, &c->pod);
			break;
		case C_NAMESPACE:
			ok = take_text(&it, ev, &c->namespace_);
			break;
		case C_CGROUP:
			ok = take_u64(&it, &c->cgroup_id);
			break;
		}
	}
	return ok;
}

/* The payload says the type, so that fields of a newer sensor are kept too. */
static bool get_field(const struct item *it, struct event *ev)
{
	struct event_field *f;

	if (ev->n == EVENT_FIELDS_MAX || it->key - K_FIELDS > UINT16_MAX) {
		ev->left_out++;
		return true;
	}
	f = &ev->fields[ev->n++];
	memset(f, 0, sizeof(*f));
	f->id = (uint16_t)(it->key - K_FIELDS);
	switch (it->wire) {
	case WIRE_NUMBER:
		f->type = EVENT_U64;
		f->u = it->number;
		return true;
	case WIRE_BYTES:
	case WIRE_CUT:
		f->type = EVENT_TEXT;
		return take_text(it, ev, &f->text);
	case WIRE_ADDRESS:
		f->type = EVENT_IP;
		if (it->text.len == 4)
			f->ip[10] = f->ip[11] = 0xff;
		memcpy(f->ip + 16 - it->text.len, it->text.p, it->text.len);
		return true;
	}
	return false;
}

static bool get_top(const struct item *it, struct event *ev)
{
	switch (it->key) {
	case K_TIME:
		return take_u64(it, &ev->time_ns);
	case K_BOOT:
		return take_u64(it, &ev->boot_ns);
	case K_GEN:
		return take_u64(it, &ev->gen);
	case K_COUNT:
		return take_u64(it, &ev->count);
	case K_PART:
		return take_u8(it, &ev->part);
	case K_KIND:
		return take_u8(it, &ev->kind);
	case K_STREAM:
		return take_u8(it, &ev->stream);
	case K_SEVERITY:
		return take_u8(it, &ev->severity);
	case K_ACTION:
		return take_u8(it, &ev->action);
	case K_MODE:
		return take_u8(it, &ev->mode);
	case K_VIA:
		return take_u8(it, &ev->via);
	case K_RULE_ID:
		return take_u32(it, &ev->rule_id);
	case K_RULE:
		return take_text(it, ev, &ev->rule);
	case K_MESSAGE:
		return take_text(it, ev, &ev->message);
	case K_PID:
		return take_u32(it, &ev->pid);
	case K_START:
		return take_u64(it, &ev->start_ns);
	case K_CGROUP:
		return take_u64(it, &ev->cgroup_id);
	case K_LEFT_OUT:
		return take_u32(it, &ev->left_out);
	case K_PROCESS:
		return get_process(it, ev);
	case K_CONTAINER:
		return get_container(it, ev);
	}
	return it->key < K_FIELDS || get_field(it, ev); /* else unknown: skipped */
}

int event_decode(const void *data, size_t len, struct event *ev)
{
	struct in in = { data, (const uint8_t *)data + len };
	struct item it;

	memset(ev, 0, offsetof(struct event, fields));
	if (!len)
		return -EBADMSG;
	if (*in.p++ != EVENT_ENCODING)
		return -EPROTONOSUPPORT;
	while (in.p < in.end)
		if (!get_item(&in, &it) || !get_top(&it, ev))
			return -EBADMSG;
	return 0;
}
