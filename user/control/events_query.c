#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/near.h"
#include "control/events_query.h"
#include "core/command.h"
#include "event/text.h"

#define LAST_DEFAULT 100 /* without --since and -n */
#define LAST_FOLLOW 10	 /* with -f */
#define LAST_MAX 1000000000

static bool number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max)
			return false;
	}
	*out = v;
	return true;
}

static bool ago(const char *text, uint64_t now_ns, uint64_t *out)
{
	static const struct {
		char unit;
		uint64_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	size_t digits = strspn(text, "0123456789");
	char head[12];
	uint64_t v;

	if (!digits || digits >= sizeof(head) || strlen(text) != digits + 1)
		return false;
	memcpy(head, text, digits);
	head[digits] = '\0';
	if (!number(head, 100000000, &v))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (text[digits] == units[i].unit) {
			v *= units[i].s * NS_PER_S;
			*out = v < now_ns ? now_ns - v : 1;
			return true;
		}
	return false;
}

bool events_time(const char *text, uint64_t now_ns, uint64_t *out)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
					     "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d" };
	size_t len = strlen(text);
	bool utc = len && text[len - 1] == 'Z';
	char copy[32];

	if (ago(text, now_ns, out))
		return true;
	if (len - utc >= sizeof(copy))
		return false;
	memcpy(copy, text, len - utc);
	copy[len - utc] = '\0';
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(copy, forms[i], &tm);
		time_t t;

		if (!end || *end)
			continue;
		tm.tm_isdst = -1;
		t = utc ? timegm(&tm) : mktime(&tm);
		if (t < 0)
			return false;
		*out = (uint64_t)t * NS_PER_S;
		*out = *out ? *out : 1;
		return true;
	}
	return false;
}

/* ---- options ---- */

static bool bad(const char *option, const char *value, const char *want)
{
	(void)cli_usage("events", "events: --%s %s: expected %s", option, value, want);
	return false;
}

/* The next name of a list with commas, cut out of it; NULL behind the last. */
static char *next_name(char **list)
{
	char *name;

	do
		name = strsep(list, ",");
	while (name && !*name);
	return name;
}

static bool add_parts(struct events_query *q, char *list)
{
	const char *names[KMN_PARTS + 1];
	unsigned n = 0;
	char *name;

	for (unsigned i = 0; i < KMN_PARTS; i++)
		if (q->kinds->part[i].name)
			names[n++] = q->kinds->part[i].name;
	names[n] = NULL;
	while ((name = next_name(&list))) {
		bool found = false;

		for (unsigned i = 0; i < KMN_PARTS; i++)
			if (q->kinds->part[i].name && !strcmp(q->kinds->part[i].name, name))
				found = q->part[i] = true;
		if (!found) {
			const char *near = near_word(name, names);

			(void)cli_usage("events", "events: no module or service is called %s%s%s",
					name, near ? "; did you mean " : "", near ? near : "");
			return false;
		}
		q->any_part = false;
	}
	return true;
}

static bool add_kinds(struct events_query *q, char *list)
{
	char *name;

	while ((name = next_name(&list))) {
		bool known = false;

		for (unsigned i = 0; i < KMN_PARTS; i++)
			for (const struct kmn_event_kind *k = q->kinds->part[i].kinds; k && k->kind;
			     k++)
				known |= !strcmp(k->name, name);
		if (!known)
			return bad("kind", name, "the name of a kind, see komainu events --help");
		if (q->n_kinds == QUERY_NAMES)
			return bad("kind", name, "at most 16 kinds");
		q->kind[q->n_kinds++] = name;
		q->any_kind = false;
	}
	return true;
}

static bool set_severity(struct events_query *q, const char *name)
{
	size_t len = strlen(name);

	len -= len && name[len - 1] == '+'; /* "high+" is what is meant anyway */
	for (uint8_t s = EVENT_INFO; s <= EVENT_CRITICAL; s++)
		if (strlen(event_severity_name(s)) == len &&
		    !strncmp(event_severity_name(s), name, len)) {
			q->severity = s;
			return true;
		}
	return bad("severity", name, "info, low, medium, high or critical");
}

static bool set_stream(struct events_query *q, const char *name)
{
	bool all = !strcmp(name, "all"), found = all;

	for (uint8_t i = 0; i < EVENT_STREAMS; i++) {
		q->stream[i] = all || !strcmp(name, event_stream_name(i));
		found |= q->stream[i];
	}
	return found || bad("stream", name, "findings, telemetry or all");
}

static bool set_time(const char *option, const char *value, uint64_t now_ns, uint64_t *out)
{
	return events_time(value, now_ns, out) ||
	       bad(option, value, "30s, 10m, 2h, 7d, 1w or a time like 2026-11-23T16:20");
}

static bool take(struct events_query *q, int c, char *value, uint64_t now_ns)
{
	uint64_t v;

	switch (c) {
	case 'f':
		q->follow = true;
		return true;
	case 'j':
		q->json = true;
		return true;
	case 's':
		return set_time("since", value, now_ns, &q->from_ns);
	case 'u':
		return set_time("until", value, now_ns, &q->to_ns);
	case 'm':
		return add_parts(q, value);
	case 'k':
		return add_kinds(q, value);
	case 'S':
		return set_severity(q, value);
	case 't':
		return set_stream(q, value);
	case 'c':
		q->container = value;
		return true;
	case 'g':
		q->grep = value;
		return true;
	case 'p':
		if (!number(value, UINT32_MAX, &v) || !v)
			return bad("pid", value, "a process id");
		q->pid = (uint32_t)v;
		return true;
	case 'n':
		if (!strcmp(value, "all"))
			q->last = UINT64_MAX;
		else if (!number(value, LAST_MAX, &q->last))
			return bad("last", value, "a number, or all");
		return true;
	}
	return false;
}

bool events_query_parse(struct events_query *q, int argc, char **argv, uint64_t now_ns)
{
	static const struct option known[] = {
		{ "follow", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "since", required_argument, NULL, 's' },
		{ "until", required_argument, NULL, 'u' },
		{ "module", required_argument, NULL, 'm' },
		{ "kind", required_argument, NULL, 'k' },
		{ "severity", required_argument, NULL, 'S' },
		{ "stream", required_argument, NULL, 't' },
		{ "pid", required_argument, NULL, 'p' },
		{ "container", required_argument, NULL, 'c' },
		{ "grep", required_argument, NULL, 'g' },
		{ "last", required_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	bool last_set = false;
	int c;

	for (int i = 0; i < EVENT_STREAMS; i++)
		q->stream[i] = true;
	q->any_part = q->any_kind = true;
	optind = 0; /* glibc and musl: begin anew */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":fn:", known, NULL)) != -1) {
		if (c == '?' || c == ':') {
			(void)cli_bad_option("events", argv);
			return false;
		}
		if (!take(q, c, optarg, now_ns))
			return false;
		last_set |= c == 'n';
	}
	if (optind < argc) {
		(void)cli_usage("events", "events: no argument is expected, found %s",
				argv[optind]);
		return false;
	}
	if (!last_set)
		q->last = q->from_ns ? UINT64_MAX : q->follow ? LAST_FOLLOW : LAST_DEFAULT;
	return true;
}

/* ---- matching ---- */

static bool kind_matches(const struct events_query *q, const struct event *ev)
{
	const struct kmn_event_kind *kind = event_kind_find(q->kinds, ev->part, ev->kind);

	for (unsigned i = 0; kind && i < q->n_kinds; i++)
		if (!strcmp(q->kind[i], kind->name))
			return true;
	return false;
}

static bool pid_matches(const struct events_query *q, const struct event *ev)
{
	bool found = ev->pid == q->pid;

	for (uint32_t i = 0; i < ev->who.n; i++)
		found |= ev->who.p[i].pid == q->pid;
	return found;
}

static bool container_matches(const struct events_query *q, const struct event *ev)
{
	const struct container_view *c = &ev->who.container;
	size_t len = strlen(q->container);

	return text_is(c->name, q->container) ||
	       (c->id.len >= len && len && !memcmp(c->id.p, q->container, len));
}

bool events_query_match(void *query, const struct event *ev)
{
	struct events_query *q = query;
	const struct event_text_style style = { .date = true };

	if ((q->from_ns && ev->time_ns < q->from_ns) || (q->to_ns && ev->time_ns > q->to_ns) ||
	    ev->severity < q->severity)
		return false;
	if (!q->any_part && (ev->part >= KMN_PARTS || !q->part[ev->part]))
		return false;
	if ((!q->any_kind && !kind_matches(q, ev)) || (q->pid && !pid_matches(q, ev)) ||
	    (q->container && !container_matches(q, ev)))
		return false;
	if (!q->grep)
		return true;
	buf_reset(&q->line);
	event_line(ev, q->kinds, &style, &q->line);
	return strcasestr(buf_text(&q->line), q->grep) != NULL;
}

void events_query_filter(const struct events_query *q, struct segment_filter *f)
{
	*f = (struct segment_filter){ .from_ns = q->from_ns, .to_ns = q->to_ns };
	for (unsigned i = 0; i < KMN_PARTS && !q->any_part; i++)
		if (q->part[i])
			segment_part_bits((uint8_t)i, &f->modules, &f->services);
	if (q->severity > EVENT_INFO)
		for (unsigned s = q->severity; s < 32; s++)
			f->severities |= 1u << s;
}
