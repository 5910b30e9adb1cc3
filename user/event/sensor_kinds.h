#pragma once
#include "event/event.h"

/* Events of the sensor itself (part 0). None has a record: the sensor emits them.
 * fields: version, detail, policy, hook, ... as the table in sensor_kinds.c says. */
enum sensor_kind {
	SENSOR_STARTED = KMN_EV_OWN, /* version; detail: what it took over */
	SENSOR_STOPPED,		     /* detail: what stays in force */
	SENSOR_DEGRADED,	     /* hook; detail: why */
	SENSOR_RECOVERED,	     /* hook; detail */
	SENSOR_POLICY_COMMITTED,     /* policy; gen is the new one */
	SENSOR_POLICY_REFUSED,	     /* policy; detail: the first error; gen stays */
	SENSOR_STORE_DAMAGED,	     /* detail: which segment, why, where it lies now */
	SENSOR_EVENTS_LOST,	     /* count; reason: enum event_loss; detail */
	SENSOR_MESSAGE,		     /* anything else worth keeping; message says it */
	SENSOR_HEARTBEAT,	     /* detail: state of the parts */
};
enum event_loss { EVENT_LOST_RING = 1, EVENT_LOST_BUFFER, EVENT_LOST_STORE };

extern const struct kmn_event_kind sensor_kinds[];

/* ev ready to emit but for its fields: severity and message set. message: borrowed. */
void sensor_event(struct event *ev, enum sensor_kind kind, enum event_severity severity,
		  const char *message);
