#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/utf8.h"
#include "control/status.h"
#include "core/command.h"

/* Golden files lie beside this one. KMN_GOLDEN=1 writes them anew: look at them before a commit. */

#define FOLDER "tests/control/"
#define FILE_MAX 65536

static char *read_whole(const char *name)
{
	char *text = calloc(1, FILE_MAX);
	FILE *f = fopen(name, "re");

	assert_non_null(text);
	if (!f)
		fail_msg("%s: not there (run it from the top of the tree)", name);
	assert_true(fread(text, 1, FILE_MAX - 1, f) > 0);
	fclose(f);
	return text;
}

static cJSON *read_status(const char *name)
{
	char *text = read_whole(name);
	cJSON *j = cJSON_Parse(text);

	if (!j)
		fail_msg("%s: no JSON at %s", name, cJSON_GetErrorPtr());
	free(text);
	return j;
}

static void compare(const char *json, const char *golden, int code)
{
	cJSON *status = read_status(json);
	struct buf out = { 0 };
	char *want;

	status_print(status, false, &out);
	assert_int_equal(status_exit(status), code);
	if (getenv("KMN_GOLDEN")) {
		FILE *f = fopen(golden, "we");

		assert_non_null(f);
		assert_int_equal(fwrite(out.data, 1, out.len, f), out.len);
		fclose(f);
	}
	want = read_whole(golden);
	assert_string_equal(buf_text(&out), want);
	free(want);
	buf_free(&out);
	cJSON_Delete(status);
}

static void a_whole_status_reads_as_the_golden_file(void **state)
{
	(void)state;
	compare(FOLDER "status_good.json", FOLDER "status_good.txt", CLI_GOOD);
}

static void a_hostile_and_broken_status_reads_as_the_golden_file(void **state)
{
	(void)state;
	compare(FOLDER "status_hostile.json", FOLDER "status_hostile.txt", CLI_DEGRADED);
}

/* Every escape is one of ours, everything else is harmless. */
static void no_control_character_reaches_the_terminal(void **state)
{
	cJSON *status = read_status(FOLDER "status_hostile.json");
	struct buf out = { 0 };
	size_t n;

	(void)state;
	for (int colours = 0; colours < 2; colours++) {
		buf_reset(&out);
		status_print(status, colours, &out);
		for (size_t i = 0; i < out.len; i += n) {
			uint32_t cp = 0;

			n = utf8_next(out.data + i, out.len - i, &cp);
			assert_true(n > 0);
			if (cp == 0x1b) {
				assert_true(colours);
				assert_int_equal(out.data[i + 1], '[');
				n = strspn(out.data + i + 2, "0123456789") + 3;
				assert_int_equal(out.data[i + n - 1], 'm');
				continue;
			}
			assert_true(cp == '\n' || !utf8_hostile(cp));
		}
	}
	buf_free(&out);
	cJSON_Delete(status);
}

static void an_empty_status_is_degraded_and_harms_nobody(void **state)
{
	cJSON *status = cJSON_Parse("{}");
	struct buf out = { 0 };

	(void)state;
	status_print(status, true, &out);
	assert_int_equal(status_exit(status), CLI_DEGRADED);
	status_print(NULL, false, &out);
	assert_int_equal(status_exit(NULL), CLI_DEGRADED);
	buf_free(&out);
	cJSON_Delete(status);
}

static void many_proven_hooks_are_cut_and_the_failed_ones_are_not(void **state)
{
	struct buf json = { 0 }, out = { 0 };
	cJSON *status;
	unsigned failed = 0;

	(void)state;
	buf_puts(&json, "{\"state\":\"degraded\",\"parts\":[{\"name\":\"net\",\"hooks\":[");
	for (int i = 0; i < 300; i++)
		buf_printf(&json, "%s{\"name\":\"h%d\",\"state\":\"%s\",\"why\":\"\"}",
			   i ? "," : "", i, i % 3 ? "proven" : "failed");
	buf_puts(&json, "]}]}");
	status = cJSON_Parse(buf_text(&json));
	assert_non_null(status);
	status_print(status, false, &out);
	for (const char *p = strstr(buf_text(&out), " failed "); p; p = strstr(p + 1, " failed "))
		failed++;
	assert_int_equal(failed, 100);
	assert_non_null(strstr(buf_text(&out), "more that are proven"));
	buf_free(&json);
	buf_free(&out);
	cJSON_Delete(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_status_reads_as_the_golden_file),
		cmocka_unit_test(a_hostile_and_broken_status_reads_as_the_golden_file),
		cmocka_unit_test(no_control_character_reaches_the_terminal),
		cmocka_unit_test(an_empty_status_is_degraded_and_harms_nobody),
		cmocka_unit_test(many_proven_hooks_are_cut_and_the_failed_ones_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
