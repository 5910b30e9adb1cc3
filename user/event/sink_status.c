#include <stddef.h>
#include "base/clock.h"
#include "base/metrics.h"
#include "event/sink.h"

#define LAG_ALARM_NS (5 * NS_PER_S)

/* The plain figures of a stream; what they say is said at struct event_stream_stats. */
static const struct {
	const char *name;
	size_t at;
	uint32_t per; /* the unit of the figure in that of the name */
	bool narrow;  /* 32 bits */
} rows[] = {
#define ROW(name, member, per)                                                \
	{                                                                     \
		name, offsetof(struct event_stream_stats, member), per,       \
			sizeof(((struct event_stream_stats *)0)->member) == 4 \
	}
	ROW("emitted", emitted, 1),
	ROW("stored", stored, 1),
	ROW("dropped", dropped, 1),
	ROW("in_memory", in_memory, 1),
	ROW("parked", parked, 1),
	ROW("first_seq", first_seq, 1),
	ROW("seq", seq, 1),
	ROW("oldest_ms", oldest_ns, NS_PER_MS),
	ROW("bytes", bytes, 1),
	ROW("bytes_max", bytes_max, 1),
	ROW("days_max", days_max, 1),
	ROW("segments", segments, 1),
	ROW("damaged", damaged, 1),
	ROW("expired_events", expired_events, 1),
	ROW("expired_segments", expired_segments, 1),
	ROW("lag_ms", lag_ns, NS_PER_MS),
	ROW("commits", commits, 1),
	ROW("write_errors", write_errors, 1),
#undef ROW
};

static uint64_t figure(const struct event_stream_stats *st, size_t at, bool narrow)
{
	const void *p = (const char *)st + at;

	return narrow ? *(const uint32_t *)p : *(const uint64_t *)p;
}

static void stream_json(const struct event_stream_stats *st, struct json *j)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		json_u64(j, rows[i].name, figure(st, rows[i].at, rows[i].narrow) / rows[i].per);
	json_u64(j, "commit_us_mean", st->commits ? st->commit_ns / st->commits / 1000 : 0);
}

void event_sink_status(struct event_sink *s, struct json *j)
{
	struct event_stats st;

	event_sink_stats(s, &st);
	for (uint8_t i = 0; i < EVENT_STREAMS; i++) {
		json_object(j, event_stream_name(i));
		stream_json(&st.stream[i], j);
		json_end(j);
	}
	json_u64(j, "cut_texts", st.cut_texts);
	json_u64(j, "left_out_fields", st.left_out);
	json_u64(j, "parked_late", st.parked_late);
	json_u64(j, "clock_steps", st.clock_steps);
	json_array(j, "alarms");
	if (*st.error)
		json_printf(j, NULL, "the event store cannot be written: %s", st.error);
	for (uint8_t i = 0; i < EVENT_STREAMS; i++) {
		const struct event_stream_stats *e = &st.stream[i];
		const char *name = event_stream_name(i);

		if (e->dropped)
			json_printf(j, NULL, "%s: %llu events were lost since the start", name,
				    (unsigned long long)e->dropped);
		if (e->lag_ns > LAG_ALARM_NS)
			json_printf(j, NULL, "%s: the writer is %llu s behind", name,
				    (unsigned long long)(e->lag_ns / NS_PER_S));
		if (e->damaged)
			json_printf(j, NULL, "%s: %u damaged segments are set aside", name,
				    e->damaged);
	}
	json_end(j);
}

static const struct {
	const char *name, *help;
	enum metrics_type type;
	size_t at;
	bool narrow;
	const char *reason; /* a second label; NULL: none */
} families[] = {
#define FAMILY(name, type, member, help, reason)                                      \
	{                                                                             \
		name, help, type, offsetof(struct event_stream_stats, member),        \
			sizeof(((struct event_stream_stats *)0)->member) == 4, reason \
	}
	FAMILY("komainu_events_total", METRICS_COUNTER, emitted, "Events made, by stream.", NULL),
	FAMILY("komainu_events_stored_total", METRICS_COUNTER, stored, "Events on disk.", NULL),
	FAMILY("komainu_events_lost_total", METRICS_COUNTER, dropped,
	       "Events lost behind the rings, by reason.", "buffer"),
	FAMILY("komainu_store_bytes", METRICS_GAUGE, bytes, "Bytes of the event store.", NULL),
	FAMILY("komainu_store_budget_bytes", METRICS_GAUGE, bytes_max,
	       "Bytes that the event store may have.", NULL),
	FAMILY("komainu_store_expired_events_total", METRICS_COUNTER, expired_events,
	       "Events that left the store by its budgets.", NULL),
	FAMILY("komainu_store_damaged_segments", METRICS_GAUGE, damaged,
	       "Segments that were damaged and are set aside.", NULL),
	FAMILY("komainu_store_write_errors_total", METRICS_COUNTER, write_errors,
	       "Attempts to write that failed.", NULL),
	FAMILY("komainu_store_newest_sequence", METRICS_GAUGE, seq,
	       "Number of the newest event on disk.", NULL),
#undef FAMILY
};

static void stream_metrics(const struct event_stream_stats *st, const char *name,
			   struct kmn_metrics *m)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		metrics_family(m, families[i].name, families[i].type, families[i].help);
		metrics_u64(m, figure(st, families[i].at, families[i].narrow), "stream", name,
			    families[i].reason ? "reason" : NULL, families[i].reason, NULL);
	}
	metrics_family(m, "komainu_store_lag_seconds", METRICS_GAUGE,
		       "Age of the oldest event that is not on disk.");
	metrics_double(m, (double)st->lag_ns / NS_PER_S, "stream", name, NULL);
}

void event_sink_metrics(struct event_sink *s, struct kmn_metrics *m)
{
	struct event_stats st;

	event_sink_stats(s, &st);
	for (uint8_t i = 0; i < EVENT_STREAMS; i++)
		stream_metrics(&st.stream[i], event_stream_name(i), m);
	metrics_family(m, "komainu_event_texts_cut_total", METRICS_COUNTER,
		       "Texts that were longer than their bound.");
	metrics_u64(m, st.cut_texts, NULL);
}
