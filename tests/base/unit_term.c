#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/near.h"
#include "base/term.h"

static void sizes_have_the_unit_that_reads_best(void **state)
{
	char t[TERM_HUMAN];

	(void)state;
	assert_string_equal(term_bytes(t, 0), "0 B");
	assert_string_equal(term_bytes(t, 1023), "1023 B");
	assert_string_equal(term_bytes(t, 1024), "1.0 KiB");
	assert_string_equal(term_bytes(t, 10 << 10), "10 KiB");
	assert_string_equal(term_bytes(t, 128ULL << 20), "128 MiB");
	assert_string_equal(term_bytes(t, UINT64_MAX), "16 EiB");
}

static void durations_have_the_unit_that_reads_best(void **state)
{
	char t[TERM_HUMAN];

	(void)state;
	assert_string_equal(term_duration(t, 0), "0 us");
	assert_string_equal(term_duration(t, 12 * NS_PER_MS), "12 ms");
	assert_string_equal(term_duration(t, 3 * NS_PER_S), "3 s");
	assert_string_equal(term_duration(t, 119 * NS_PER_S), "119 s");
	assert_string_equal(term_duration(t, 120 * NS_PER_S), "2 min");
	assert_string_equal(term_duration(t, (4 * 3600 + 600) * NS_PER_S), "4 h 10 min");
	assert_string_equal(term_duration(t, (50 * 3600) * NS_PER_S), "2 d 2 h");
	assert_true(strlen(term_duration(t, UINT64_MAX)) < TERM_HUMAN);
}

static void counts_have_their_thousands_apart(void **state)
{
	char t[TERM_HUMAN];

	(void)state;
	assert_string_equal(term_count(t, 0), "0");
	assert_string_equal(term_count(t, 999), "999");
	assert_string_equal(term_count(t, 1000), "1,000");
	assert_string_equal(term_count(t, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void columns_are_aligned_and_cells_are_safe(void **state)
{
	static const char *const heads[] = { "name", ">n", "why", NULL };
	struct term_table *t = term_table_new(heads);
	struct buf out = { 0 };

	(void)state;
	term_cell(t, TERM_GREEN, "a");
	term_cell(t, TERM_PLAIN, "%d", 1);
	term_cell(t, TERM_PLAIN, "first");
	term_cell(t, TERM_RED, "b\033[2J\n");
	term_cell(t, TERM_PLAIN, "%d", 1000);
	term_cell(t, TERM_PLAIN, "Grüße");
	term_table_add(t, "  ", false, &out);
	assert_string_equal(buf_text(&out), "  name             n  why\n"
					    "  a                1  first\n"
					    "  b\\x1b[2J\\x0a  1000  Grüße\n");
	buf_reset(&out);
	term_table_add(t, "", true, &out);
	assert_non_null(strstr(buf_text(&out), "\033[32ma\033[0m             "));
	assert_null(strstr(buf_text(&out), "\033[2J"));
	term_table_free(t);
	buf_free(&out);
}

static void a_table_is_bounded_and_says_what_is_missing(void **state)
{
	static const char *const heads[] = { "n", NULL };
	struct term_table *t = term_table_new(heads);
	struct buf out = { 0 };

	(void)state;
	for (int i = 0; i < TERM_ROWS_MAX + 5; i++)
		term_cell(t, TERM_PLAIN, "%d", i);
	term_table_add(t, "", false, &out);
	assert_non_null(strstr(buf_text(&out), "(5 more cells left out)"));
	term_table_free(t);
	buf_free(&out);
}

static void lines_stay_lines_and_the_rest_is_safe(void **state)
{
	struct buf out = { 0 };

	(void)state;
	term_add_lines(&out, "a\nb\rc\n\n\033d", 9);
	assert_string_equal(buf_text(&out), "a\nb\\x0dc\n\n\\x1bd");
	buf_free(&out);
}

static void colours_are_for_terminals_only(void **state)
{
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	assert_int_equal(setenv("TERM", "xterm", 1), 0);
	assert_int_equal(unsetenv("NO_COLOR"), 0);
	assert_false(term_colours(f));
	fclose(f);
}

static void near_words_are_found_and_far_ones_are_not(void **state)
{
	static const char *const words[] = { "status", "stop", "reload", "policy check", NULL };

	(void)state;
	assert_string_equal(near_word("stauts", words), "status");
	assert_string_equal(near_word("stats", words), "status");
	assert_string_equal(near_word("relaod", words), "reload");
	assert_string_equal(near_word("policy chekc", words), "policy check");
	assert_null(near_word("xyzzy", words));
	assert_null(near_word("", words));
	assert_int_equal(near_distance("ab", "ba", 3), 1);
	assert_int_equal(near_distance("abc", "", 3), 3);
	assert_int_equal(near_distance("abcdef", "uvwxyz", 3), 4); /* beyond the limit */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_have_the_unit_that_reads_best),
		cmocka_unit_test(durations_have_the_unit_that_reads_best),
		cmocka_unit_test(counts_have_their_thousands_apart),
		cmocka_unit_test(columns_are_aligned_and_cells_are_safe),
		cmocka_unit_test(a_table_is_bounded_and_says_what_is_missing),
		cmocka_unit_test(lines_stay_lines_and_the_rest_is_safe),
		cmocka_unit_test(colours_are_for_terminals_only),
		cmocka_unit_test(near_words_are_found_and_far_ones_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
