#include "base/clock.h"
#include "base/metrics.h"
#include "event/sink.h"

#define LAG_ALARM_NS (5 * NS_PER_S)

static void stream_json(const struct event_stream_stats *st, struct json *j)
{
	json_u64(j, "emitted", st->emitted);
	json_u64(j, "stored", st->stored);
	json_u64(j, "dropped", st->dropped);
	json_u64(j, "in_memory", st->in_memory);
	json_u64(j, "parked", st->parked);
	json_u64(j, "first_seq", st->first_seq);
	json_u64(j, "seq", st->seq);
	json_u64(j, "oldest_ms", st->oldest_ns / NS_PER_MS);
	json_u64(j, "bytes", st->bytes);
	json_u64(j, "bytes_max", st->bytes_max);
	json_u64(j, "days_max", st->days_max);
	json_u64(j, "segments", st->segments);
	json_u64(j, "damaged", st->damaged);
	json_u64(j, "expired_events", st->expired_events);
	json_u64(j, "expired_segments", st->expired_segments);
	json_u64(j, "lag_ms", st->lag_ns / NS_PER_MS);
	json_u64(j, "commits", st->commits);
	json_u64(j, "commit_us_mean", st->commits ? st->commit_ns / st->commits / 1000 : 0);
	json_u64(j, "write_errors", st->write_errors);
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

static void stream_metrics(const struct event_stream_stats *st, const char *name,
			   struct kmn_metrics *m)
{
	metrics_family(m, "komainu_events_total", METRICS_COUNTER, "Events made, by stream.");
	metrics_u64(m, st->emitted, "stream", name, NULL);
	metrics_family(m, "komainu_events_stored_total", METRICS_COUNTER, "Events on disk.");
	metrics_u64(m, st->stored, "stream", name, NULL);
	metrics_family(m, "komainu_events_lost_total", METRICS_COUNTER,
		       "Events lost behind the rings, by reason.");
	metrics_u64(m, st->dropped, "stream", name, "reason", "buffer", NULL);
	metrics_family(m, "komainu_store_bytes", METRICS_GAUGE, "Bytes of the event store.");
	metrics_u64(m, st->bytes, "stream", name, NULL);
	metrics_family(m, "komainu_store_budget_bytes", METRICS_GAUGE,
		       "Bytes that the event store may have.");
	metrics_u64(m, st->bytes_max, "stream", name, NULL);
	metrics_family(m, "komainu_store_expired_events_total", METRICS_COUNTER,
		       "Events that left the store by its budgets.");
	metrics_u64(m, st->expired_events, "stream", name, NULL);
	metrics_family(m, "komainu_store_damaged_segments", METRICS_GAUGE,
		       "Segments that were damaged and are set aside.");
	metrics_u64(m, st->damaged, "stream", name, NULL);
	metrics_family(m, "komainu_store_lag_seconds", METRICS_GAUGE,
		       "Age of the oldest event that is not on disk.");
	metrics_double(m, (double)st->lag_ns / NS_PER_S, "stream", name, NULL);
	metrics_family(m, "komainu_store_write_errors_total", METRICS_COUNTER,
		       "Attempts to write that failed.");
	metrics_u64(m, st->write_errors, "stream", name, NULL);
	metrics_family(m, "komainu_store_newest_sequence", METRICS_GAUGE,
		       "Number of the newest event on disk.");
	metrics_u64(m, st->seq, "stream", name, NULL);
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
