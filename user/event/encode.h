#pragma once
#include <stddef.h>
#include "event/event.h"

/* An event as bytes: what the store keeps. docs/events.md describes the format; a reader skips
 * fields that it does not know, so a newer sensor may add some without a new version. */
#define EVENT_ENCODING 1
#define EVENT_ENCODED_MAX (136 * 1024) /* of an event that event_bound() has seen */

/* Encode ev (all but seq) into at most cap bytes. Bytes written, or -ENOSPC. */
int event_encode(const struct event *ev, void *out, size_t cap);

/* Decode exactly len bytes; texts point into data. 0, -EBADMSG when it is damaged,
 * -EPROTONOSUPPORT when it is of a newer version; *ev is then undefined. */
int event_decode(const void *data, size_t len, struct event *ev);

/* Numbers of 7 bits a byte, low end first, the top bit says that more follow.
 * put: bytes written (at most VARINT_MAX); get: bytes read, 0 when cut short or above 64 bits. */
#define VARINT_MAX 10
size_t varint_put(uint8_t *out, uint64_t v);
size_t varint_get(const uint8_t *in, size_t len, uint64_t *v);
