#include "event/ocsf.h"
#include "event/sensor_kinds.h"

void sensor_event(struct event *ev, enum sensor_kind kind, enum event_severity severity,
		  const char *message)
{
	event_init(ev, KMN_PART_sensor, (uint8_t)kind, EVENT_FINDINGS);
	ev->severity = (uint8_t)severity;
	ev->message = text_of(message);
}

static void add(struct buf *out, const char *between, struct text t)
{
	if (!t.p)
		return;
	buf_puts(out, between);
	buf_add_safe(out, t.p, t.len);
}

static void text(const struct event *ev, struct buf *out)
{
	buf_add_safe(out, ev->message.p ? ev->message.p : "", ev->message.len);
	add(out, " - policy ", event_get_text(ev, EVENT_F_policy));
	add(out, " - hook ", event_get_text(ev, EVENT_F_hook));
	add(out, " - version ", event_get_text(ev, EVENT_F_version));
	add(out, ": ", event_get_text(ev, EVENT_F_detail));
	if (ev->count > 1)
		buf_printf(out, " (%llu)", (unsigned long long)ev->count);
}

/* Application Lifecycle needs app; the others have all they need among the common attributes. */
static void ocsf_app(const struct event *ev, struct json *j)
{
	(void)ev;
	json_object(j, "app");
	ocsf_product(j);
	json_end(j);
}

static void ocsf_state(const struct event *ev, struct json *j)
{
	json_u64(j, "status_id", ev->kind == SENSOR_POLICY_REFUSED ? 2 : 1);
	json_str(j, "status", ev->kind == SENSOR_POLICY_REFUSED ? "Failure" : "Success");
}

#define LIFECYCLE 6002
#define APP_ERROR 6008
#define CONFIG_STATE_CHANGE 5019
#define KIND(k, n, d, class_, activity, fn)                                                   \
	{                                                                                     \
		.kind = (k), .name = (n), .doc = (d), .stream = EVENT_FINDINGS, .text = text, \
		.ocsf_class = (class_), .ocsf_activity = (activity), .ocsf = (fn)             \
	}

const struct kmn_event_kind sensor_kinds[] = {
	KIND(SENSOR_STARTED, "started", "The sensor started.", LIFECYCLE, 3, ocsf_app),
	KIND(SENSOR_STOPPED, "stopped", "The sensor was stopped.", LIFECYCLE, 4, ocsf_app),
	KIND(SENSOR_DEGRADED, "degraded", "A part does not do all that the policy asks.", APP_ERROR,
	     1, NULL),
	KIND(SENSOR_RECOVERED, "recovered", "A degraded part is whole again.", LIFECYCLE, 6,
	     ocsf_app),
	KIND(SENSOR_POLICY_COMMITTED, "policy-committed", "A new policy is in force.",
	     CONFIG_STATE_CHANGE, 1, ocsf_state),
	KIND(SENSOR_POLICY_REFUSED, "policy-refused", "A policy was refused, the old one stays.",
	     CONFIG_STATE_CHANGE, 1, ocsf_state),
	KIND(SENSOR_STORE_DAMAGED, "store-damaged", "A part of the event store was damaged.",
	     APP_ERROR, 1, NULL),
	KIND(SENSOR_EVENTS_LOST, "events-lost", "Events were lost.", APP_ERROR, 1, NULL),
	KIND(SENSOR_MESSAGE, "message", "A message of the sensor.", APP_ERROR, 99, NULL),
	KIND(SENSOR_HEARTBEAT, "heartbeat", "The sensor is alive.", LIFECYCLE, 99, ocsf_app),
	{ 0 }
};
