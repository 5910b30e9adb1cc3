#pragma once
#include <stdint.h>
#include "event/event.h"
#include "event/ring.h"

/* A record as bytes of unknown worth -> an event, or why not. 1: *ev is made; 0: it was good and
 * there is nothing to say; negative: -1 - enum ring_refusal. */
int record_read(const struct event_kinds *kinds, const void *rec, uint32_t len, struct event *ev);
#define RECORD_REFUSED(why) (-1 - (int)(why))
#define RECORD_REFUSAL(r) ((enum ring_refusal)(-1 - (r)))
