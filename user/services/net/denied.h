#pragma once
#include "event/event.h"
#include "net/net_abi.h"

/* The event of a denied packet, the same for every module that denies packets: a module puts
 * NET_DENIED_KIND into its table of kinds, and its events carry its own part id.
 *
 * One event stands for count packets of one key (rule, mode, direction, peer, process); addresses
 * and ports are those of the first. The sum of the counts is the number of packets denied. */
bool net_denied_check(const struct kmn_event *rec);
int net_denied_enrich(void *self, const struct kmn_event *rec, struct event *ev);
void net_denied_text(const struct event *ev, struct buf *out);
void net_denied_ocsf(const struct event *ev, struct json *j);

#define NET_DENIED_KIND                                                                           \
	{                                                                                         \
		.kind = KMN_EV_DENIED, .name = "denied",                                          \
		.doc = "A packet was denied, or would have been in prevent mode.",                \
		.size_min = sizeof(struct net_denied), .size_max = sizeof(struct net_denied),     \
		.stream = EVENT_FINDINGS, .check = net_denied_check, .enrich = net_denied_enrich, \
		.text = net_denied_text, .ocsf_class = 4001, .ocsf_activity = 6,                  \
		.ocsf = net_denied_ocsf,                                                          \
	}

/* Fill what a fold says into an event that event_init() made; first NULL: only what the key says.
 * interface: its name, "" when it is not known any more; borrowed until the event is emitted. */
void net_denied_fill(struct event *ev, const struct net_fold_key *key, const struct net_seen *first,
		     const char *interface);

/* Lower-case name of an IP protocol that has one here ("tcp"); NULL: write the number. */
const char *net_proto_name(uint64_t proto);
/* And back: 0-255, or -1. */
int net_proto_number(const char *name);
/* All names, for schemas and "did you mean"; ends with NULL. */
const char *const *net_proto_names(void);
