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

/* A text longer than its bound is cut before it is stored: 8 KiB, 64 KiB for the arguments of the
 * process itself. How long it was stands here, found by the address of the text. */
#define EVENT_TEXT_MAX 8192
#define EVENT_ARGS_MAX 65536
struct event_cut {
	const char *p;
	uint64_t len; /* bytes before the cut */
};

#define EVENT_FIELDS_MAX 48
#define EVENT_CUTS_MAX (8 + 4 * PROCESS_CHAIN + EVENT_FIELDS_MAX) /* every text there can be */
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
	/* Whose act, as the record says; pid 0: not known. event_emit() makes who of it. */
	uint32_t pid;
	uint64_t start_ns, cgroup_id;
	struct process_chain who;
	uint32_t n, n_cuts;
	uint32_t left_out; /* fields for which there was no room */
	/* Only the first n and n_cuts are set; they stand last so that no one clears the rest. */
	struct event_field fields[EVENT_FIELDS_MAX];
	struct event_cut cuts[EVENT_CUTS_MAX];
};

void event_init(struct event *ev, uint8_t part, uint8_t kind, enum event_stream stream);
/* Add a field; one too many is left out and counted. Texts are borrowed until emitted. */
void event_u64(struct event *ev, enum event_field_id id, uint64_t v);
void event_text(struct event *ev, enum event_field_id id, struct text v);
void event_ip(struct event *ev, enum event_field_id id, const __u32 ip_be[4]);
const struct event_field *event_get(const struct event *ev,
				    enum event_field_id id); /* NULL: absent */
uint64_t event_get_u64(const struct event *ev, enum event_field_id id, uint64_t otherwise);
struct text event_get_text(const struct event *ev, enum event_field_id id); /* absent: {NULL, 0} */

/* Cut every text to its bound and note how long it was. Idempotent. */
void event_bound(struct event *ev);
/* Bytes that a text of this event had before it was cut; 0: it is whole. */
uint64_t event_cut_len(const struct event *ev, struct text t);

/* Name and type of a field; NULL for an id that this version does not know. */
const char *event_field_name(uint16_t id);
/* Lower-case words of the enums above, for people and filters; "?" for a number out of range. */
const char *event_severity_name(uint8_t severity); /* info low medium high critical */
const char *event_action_name(uint8_t action);	   /* observed allowed denied would-deny error */
const char *event_via_name(uint8_t via);
const char *event_stream_name(uint8_t stream); /* findings telemetry */

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
	/* What happened, one line, safe; whose act it was is added behind it. */
	void (*text)(const struct event *ev, struct buf *out);
	uint32_t ocsf_class; /* class_uid */
	uint32_t ocsf_activity;
	/* Attributes of the class inside the open top object; the common ones are written already:
	 * times, count, classification, message, metadata, device, actor, in Process Activity
	 * process, the outcome and policy, and unmapped with every field. No key twice. */
	void (*ocsf)(const struct event *ev, struct json *j);
};

/* All kinds of all parts, for renderers and for the rings; kinds without an owner keep self NULL.
 */
struct event_part {
	const char *name;
	const struct kmn_event_kind *kinds; /* ends with kind 0 */
	void *self;			    /* for enrich() */
};
struct event_kinds {
	struct event_part part[KMN_PARTS];
};
/* Register a part; kinds may be NULL. The sensor's own kinds (part 0) are there from the start. */
void event_kinds_init(struct event_kinds *k);
void event_kinds_add(struct event_kinds *k, uint8_t part, const char *name,
		     const struct kmn_event_kind *kinds, void *self);
struct kmn_roof;
void event_kinds_roof(struct event_kinds *k, const struct kmn_roof *roof); /* all, without self */
const struct kmn_event_kind *event_kind_find(const struct event_kinds *k, uint8_t part,
					     uint8_t kind);		/* NULL: unknown */
const char *event_part_name(const struct event_kinds *k, uint8_t part); /* "unknown" */

/* Where events go; handed down by the roof. See event/sink.h. */
struct event_sink;
/* Stamp, describe (who, when who.n is 0 and pid is not), bound, store. In the loop's thread only.
 * Never waits; never fails: what the store cannot take is counted. */
void event_emit(struct event_sink *sink, struct event *ev);
