#pragma once
#include <stdint.h>
#include "base/buf.h"

/* Writer of the Prometheus text format. Any part may write any family: samples are kept by family,
 * so that each comes out as the one group that the format asks for.
 *
 * Names: komainu_WHAT_UNIT, base units (seconds, bytes), counters end with _total. Labels that the
 * house uses: part, ring, stream, hook, state, interface, reason. A label never holds what an
 * attacker can make many of (addresses, names of files or processes).
 * source: prometheus.io, exposition formats, text version 0.0.4 */
struct kmn_metrics;

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE };

#define METRICS_FAMILIES_MAX 192
#define METRICS_SAMPLES_MAX 20000 /* of all families; more are left out and counted */

struct kmn_metrics *metrics_new(void); /* NULL without memory; the others then do nothing */
void metrics_free(struct kmn_metrics *m);

/* The family that the next samples belong to, made when it is new. The first type and help count.
 * A name that is not komainu_[a-z0-9_]+, or a counter without _total, is left out and counted. */
void metrics_family(struct kmn_metrics *m, const char *name, enum metrics_type type,
		    const char *help);

/* A sample: pairs of label name and value, then NULL. Values are made safe and escaped. */
void metrics_u64(struct kmn_metrics *m, uint64_t value, ...) __attribute__((sentinel));
void metrics_double(struct kmn_metrics *m, double value, ...) __attribute__((sentinel));

/* Everything written so far, families in the order of their first mention. */
void metrics_text(const struct kmn_metrics *m, struct buf *out);
