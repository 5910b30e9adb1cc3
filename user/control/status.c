#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/term.h"
#include "control/status.h"
#include "core/command.h"

#define HOOK_ROWS_MAX 64 /* proven hooks shown; those that are not are always shown */

/* ---- reading ---- */

static const cJSON *at(const cJSON *j, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(j, name);
}

static const char *text_at(const cJSON *j, const char *name)
{
	const char *text = cJSON_GetStringValue(at(j, name));

	return text ? text : "";
}

static uint64_t u64_of(const cJSON *j)
{
	double v = cJSON_IsNumber(j) ? j->valuedouble : 0;

	return v > 0 && v < 18446744073709551615.0 ? (uint64_t)v : 0;
}

static uint64_t u64_at(const cJSON *j, const char *name)
{
	return u64_of(at(j, name));
}

static unsigned long long ull_at(const cJSON *j, const char *name)
{
	return u64_at(j, name);
}

static bool yes_at(const cJSON *j, const char *name)
{
	return cJSON_IsTrue(at(j, name));
}

static enum term_colour state_colour(const char *state)
{
	if (!strcmp(state, "active") || !strcmp(state, "proven") || !strcmp(state, "prevent"))
		return TERM_GREEN;
	if (!strcmp(state, "degraded") || !strcmp(state, "attached"))
		return TERM_YELLOW;
	return !strcmp(state, "failed") ? TERM_RED : TERM_PLAIN;
}

static void head(struct buf *out, bool colours, const char *what)
{
	buf_puts(out, "\n");
	term_add(out, colours, TERM_BOLD, what);
	buf_puts(out, "\n");
}

/* A product that does not run over. */
static uint64_t times(uint64_t n, uint64_t by)
{
	return n > UINT64_MAX / by ? UINT64_MAX : n * by;
}

static const char *ago(char text[TERM_HUMAN], const cJSON *j, const char *name)
{
	return term_duration(text, times(u64_at(j, name), NS_PER_MS));
}

/* ---- the lines at the top ---- */

static void print_policy(const cJSON *p, bool colours, struct buf *out)
{
	const cJSON *last = at(p, "last");
	char took[TERM_HUMAN], age[TERM_HUMAN];

	if (!p)
		return;
	buf_puts(out, "policy   ");
	term_add(out, colours, TERM_CYAN, text_at(p, "name"));
	buf_puts(out, ", at most ");
	term_add(out, colours, state_colour(text_at(p, "mode")), text_at(p, "mode"));
	buf_printf(out, ", generation %llu", ull_at(p, "generation"));
	if (!last) {
		buf_puts(out, "\n");
		return;
	}
	(void)ago(took, last, "took_ms");
	(void)ago(age, last, "age_ms");
	if (yes_at(last, "ok")) {
		buf_printf(out, ", committed %s ago in %s\n", age, took);
		return;
	}
	buf_puts(out, "\n         ");
	term_add(out, colours, TERM_RED, "last reload refused");
	buf_printf(out, " %s ago at ", age);
	buf_add_safe(out, text_at(last, "stage"), strlen(text_at(last, "stage")));
	buf_puts(out, ": ");
	buf_add_safe(out, text_at(last, "error"), strlen(text_at(last, "error")));
	buf_printf(out, "; generation %llu stays in force\n", ull_at(p, "generation"));
}

/* A policy on its way: what is done of it, in words. */
static void print_loading(const cJSON *l, struct buf *out)
{
	static const char *const stages[][2] = {
		{ "parse", "reading the files" },     { "compile", "compiling" },
		{ "memory", "counting memory" },      { "grace", "waiting for running programs" },
		{ "stage", "filling the idle maps" }, { "commit", "committing" },
	};
	const char *stage = text_at(l, "stage");
	char age[TERM_HUMAN];

	if (!l)
		return;
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++)
		if (!strcmp(stage, stages[i][0]))
			stage = stages[i][1];
	buf_printf(out,
		   "         %s a policy for %s: ", yes_at(l, "check") ? "checking" : "loading",
		   ago(age, l, "age_ms"));
	buf_add_safe(out, stage, strlen(stage));
	buf_puts(out, "\n");
}

static void print_top(const cJSON *s, bool colours, struct buf *out)
{
	const cJSON *k = at(s, "kernel");
	char up[TERM_HUMAN];

	term_add(out, colours, TERM_BOLD, "komainu ");
	term_add(out, colours, TERM_BOLD, text_at(s, "version"));
	buf_puts(out, "  ");
	term_add(out, colours, state_colour(text_at(s, "state")), text_at(s, "state"));
	if (*text_at(s, "why")) {
		buf_puts(out, ": ");
		term_add(out, colours, TERM_PLAIN, text_at(s, "why"));
	}
	buf_printf(out, "\nsensor   pid %llu, up %s, instance %llu%s\n", ull_at(s, "pid"),
		   ago(up, s, "uptime_ms"), ull_at(s, "instance"),
		   yes_at(s, "took_over") ? ", took over from the one before" : "");
	print_policy(at(s, "policy"), colours, out);
	print_loading(at(at(s, "policy"), "loading"), out);
	if (!k)
		return;
	buf_puts(out, "kernel   ");
	buf_add_safe(out, text_at(k, "release"), strlen(text_at(k, "release")));
	buf_puts(out, ", lockdown ");
	buf_add_safe(out, text_at(k, "lockdown"), strlen(text_at(k, "lockdown")));
	buf_puts(out, ", cgroups ");
	buf_add_safe(out, text_at(k, "cgroups"), strlen(text_at(k, "cgroups")));
	buf_puts(out, "\n");
}

/* ---- parts and hooks ---- */

/* Units that the end of a name says, and that stand behind the number for a person. */
static const char *const units[] = { "_bytes", "_ns", "_us", "_ms" };
enum unit { UNIT_BYTES, UNIT_NS, UNIT_US, UNIT_MS, UNIT_NONE };

static enum unit unit_of(const char *name, size_t *len)
{
	*len = strlen(name);
	for (unsigned u = 0; u < UNIT_NONE; u++) {
		size_t n = strlen(units[u]);

		if (*len <= n || strcmp(name + *len - n, units[u]) != 0)
			continue;
		*len -= n;
		return u;
	}
	return UNIT_NONE;
}

static void add_number(struct buf *out, enum unit unit, const cJSON *v)
{
	static const uint64_t ns[] = { [UNIT_NS] = 1, [UNIT_US] = 1000, [UNIT_MS] = NS_PER_MS };
	char text[TERM_HUMAN];
	uint64_t n = u64_of(v);

	if (unit == UNIT_BYTES)
		buf_puts(out, term_bytes(text, n));
	else if (unit != UNIT_NONE)
		buf_puts(out, term_duration(text,
					    n > UINT64_MAX / ns[unit] ? UINT64_MAX : n * ns[unit]));
	else if (v->valuedouble < 0 || v->valuedouble != (double)n)
		buf_printf(out, "%g", v->valuedouble);
	else
		buf_puts(out, term_count(text, n));
}

/* The plain members of an object as "name 1, other name 2"; what is deeper is in --json. */
static void print_members(const cJSON *detail, struct buf *out)
{
	const cJSON *m;
	bool any = false;
	enum unit unit;
	size_t len;

	cJSON_ArrayForEach(m, detail)
	{
		if (cJSON_IsObject(m) || cJSON_IsArray(m) || cJSON_IsNull(m) || !m->string ||
		    (cJSON_IsString(m) && !*m->valuestring))
			continue;
		buf_puts(out, any ? ", " : "");
		any = true;
		unit = cJSON_IsNumber(m) ? unit_of(m->string, &len) : UNIT_NONE;
		if (unit == UNIT_NONE)
			len = strlen(m->string);
		for (size_t i = 0; i < len; i++)
			buf_add_safe(out, m->string[i] == '_' ? " " : m->string + i, 1);
		buf_puts(out, " ");
		if (cJSON_IsNumber(m))
			add_number(out, unit, m);
		else if (cJSON_IsBool(m))
			buf_puts(out, cJSON_IsTrue(m) ? "yes" : "no");
		else
			buf_add_safe(out, m->valuestring, strlen(m->valuestring));
	}
}

static void print_parts(const cJSON *parts, bool colours, struct buf *out)
{
	static const char *const heads[] = { "part", "state", "mode", "why, or what it does",
					     NULL };
	struct term_table *t = term_table_new(heads);
	const cJSON *p;

	cJSON_ArrayForEach(p, parts)
	{
		if (!cJSON_IsObject(p))
			continue;
		const char *mode = text_at(p, "mode"), *state = text_at(p, "state");
		struct buf detail = { 0 };

		if (*text_at(p, "why"))
			buf_puts(&detail, text_at(p, "why"));
		else
			print_members(at(p, "detail"), &detail);
		term_cell(t, TERM_PLAIN, "%s", text_at(p, "name"));
		term_cell(t, state_colour(state), "%s", state);
		term_cell(t, state_colour(mode), "%s", *mode ? mode : "-");
		term_cell(t, TERM_PLAIN, "%s", buf_text(&detail));
		buf_free(&detail);
	}
	buf_puts(out, "\n");
	term_table_add(t, "", colours, out);
	term_table_free(t);
}

static void hook_row(struct term_table *t, const cJSON *h)
{
	const char *state = text_at(h, "state"), *rung = text_at(h, "rung");
	char age[TERM_HUMAN];

	term_cell(t, TERM_PLAIN, "%s", text_at(h, "name"));
	term_cell(t, TERM_PLAIN, "%s", text_at(h, "type"));
	term_cell(t, TERM_PLAIN, "%s", *rung ? rung : "-");
	term_cell(t,
		  yes_at(h, "required") && strcmp(state, "proven") ? TERM_RED : state_colour(state),
		  "%s", state);
	term_cell(t, TERM_PLAIN, "%s", yes_at(h, "survives") ? "stays" : "ends");
	if (*text_at(h, "why"))
		term_cell(t, TERM_PLAIN, "%s", text_at(h, "why"));
	else if (at(h, "proven_ns"))
		term_cell(t, TERM_PLAIN, "%s ago, generation %llu", ago(age, h, "proven_age_ms"),
			  ull_at(h, "proven_gen"));
	else
		term_cell(t, TERM_DIM, "not proven yet");
}

static void print_hooks(const cJSON *parts, bool colours, struct buf *out)
{
	static const char *const heads[] = { "hook",  "type", "rung", "state", "without the sensor",
					     "proof", NULL };
	struct term_table *t = term_table_new(heads);
	unsigned rows = 0, hidden = 0;
	const cJSON *p, *h;

	cJSON_ArrayForEach(p, parts)
	{
		cJSON_ArrayForEach(h, at(p, "hooks"))
		{
			bool proven = !strcmp(text_at(h, "state"), "proven");

			if (!cJSON_IsObject(h))
				continue;
			if (proven && rows >= HOOK_ROWS_MAX)
				hidden++;
			else
				hook_row(t, h);
			rows++;
		}
	}
	if (rows) {
		buf_puts(out, "\n");
		term_table_add(t, "", colours, out);
	}
	if (hidden)
		buf_printf(out,
			   "and %u more that are proven (all of them: komainu status --json)\n",
			   hidden);
	term_table_free(t);
}

/* ---- events, store, memory, workers ---- */

static void add_term(struct buf *out, const cJSON *ring, const char *name, const char *what,
		     bool always)
{
	char n[TERM_HUMAN];

	if (always || u64_at(ring, name))
		buf_printf(out, " + %s %s", what, term_count(n, u64_at(ring, name)));
}

/* offered = delivered + dropped + throttled, and whatever else there is right now. */
static void print_ring(const char *name, const cJSON *ring, bool colours, struct buf *out)
{
	char offered[TERM_HUMAN], delivered[TERM_HUMAN];
	bool lost = u64_at(ring, "dropped") || u64_at(ring, "refused");

	if (!ring)
		return;
	term_add(out, colours, lost ? TERM_YELLOW : TERM_PLAIN, name);
	buf_printf(out, "%*soffered %s = delivered %s", 11 - (int)strlen(name), "",
		   term_count(offered, u64_at(ring, "offered")),
		   term_count(delivered, u64_at(ring, "delivered")));
	add_term(out, ring, "dropped", "dropped", true);
	add_term(out, ring, "throttled", "throttled", true);
	add_term(out, ring, "refused", "refused", false);
	add_term(out, ring, "before", "read by sensors before", false);
	add_term(out, ring, "in_ring", "in the ring", false);
	buf_puts(out, "\n");
}

static void print_stream(const char *name, const cJSON *st, struct buf *out)
{
	uint64_t first = u64_at(st, "first_seq"), last = u64_at(st, "seq"), kept = 0;
	char a[TERM_HUMAN], b[TERM_HUMAN], c[TERM_HUMAN], d[TERM_HUMAN];

	if (!st)
		return;
	if (last >= first && first)
		kept = last - first + 1;
	buf_printf(out, "%-10s %s of %s in %s segments, %s events", name,
		   term_bytes(a, u64_at(st, "bytes")), term_bytes(b, u64_at(st, "bytes_max")),
		   term_count(c, u64_at(st, "segments")), term_count(d, kept));
	buf_printf(out, ", %s since the start", term_count(a, u64_at(st, "stored")));
	if (u64_at(st, "dropped"))
		buf_printf(out, ", %s lost", term_count(a, u64_at(st, "dropped")));
	if (u64_at(st, "damaged"))
		buf_printf(out, ", %llu segments damaged", ull_at(st, "damaged"));
	buf_puts(out, "\n");
}

static void print_store(const cJSON *store, bool colours, struct buf *out)
{
	const cJSON *alarm;

	if (!store)
		return;
	head(out, colours, "store");
	print_stream("findings", at(store, "findings"), out);
	print_stream("telemetry", at(store, "telemetry"), out);
	cJSON_ArrayForEach(alarm, at(store, "alarms"))
	{
		if (!cJSON_IsString(alarm))
			continue;
		term_add(out, colours, TERM_RED, "alarm      ");
		buf_add_safe(out, alarm->valuestring, strlen(alarm->valuestring));
		buf_puts(out, "\n");
	}
}

static void print_memory(const cJSON *m, bool colours, struct buf *out)
{
	uint64_t user = u64_at(m, "user_bytes"), formula = u64_at(m, "formula_bytes");
	uint64_t maps = u64_at(m, "map_bytes"), limit = u64_at(m, "limit_bytes");
	char a[TERM_HUMAN], b[TERM_HUMAN];

	if (!m)
		return;
	head(out, colours, "memory");
	buf_printf(out, "sensor     %s now, at most %s by formula", term_bytes(a, user),
		   term_bytes(b, formula));
	if (user > formula)
		term_add(out, colours, TERM_YELLOW, ": more than it should");
	buf_printf(out, "\nmaps       %s in the kernel", term_bytes(a, maps));
	if (limit)
		buf_printf(out, ", the policy's %s of them (with the next policy's at most %s)",
			   term_bytes(a, u64_at(m, "policy_bytes")), term_bytes(b, limit));
	buf_printf(out, "\ntogether   %s\n", term_bytes(a, user + maps));
}

static void print_rest(const cJSON *s, bool colours, struct buf *out)
{
	const cJSON *w = at(s, "workers"), *l = at(s, "loop"), *c = at(s, "control");
	char turn[TERM_HUMAN];

	head(out, colours, "processes");
	if (w) {
		buf_printf(out, "workers    %llu alive, %llu jobs done, %llu failed, %llu died: ",
			   ull_at(w, "alive"), ull_at(w, "done"), ull_at(w, "failed"),
			   ull_at(w, "died"));
		buf_add_safe(out, text_at(w, "sandbox"), strlen(text_at(w, "sandbox")));
		buf_puts(out, "\n");
	}
	if (*text_at(s, "limits")) {
		buf_puts(out, "limits     ");
		term_add(out, colours, TERM_YELLOW, text_at(s, "limits"));
		buf_puts(out, "\n");
	}
	if (l)
		buf_printf(out, "loop       longest turn %s\n",
			   term_duration(turn, times(u64_at(l, "worst_turn_us"), 1000)));
	if (c)
		buf_printf(out, "control    %llu requests, %llu refused\n", ull_at(c, "requests"),
			   ull_at(c, "denied") + ull_at(c, "bad") + ull_at(c, "busy"));
}

void status_print(const cJSON *s, bool colours, struct buf *out)
{
	const cJSON *events = at(s, "events");

	print_top(s, colours, out);
	print_parts(at(s, "parts"), colours, out);
	print_hooks(at(s, "parts"), colours, out);
	if (events) {
		head(out, colours, "events");
		print_ring("findings", at(events, "findings"), colours, out);
		print_ring("telemetry", at(events, "telemetry"), colours, out);
	}
	print_store(at(s, "store"), colours, out);
	print_memory(at(s, "memory"), colours, out);
	print_rest(s, colours, out);
}

int status_exit(const cJSON *s)
{
	return strcmp(text_at(s, "state"), "active") != 0 ? CLI_DEGRADED : CLI_GOOD;
}
