#include <fcntl.h>
#include <time.h>
#include "control/events_query.h"
#include "event/sample.h"
#include "event/store_tool.h"

#define NOW (1790000000ULL * NS_PER_S) /* 2026-09-21T14:13:20Z */

static struct event_kinds kinds;
static const struct kmn_event_kind of_firewall[] = { { .kind = KMN_EV_DENIED, .name = "denied" },
						     { .kind = 16, .name = "exec" },
						     { 0 } };

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	event_kinds_init(&kinds);
	event_kinds_add(&kinds, KMN_MOD_firewall, "firewall", of_firewall, NULL);
	event_kinds_add(&kinds, KMN_SVC_tasks, "tasks", of_firewall, NULL);
	return 0;
}

/* The words of a command line, cut at blanks. */
static bool parse(struct events_query *q, const char *line)
{
	static char copy[512];
	char *argv[32] = { "events" }, *word, *rest = copy;
	int argc = 1;

	memset(q, 0, sizeof(*q));
	q->kinds = &kinds;
	(void)snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " ")))
		if (*word)
			argv[argc++] = word;
	return events_query_parse(q, argc, argv, NOW);
}

static bool matches(const char *line, const struct event *ev)
{
	struct events_query q;
	bool yes;

	if (!parse(&q, line))
		fail_msg("%s is refused", line);
	yes = events_query_match(&q, ev);
	buf_free(&q.line);
	return yes;
}

static void times_are_understood(void **state)
{
	static const struct {
		const char *text;
		uint64_t want_s;
	} good[] = {
		{ "30s", 1790000000 - 30 },
		{ "10m", 1790000000 - 600 },
		{ "2h", 1790000000 - 7200 },
		{ "7d", 1790000000 - 604800 },
		{ "1w", 1790000000 - 604800 },
		{ "0s", 1790000000 },
		{ "2026-09-21", 1789948800 },
		{ "2026-09-21T14:13:20Z", 1790000000 },
		{ "2026-09-21 14:13:20", 1790000000 },
		{ "2026-09-21T14:13", 1789999980 },
	};
	static const char *const bad[] = { "",
					   "m",
					   "10",
					   "10x",
					   "-5m",
					   "99999999999d",
					   "2026-13-01",
					   "2026-09-21T25:00",
					   "yesterday",
					   "2026-09-21x",
					   "1m30s",
					   "2026-09-21T14:13:20ZZ",
					   "00000000000000000000000000000000000000000000" };
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(events_time(good[i].text, NOW, &ns));
		assert_int_equal(ns / NS_PER_S, good[i].want_s);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (events_time(bad[i], NOW, &ns))
			fail_msg("%s is taken for a time", bad[i]);
}

static void each_option_selects(void **state)
{
	struct event ev;

	(void)state;
	sample_event(
		&ev); /* firewall, denied, high, 2026-09-21T14:13:20Z, pid 1234, container web */
	assert_true(matches("", &ev));
	assert_true(matches("--module firewall", &ev));
	assert_true(matches("--module tasks,firewall", &ev));
	assert_false(matches("--module tasks", &ev));
	assert_true(matches("--kind denied", &ev));
	assert_true(matches("--kind exec,denied", &ev));
	assert_false(matches("--kind exec", &ev));
	assert_true(matches("--severity high", &ev));
	assert_true(matches("--severity medium+", &ev));
	assert_false(matches("--severity critical", &ev));
	assert_true(matches("--pid 1234", &ev));
	assert_true(matches("--pid 1232", &ev)); /* an ancestor */
	assert_false(matches("--pid 99", &ev));
	assert_true(matches("--container web", &ev));
	assert_true(matches("--container 01234567", &ev));
	assert_false(matches("--container we", &ev));
	assert_true(matches("--grep CURL", &ev));
	assert_false(matches("--grep wget", &ev));
	assert_true(matches("--since 2026-09-21T14:13:20Z", &ev));
	assert_false(matches("--since 2026-09-21T14:13:21Z", &ev));
	assert_true(matches("--until 2026-09-21T14:13:21Z", &ev));
	assert_false(matches("--until 2026-09-21T14:13:20Z", &ev)); /* .123 later */
	assert_false(matches("--severity high --pid 99", &ev));	    /* all of them must hold */
}

static void mistakes_are_refused(void **state)
{
	static const char *const bad[] = {
		"--module firewal",
		"--kind denyed",
		"--severity loud",
		"--stream all2",
		"--pid 0",
		"--pid 12x",
		"--pid",
		"-n -3",
		"-n 10x",
		"--since",
		"--since tomorrow",
		"--nothing",
		"argument",
		"--pid 99999999999",
	};
	const char *accepted = NULL;
	struct events_query q;
	int keep = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

	(void)state;
	assert_true(keep >= 0 && null >= 0 && dup2(null, STDERR_FILENO) >= 0); /* each says why */
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (parse(&q, bad[i]))
			accepted = bad[i];
	(void)dup2(keep, STDERR_FILENO);
	close(keep);
	close(null);
	if (accepted)
		fail_msg("%s is accepted", accepted);
}

static void how_many_depends_on_what_was_asked(void **state)
{
	struct events_query q;

	(void)state;
	assert_true(parse(&q, "") && q.last == 100);
	assert_true(parse(&q, "-f") && q.last == 10 && q.follow);
	assert_true(parse(&q, "--since 1h") && q.last == UINT64_MAX);
	assert_true(parse(&q, "-n 7") && q.last == 7);
	assert_true(parse(&q, "-n all") && q.last == UINT64_MAX);
	assert_true(parse(&q, "--since 1h -n 5 --json") && q.last == 5 && q.json);
}

static void the_filter_lets_through_whatever_could_match(void **state)
{
	struct segment_filter f;
	struct events_query q;
	uint64_t modules = 0, services = 0;

	(void)state;
	assert_true(parse(&q, "--module tasks --severity high --since 1h"));
	events_query_filter(&q, &f);
	segment_part_bits(KMN_SVC_tasks, &modules, &services);
	assert_int_equal(f.services, services);
	assert_int_equal(f.modules, 0);
	assert_int_equal(f.from_ns, NOW - 3600 * NS_PER_S);
	assert_int_equal(f.to_ns, 0);
	assert_int_equal(f.severities & 0x3f, 1 << EVENT_HIGH | 1 << EVENT_CRITICAL);
	assert_true(parse(&q, "--pid 5"));
	events_query_filter(&q, &f);
	assert_int_equal(f.modules | f.services | f.severities | f.from_ns | f.to_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_understood),
		cmocka_unit_test(each_option_selects),
		cmocka_unit_test(mistakes_are_refused),
		cmocka_unit_test(how_many_depends_on_what_was_asked),
		cmocka_unit_test(the_filter_lets_through_whatever_could_match),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
