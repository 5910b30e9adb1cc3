#include <errno.h>
#include <limits.h>
#include <string.h>
#include "event/encode.h"
#include "event/encode_keys.h"

struct out {
	uint8_t *p, *end;
	bool full;
};

size_t varint_put(uint8_t *out, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

/* Is there room? If not nothing is put any more. */
static bool room(struct out *o, size_t n)
{
	if ((size_t)(o->end - o->p) >= n)
		return true;
	o->full = true;
	o->end = o->p;
	return false;
}

static void put_varint(struct out *o, uint64_t v)
{
	uint8_t bytes[VARINT_MAX];
	size_t n;

	if ((size_t)(o->end - o->p) >= VARINT_MAX) { /* mostly, and thousands of times a second */
		if (v < 0x80)
			*o->p++ = (uint8_t)v;
		else
			o->p += varint_put(o->p, v);
		return;
	}
	n = varint_put(bytes, v);
	if (!room(o, n))
		return;
	memcpy(o->p, bytes, n);
	o->p += n;
}

static void put_bytes(struct out *o, const void *data, size_t len)
{
	if (!room(o, len))
		return;
	if (len)
		memcpy(o->p, data, len);
	o->p += len;
}

static void put_key(struct out *o, uint32_t key, enum wire wire)
{
	put_varint(o, (uint64_t)key << 2 | wire);
}

static void put_number(struct out *o, uint32_t key, uint64_t v)
{
	if (!v) /* absent reads as 0 */
		return;
	put_key(o, key, WIRE_NUMBER);
	put_varint(o, v);
}

static void put_text(struct out *o, const struct event *ev, uint32_t key, struct text t)
{
	uint64_t whole = event_cut_len(ev, t);

	if (!t.p)
		return;
	put_key(o, key, whole ? WIRE_CUT : WIRE_BYTES);
	if (whole)
		put_varint(o, whole);
	put_varint(o, t.len);
	put_bytes(o, t.p, t.len);
}

/* A message inside the message: its length is written when it is known, in three bytes (a varint
 * may have leading zeros), which is enough for 2 MiB. */
static uint8_t *begin(struct out *o, uint32_t key)
{
	static const uint8_t length[3];
	uint8_t *at;

	put_key(o, key, WIRE_BYTES);
	at = o->p;
	put_bytes(o, length, sizeof(length));
	return at;
}

static void end(struct out *o, uint8_t *at)
{
	size_t len;

	if (o->full)
		return;
	len = (size_t)(o->p - at) - 3;
	at[0] = (uint8_t)(len | 0x80);
	at[1] = (uint8_t)(len >> 7 | 0x80);
	at[2] = (uint8_t)(len >> 14 & 0x7f);
}

static void put_process(struct out *o, const struct event *ev, const struct process_view *p)
{
	uint8_t *at = begin(o, K_PROCESS);

	put_number(o, P_PID, p->pid);
	put_number(o, P_PPID, p->ppid);
	put_number(o, P_UID, p->uid);
	put_number(o, P_EUID, p->euid);
	put_number(o, P_GID, p->gid);
	put_number(o, P_LOGIN_UID, (uint32_t)(p->login_uid + 1));
	put_number(o, P_START, p->start_ns);
	put_number(o, P_FLAGS, p->flags);
	put_number(o, P_SOURCE, p->source);
	put_number(o, P_EXE_INO, p->exe_id.ino);
	put_number(o, P_EXE_DEV, p->exe_id.dev);
	put_number(o, P_EXE_GEN, p->exe_id.gen);
	put_text(o, ev, P_EXE, p->exe);
	put_text(o, ev, P_ARGS, p->args);
	put_text(o, ev, P_CWD, p->cwd);
	put_text(o, ev, P_USER, p->user);
	end(o, at);
}

static void put_container(struct out *o, const struct event *ev, const struct container_view *c)
{
	uint8_t *at;

	if (!c->id.p && !c->runtime.p && !c->name.p && !c->image.p && !c->pod.p &&
	    !c->namespace_.p && !c->cgroup_id)
		return;
	at = begin(o, K_CONTAINER);
	put_text(o, ev, C_ID, c->id);
	put_text(o, ev, C_RUNTIME, c->runtime);
	put_text(o, ev, C_NAME, c->name);
	put_text(o, ev, C_IMAGE, c->image);
	put_text(o, ev, C_POD, c->pod);
	put_text(o, ev, C_NAMESPACE, c->namespace_);
	put_number(o, C_CGROUP, c->cgroup_id);
	end(o, at);
}

static void put_field(struct out *o, const struct event *ev, const struct event_field *f)
{
	static const uint8_t v4[12] = { [10] = 0xff, [11] = 0xff };
	uint32_t key = (uint32_t)K_FIELDS + f->id;
	bool is_v4;

	switch (f->type) {
	case EVENT_U64:
		put_key(o, key, WIRE_NUMBER);
		put_varint(o, f->u);
		break;
	case EVENT_TEXT:
		put_text(o, ev, key, f->text);
		break;
	case EVENT_IP:
		is_v4 = !memcmp(f->ip, v4, sizeof(v4));
		put_key(o, key, WIRE_ADDRESS);
		put_bytes(o, is_v4 ? "\4" : "\20", 1);
		put_bytes(o, f->ip + (is_v4 ? 12 : 0), is_v4 ? 4 : 16);
		break;
	}
}

int event_encode(const struct event *ev, void *out, size_t cap)
{
	struct out o = { out, (uint8_t *)out + (cap < INT_MAX ? cap : INT_MAX), false };
	const uint8_t version = EVENT_ENCODING;

	put_bytes(&o, &version, 1);
	put_number(&o, K_TIME, ev->time_ns);
	put_number(&o, K_BOOT, ev->boot_ns);
	put_number(&o, K_GEN, ev->gen);
	put_number(&o, K_COUNT, ev->count);
	put_number(&o, K_PART, ev->part);
	put_number(&o, K_KIND, ev->kind);
	put_number(&o, K_STREAM, ev->stream);
	put_number(&o, K_SEVERITY, ev->severity);
	put_number(&o, K_ACTION, ev->action);
	put_number(&o, K_MODE, ev->mode);
	put_number(&o, K_VIA, ev->via);
	put_number(&o, K_RULE_ID, ev->rule_id);
	put_text(&o, ev, K_RULE, ev->rule);
	put_text(&o, ev, K_MESSAGE, ev->message);
	put_number(&o, K_PID, ev->pid);
	put_number(&o, K_START, ev->start_ns);
	put_number(&o, K_CGROUP, ev->cgroup_id);
	put_number(&o, K_LEFT_OUT, ev->left_out);
	for (uint32_t i = 0; i < ev->who.n && i < PROCESS_CHAIN; i++)
		put_process(&o, ev, &ev->who.p[i]);
	put_container(&o, ev, &ev->who.container);
	for (uint32_t i = 0; i < ev->n; i++)
		put_field(&o, ev, &ev->fields[i]);
	return o.full ? -ENOSPC : (int)(o.p - (uint8_t *)out);
}
