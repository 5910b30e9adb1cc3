#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/term.h"
#include "control/events_cmd.h"
#include "control/events_query.h"
#include "core/command.h"
#include "event/follow.h"
#include "event/ocsf.h"
#include "event/text.h"
#include "event/verify.h"

#define POLL_MS 100 /* -f: how often the store is looked at when nothing tells that it grew */
#define OUT_FLUSH 65536

struct show {
	struct events_query q;
	struct event_kinds kinds;
	struct event_follow *follow;
	struct buf out;
	bool colours;
};

static void show_free(struct show *s)
{
	event_follow_close(s->follow);
	buf_free(&s->out);
	buf_free(&s->q.line);
	free(s);
}
KMN_AUTO_DEFINE(struct show *, show_free)

static int cannot_read(const char *state_dir, int err)
{
	if (err == -ENOENT)
		return cli_fail(CLI_NO,
				"no events: no sensor has run here (%s/events is not there)",
				state_dir);
	if (err == -EACCES || err == -EPERM)
		return cli_fail(CLI_DENIED, "%s/events may be read by root alone: try sudo",
				state_dir);
	return cli_fail(CLI_DEGRADED, "%s/events cannot be read: %s", state_dir, strerror(-err));
}

/* ---- showing ---- */

static int flush(struct show *s)
{
	int r = term_write(&s->out, stdout);

	buf_reset(&s->out);
	return r;
}

static int print(struct show *s, const struct event *ev, const struct event_origin *origin)
{
	const struct event_text_style style = { .colours = s->colours, .date = true };

	if (s->q.json) {
		(void)ocsf_event(ev, s->q.kinds, origin, &s->out); /* term_write() tells */
		buf_putc(&s->out, '\n');
	} else {
		event_line(ev, s->q.kinds, &style, &s->out);
	}
	return s->out.len > OUT_FLUSH ? flush(s) : 0;
}

/* Everything that is there now. */
static int show_present(struct show *s)
{
	struct event_origin origin;
	const struct event *ev;
	int r;

	while ((r = event_follow_next(s->follow, &ev, &origin)) > 0) {
		r = print(s, ev, &origin);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : flush(s);
}

static int show(struct show *s)
{
	int r = s->q.last != UINT64_MAX ? event_follow_last(s->follow, s->q.last) : 0;

	if (!r)
		r = show_present(s);
	while (!r && s->q.follow) {
		event_follow_wait(s->follow, POLL_MS);
		r = show_present(s);
	}
	return r;
}

static int open_follow(struct show *s, const char *state_dir)
{
	struct event_follow_config c = { .state_dir = state_dir,
					 .match = events_query_match,
					 .arg = &s->q };

	memcpy(c.stream, s->q.stream, sizeof(c.stream));
	events_query_filter(&s->q, &c.filter);
	return event_follow_open(&c, &s->follow);
}

static int cmd_events(int argc, char **argv)
{
	kmn_auto(show_free) struct show *s = calloc(1, sizeof(*s));
	const char *state_dir = cli_places()->state_dir;
	int r;

	if (!s)
		return cli_fail(CLI_DEGRADED, "no memory");
	if (cli_roof())
		event_kinds_roof(&s->kinds, cli_roof());
	else
		event_kinds_init(&s->kinds);
	s->q.kinds = &s->kinds;
	if (!events_query_parse(&s->q, argc, argv, clock_wall_ns()))
		return CLI_USAGE;
	s->colours = term_colours(stdout);
	r = open_follow(s, state_dir);
	if (!r)
		r = show(s);
	if (r == -EPIPE)
		return CLI_GOOD; /* the reader has seen enough */
	if (r < 0)
		return cannot_read(state_dir, r);
	return event_follow_damaged(s->follow) ? CLI_DEGRADED : CLI_GOOD;
}

/* ---- verify ---- */

struct verdict {
	struct json *j; /* NULL: text */
	struct buf *out;
	bool colours;
};

static void say(void *arg, const char *what)
{
	struct verdict *v = arg;

	if (v->j) {
		json_str(v->j, NULL, what);
		return;
	}
	term_add(v->out, v->colours, TERM_RED, "problem ");
	buf_add_safe(v->out, what, strlen(what));
	buf_puts(v->out, "\n");
}

static void result_text(const char *name, const struct verify_result *r, struct verdict *v)
{
	char events[TERM_HUMAN], batches[TERM_HUMAN];

	term_add(v->out, v->colours, r->problems ? TERM_RED : TERM_GREEN,
		 r->problems ? "broken  " : "good    ");
	buf_printf(v->out, "%s: %s events in %s batches, %u segments (%u sealed and signed)", name,
		   term_count(events, r->events), term_count(batches, r->batches), r->segments,
		   r->sealed);
	if (r->events)
		buf_printf(v->out, ", numbers %llu to %llu", (unsigned long long)r->first_seq,
			   (unsigned long long)r->last_seq);
	if (r->missing)
		buf_printf(v->out, ", %llu missing", (unsigned long long)r->missing);
	if (r->unsealed)
		buf_printf(v->out, ", the last %llu not signed yet",
			   (unsigned long long)r->unsealed);
	if (*r->host_id)
		buf_printf(v->out, ", host %s", r->host_id);
	buf_puts(v->out, "\n");
}

static void result_json(const struct verify_result *r, struct json *j)
{
	json_bool(j, "good", !r->problems);
	json_str(j, "host_id", r->host_id);
	json_u64(j, "events", r->events);
	json_u64(j, "batches", r->batches);
	json_u64(j, "segments", r->segments);
	json_u64(j, "sealed", r->sealed);
	json_u64(j, "damaged", r->damaged);
	json_u64(j, "first_seq", r->first_seq);
	json_u64(j, "last_seq", r->last_seq);
	json_u64(j, "missing", r->missing);
	json_u64(j, "unsigned", r->unsealed);
}

static int verify(struct verdict *v, const char *state_dir, const struct hostkey *key)
{
	uint64_t problems = 0;

	for (int i = 0; i < EVENT_STREAMS; i++) {
		const char *name = event_stream_name((uint8_t)i);
		struct verify_result result;
		int r;

		if (v->j) {
			json_object(v->j, name);
			json_array(v->j, "problems");
		}
		r = event_verify(state_dir, (enum event_stream)i, key, say, v, &result);
		if (r < 0)
			return r;
		problems += result.problems;
		if (!v->j) {
			result_text(name, &result, v);
			continue;
		}
		json_end(v->j);
		result_json(&result, v->j);
		json_end(v->j);
	}
	return problems ? 1 : 0;
}

static int cmd_verify(int argc, char **argv)
{
	static const struct option known[] = { { "json", no_argument, NULL, 'j' },
					       { NULL, 0, NULL, 0 } };
	const char *state_dir = cli_places()->state_dir;
	kmn_auto(buf) struct buf out = { 0 };
	struct json j = json_on(&out);
	struct verdict v = { .out = &out, .colours = term_colours(stdout) };
	struct hostkey key;
	int c, has_key, r, wrote;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", known, NULL)) != -1) {
		if (c != 'j')
			return cli_bad_option("events verify", argv);
		v.j = &j;
	}
	if (optind < argc)
		return cli_usage("events verify",
				 "events verify: no argument is expected, found %s", argv[optind]);
	has_key = hostkey_read_public(state_dir, &key);
	if (v.j)
		json_object(&j, NULL);
	r = verify(&v, state_dir, has_key ? NULL : &key);
	if (r < 0)
		return cannot_read(state_dir, r);
	if (v.j) {
		json_bool(&j, "key_known", !has_key);
		json_end(&j);
		buf_puts(&out, "\n");
	} else if (has_key) {
		buf_printf(&out,
			   "note    %s/host.json cannot be read: each segment was checked "
			   "with the key in its own head\n",
			   state_dir);
	}
	wrote = term_write(&out, stdout);
	if (wrote < 0)
		return cli_fail(CLI_DEGRADED, "cannot write the answer: %s", strerror(-wrote));
	return r ? CLI_NO : CLI_GOOD;
}

const struct kmn_command events_commands[] = {
	{ .name = "events",
	  .args = "[-f] [-n N] [--since T] [--until T] [--module M] [--severity S] [--json] ...",
	  .summary = "Show events from the store, or follow them as they come.",
	  .help = "Reads the store itself, so it works when no sensor runs. Without -n and --since "
		  "it\n"
		  "shows the last 100 events.\n\n"
		  "  -f, --follow       go on with new events (starts with the last 10)\n"
		  "  -n, --last N       only the last N that match; all: no limit\n"
		  "  --since T          from T on: 30s, 10m, 2h, 7d, 1w ago, or 2026-11-23T16:20\n"
		  "                     (local time; with Z at the end UTC)\n"
		  "  --until T          up to T\n"
		  "  --module M,...     only of these modules or services\n"
		  "  --kind K,...       only of these kinds: exec, exit, denied, ...\n"
		  "  --severity S       at least info, low, medium, high or critical\n"
		  "  --stream S         findings, telemetry or all\n"
		  "  --pid PID          of this process, or of one that descends from it\n"
		  "  --container C      of this container: its name, or the begin of its id\n"
		  "  --grep TEXT        only lines that contain TEXT, case ignored\n"
		  "  --json             one OCSF object per line\n\n"
		  "Exit: 0 shown, 1 there is no store, 2 usage, 4 not permitted, 5 a damaged part "
		  "of\n"
		  "the store was skipped.\n\n"
		  "Examples:\n"
		  "  komainu events -f --severity medium\n"
		  "  komainu events --since 1h --module firewall --json | jq .src_endpoint.ip\n"
		  "  komainu events --since 2d --kind exec --grep curl\n",
	  .run = cmd_events },
	{ .name = "events verify",
	  .args = "[--json]",
	  .summary = "Check the hash chain and the signatures of the event store.",
	  .help = "Checks every batch, seal, signature and seam from the oldest segment to the "
		  "newest,\n"
		  "and says what was changed, exchanged or is missing. What the budgets have let "
		  "go\n"
		  "from the beginning is not missed; events at the end are signed when their "
		  "segment\n"
		  "is full.\n\n"
		  "  --json             the result as one object\n\n"
		  "Exit: 0 all good, 1 something is wrong or there is no store, 4 not permitted.\n",
	  .run = cmd_verify },
	{ .name = NULL }
};
