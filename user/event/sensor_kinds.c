#include "event/sensor_kinds.h"
const struct kmn_event_kind sensor_kinds[] = { { 0 } };
