#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/metrics.h"

static int setup(void **state)
{
	*state = metrics_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	metrics_free(*state);
	return 0;
}

static void expect(struct kmn_metrics *m, const char *text)
{
	struct buf out = { 0 };

	metrics_text(m, &out);
	assert_string_equal(buf_text(&out), text);
	buf_free(&out);
}

static void a_family_is_one_group_whoever_writes_it(void **state)
{
	metrics_family(*state, "komainu_hooks", METRICS_GAUGE, "Hooks.");
	metrics_u64(*state, 2, "part", "net", NULL);
	metrics_family(*state, "komainu_events_total", METRICS_COUNTER, "Events.");
	metrics_u64(*state, 18446744073709551615ULL, NULL);
	metrics_family(*state, "komainu_hooks", METRICS_GAUGE, "another help");
	metrics_u64(*state, 3, "part", "tasks", "state", "proven", NULL);
	expect(*state, "# HELP komainu_hooks Hooks.\n"
		       "# TYPE komainu_hooks gauge\n"
		       "komainu_hooks{part=\"net\"} 2\n"
		       "komainu_hooks{part=\"tasks\",state=\"proven\"} 3\n"
		       "# HELP komainu_events_total Events.\n"
		       "# TYPE komainu_events_total counter\n"
		       "komainu_events_total 18446744073709551615\n");
}

static void help_and_labels_are_escaped_and_safe(void **state)
{
	metrics_family(*state, "komainu_x", METRICS_GAUGE, "a \\ b\nc \"d\"");
	metrics_u64(*state, 1, "name", "q\"b\\s\nl\033[2J", NULL);
	metrics_u64(*state, 2, "name", NULL, NULL);
	expect(*state, "# HELP komainu_x a \\\\ b\\nc \"d\"\n"
		       "# TYPE komainu_x gauge\n"
		       "komainu_x{name=\"q\\\"b\\\\s\\\\x0al\\\\x1b[2J\"} 1\n"
		       "komainu_x{name=\"\"} 2\n");
}

static void numbers_are_those_of_the_format(void **state)
{
	metrics_family(*state, "komainu_seconds", METRICS_GAUGE, "Time.");
	metrics_double(*state, 0.25, NULL);
	metrics_double(*state, NAN, NULL);
	metrics_double(*state, INFINITY, NULL);
	metrics_double(*state, -INFINITY, NULL);
	expect(*state, "# HELP komainu_seconds Time.\n# TYPE komainu_seconds gauge\n"
		       "komainu_seconds 0.25\nkomainu_seconds NaN\nkomainu_seconds +Inf\n"
		       "komainu_seconds -Inf\n");
}

static void names_against_the_rules_are_left_out_and_counted(void **state)
{
	static const char *const bad[] = { "events_total", "komainu_Events", "komainu_a-b",
					   "komainu_", "komainu_a b" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		metrics_family(*state, bad[i], METRICS_GAUGE, "Bad.");
		metrics_u64(*state, 1, NULL);
	}
	metrics_family(*state, "komainu_events", METRICS_COUNTER, "A counter without its end.");
	metrics_u64(*state, 1, NULL);
	expect(*state, "# HELP komainu_metrics_left_out_total Samples not shown.\n"
		       "# TYPE komainu_metrics_left_out_total counter\n"
		       "komainu_metrics_left_out_total 6\n");
}

static void families_and_samples_are_bounded(void **state)
{
	struct buf out = { 0 };
	char name[40];

	for (int i = 0; i < METRICS_FAMILIES_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "komainu_f%d", i);
		metrics_family(*state, name, METRICS_GAUGE, "One of many.");
		metrics_u64(*state, 1, NULL);
	}
	metrics_family(*state, "komainu_f0", METRICS_GAUGE, "One of many.");
	for (int i = 0; i < METRICS_SAMPLES_MAX; i++)
		metrics_u64(*state, 1, NULL);
	metrics_text(*state, &out);
	(void)snprintf(name, sizeof(name), "left_out_total %d\n", 10 + METRICS_FAMILIES_MAX);
	assert_non_null(strstr(buf_text(&out), name));
	buf_free(&out);
}

static void without_memory_nothing_happens(void **state)
{
	struct buf out = { 0 };

	(void)state;
	metrics_family(NULL, "komainu_x", METRICS_GAUGE, "X.");
	metrics_u64(NULL, 1, NULL);
	metrics_double(NULL, 1, NULL);
	metrics_text(NULL, &out);
	assert_int_equal(out.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_family_is_one_group_whoever_writes_it),
		TEST(help_and_labels_are_escaped_and_safe),
		TEST(numbers_are_those_of_the_format),
		TEST(names_against_the_rules_are_left_out_and_counted),
		TEST(families_and_samples_are_bounded),
		TEST(without_memory_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
