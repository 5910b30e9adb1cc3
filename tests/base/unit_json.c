#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cjson/cJSON.h>
#include <cmocka.h>
#include "base/json.h"

static void a_document_reads_as_written(void **state)
{
	struct buf b = { 0 };
	struct json j = json_on(&b);

	(void)state;
	json_object(&j, NULL);
	json_u64(&j, "max", UINT64_MAX);
	json_u64(&j, "zero", 0);
	json_u64(&j, "odd", 9007199254740993ULL); /* 2^53 + 1 */
	json_i64(&j, "min", INT64_MIN);
	json_bool(&j, "yes", true);
	json_null(&j, "none");
	json_array(&j, "list");
	json_str(&j, NULL, "a\"b\\c");
	json_object(&j, NULL);
	json_end(&j);
	json_array(&j, NULL);
	json_end(&j);
	json_double(&j, NULL, 0.1);
	json_double(&j, NULL, NAN);
	json_end(&j);
	json_str(&j, "null", NULL);
	json_printf(&j, "f", "%s-%d", "x", 7);
	json_base64(&j, "b64", (struct text){ "\xff\xfe\x00", 3 });
	json_base64(&j, "b1", (struct text){ "a", 1 });
	json_base64(&j, "b2", (struct text){ "ab", 2 });
	json_end(&j);
	assert_string_equal(
		buf_text(&b),
		"{\"max\":18446744073709551615,\"zero\":0,\"odd\":9007199254740993,"
		"\"min\":-9223372036854775808,\"yes\":true,\"none\":null,\"list\":[\"a\\\"b\\\\c\","
		"{},[],0.1,null],\"null\":null,\"f\":\"x-7\",\"b64\":\"//4A\",\"b1\":\"YQ==\","
		"\"b2\":\"YWI=\"}");
	assert_false(j.bad);
	assert_int_equal(j.level, 0);
	buf_free(&b);
}

static void hostile_text_is_repaired_or_escaped(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "\x01\x1f\x7f\n\t\r", "\"\\u0001\\u001f\\u007f\\n\\t\\u000d\"" },
		{ "\xff\xfe", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "a\xe2\x80", "\"a\xef\xbf\xbd\"" }, /* one for a character cut short */
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe2\x80\xa8", "\"\\u2028\"" },
		{ "\xe2\x80\xae", "\"\\u202e\"" },
		{ "\xc2\x9b", "\"\\u009b\"" },
		{ "\xf3\xa0\x81\x81", "\"\\udb40\\udc41\"" },
		{ "caf\xc3\xa9 \xf0\x9f\x90\x95", "\"caf\xc3\xa9 \xf0\x9f\x90\x95\"" },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct json j = json_on(&b);

		buf_reset(&b);
		json_str(&j, NULL, t[i].in);
		assert_string_equal(buf_text(&b), t[i].out);
	}
	buf_reset(&b);
	struct json j = json_on(&b);
	json_text(&j, NULL, (struct text){ "a\0b", 3 });
	assert_string_equal(buf_text(&b), "\"a\\u0000b\"");
	buf_free(&b);
}

static void doubles_read_back_equal(void **state)
{
	static const double t[] = { 0,	     -0.0,	   1,	     1.5,  1e300, 5e-324, DBL_MAX,
				    1.0 / 3, 1e15 + 0.125, 123456.7, -1e-7 };
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct json j = json_on(&b);

		buf_reset(&b);
		json_double(&j, NULL, t[i]);
		assert_true(strtod(buf_text(&b), NULL) == t[i]);
	}
	buf_reset(&b);
	struct json j = json_on(&b);
	json_double(&j, NULL, INFINITY);
	assert_string_equal(buf_text(&b), "null");
	buf_free(&b);
}

static void what_is_too_deep_is_left_out_and_the_rest_stays_json(void **state)
{
	struct buf b = { 0 };
	struct json j = json_on(&b);
	cJSON *doc;

	(void)state;
	for (int i = 0; i < 40; i++)
		json_array(&j, NULL);
	json_u64(&j, NULL, 1);
	for (int i = 0; i < 40; i++)
		json_end(&j);
	assert_true(j.bad);
	assert_int_equal(j.level, 0);
	doc = cJSON_Parse(buf_text(&b));
	assert_non_null(doc);
	cJSON_Delete(doc);
	buf_free(&b);
}

static void a_misplaced_key_is_marked_bad_and_the_rest_stays_json(void **state)
{
	struct buf b = { 0 };
	struct json j = json_on(&b);

	(void)state;
	json_object(&j, NULL);
	json_u64(&j, NULL, 1); /* no key in an object */
	json_array(&j, NULL);
	json_u64(&j, NULL, 2);
	json_end(&j);
	json_array(&j, "a");
	json_u64(&j, "k", 3); /* a key in an array */
	json_u64(&j, NULL, 4);
	json_end(&j);
	json_end(&j);
	assert_true(j.bad);
	assert_string_equal(buf_text(&b), "{\"a\":[4]}");
	json_end(&j); /* one too many */
	assert_string_equal(buf_text(&b), "{\"a\":[4]}");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_reads_as_written),
		cmocka_unit_test(hostile_text_is_repaired_or_escaped),
		cmocka_unit_test(doubles_read_back_equal),
		cmocka_unit_test(what_is_too_deep_is_left_out_and_the_rest_stays_json),
		cmocka_unit_test(a_misplaced_key_is_marked_bad_and_the_rest_stays_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
