#pragma once
#include "event/event.h"
#include "event/reader.h"

/* Events as OCSF JSON, one object. The common attributes are written here; kind->ocsf() adds those
 * of its class. source: the OCSF schema, version below */
#define OCSF_VERSION "1.9.0-dev"

/* Adds one JSON object, no line feed. False: the buffer had no room. */
bool ocsf_event(const struct event *ev, const struct event_kinds *kinds,
		const struct event_origin *origin, struct buf *out);

/* ---- for kind->ocsf() ---- */
/* Object "key": the process who.p[index] with its file, user, container (index 0), and, with its
 * ancestors, parent_process and ancestry. Nothing when it is not known. */
void ocsf_process(struct json *j, const char *key, const struct event *ev, uint32_t index);
/* Object "key" with ip and port; nothing when the event has no such address. */
void ocsf_endpoint(struct json *j, const char *key, const struct event *ev, enum event_field_id ip,
		   enum event_field_id port);
/* Members of a product object that is komainu. */
void ocsf_product(struct json *j);
