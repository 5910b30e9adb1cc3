#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "context/process.h"
#include "kmn_abi.h"

/* The internal event: what a part makes of a record, what the store keeps, what renderers read. */

enum event_stream { EVENT_FINDINGS, EVENT_TELEMETRY, EVENT_STREAMS };
enum event_severity { /* numbers of OCSF severity_id */
		      EVENT_INFO = 1,
		      EVENT_LOW,
		      EVENT_MEDIUM,
		      EVENT_HIGH,
		      EVENT_CRITICAL,
};
enum event_action {		    /* what was done, in fact */
		    EVENT_OBSERVED, /* nothing to decide */
		    EVENT_ALLOWED,
		    EVENT_DENIED,
		    EVENT_WOULD_DENY, /* detect: prevent would have denied */
		    EVENT_ERROR,
};
enum event_via { /* how the process is known */
		 EVENT_VIA_NONE,
		 EVENT_VIA_OWNER,    /* the task itself, or the owner of the socket */
		 EVENT_VIA_LISTENER, /* the process that holds the listening socket */
		 EVENT_VIA_UNKNOWN,  /* there may be one, and it is not known */
};

/* Fields that only some kinds have. Ids stand in stored events and are never used again:
 * event/fields.def has KMN_FIELD(id, name, type). */
enum event_field_type {
	EVENT_U64,
	EVENT_TEXT,
	EVENT_IP
}; /* IP: 16 bytes, IPv4 as ::ffff:a.b.c.d */
enum event_field_id {
#define KMN_FIELD(id, name, type) EVENT_F_##name = id,
#include "event/fields.def"
#undef KMN_FIELD
};

struct event_field {
	uint16_t id;
	uint8_t type;
	union {
		uint64_t u;
		struct text text;
		uint8_t ip[16];
	};
};

#define EVENT_FIELDS_MAX 48
struct event {
	uint64_t seq;	  /* of the stream, set by the store; starts at 1 and has no holes */
	uint64_t time_ns; /* wall clock, ns since the epoch; set by event_emit() from boot_ns */
	uint64_t boot_ns; /* boot clock, from the record; 0 = now */
	uint64_t gen;	  /* policy generation that judged */
	uint64_t count;	  /* acts folded into this event, at least 1 */
	uint8_t part, kind, stream, severity, action, mode, via;
	uint32_t rule_id;    /* 0: none */
	struct text rule;    /* its name in the policy */
	struct text message; /* one sentence for a person; may be absent */
	struct process_chain who;
	uint32_t n;
	struct event_field fields[EVENT_FIELDS_MAX];
};

void event_init(struct event *ev, uint8_t part, uint8_t kind, enum event_stream stream);
/* Add a field; one too many is left out, counted by event_stats. Texts are borrowed until emitted.
 */
void event_u64(struct event *ev, enum event_field_id id, uint64_t v);
void event_text(struct event *ev, enum event_field_id id, struct text v);
void event_ip(struct event *ev, enum event_field_id id, const __u32 ip_be[4]);
const struct event_field *event_get(const struct event *ev,
				    enum event_field_id id); /* NULL: absent */

/* One kind of event of one part: how its record is checked and how the event reads. Renderers get
 * live events and stored ones alike, so they use nothing but the event. */
struct kmn_event_kind {
	uint8_t kind;	  /* KMN_EV_...; a kind without a record has no check and no enrich */
	const char *name; /* "denied", "exec": stable, stands in the JSON and in filters */
	const char *doc;  /* one sentence, for docs and --help */
	uint32_t size_min, size_max; /* bytes of its record */
	enum event_stream stream;
	/* Is a record of the right size also sound (lengths, enums)? NULL: nothing to check. */
	bool (*check)(const struct kmn_event *rec);
	/* Turn a checked record into *ev (init done, head fields set). 1: emit; 0: nothing to say
	 * (a part of a longer record, a double); -errno: refuse, counted. */
	int (*enrich)(void *self, const struct kmn_event *rec, struct event *ev);
	void (*text)(const struct event *ev, struct buf *out); /* what happened, one line, safe */
	uint32_t ocsf_class;				       /* class_uid */
	uint32_t ocsf_activity;
	/* Attributes of the class inside the open top object; the common ones are written already.
	 */
	void (*ocsf)(const struct event *ev, struct json *j);
};

/* Where events go; handed down by the roof. */
struct event_sink;
/* Stamp, describe (who, when who.n is 0 and rec_pid is not), store. Never waits; never fails: what
 * the store cannot take is counted. */
void event_emit(struct event_sink *sink, struct event *ev);
