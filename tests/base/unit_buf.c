#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/utf8.h"

static const char *safe(struct buf *b, const char *text, size_t len)
{
	buf_reset(b);
	buf_add_safe(b, text, len);
	return buf_text(b);
}

static void a_growing_buffer_takes_everything(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_string_equal(buf_text(&b), "");
	for (int i = 0; i < 10000; i++)
		buf_printf(&b, "%05d,", i);
	assert_int_equal(b.len, 60000);
	assert_false(b.cut);
	assert_memory_equal(buf_text(&b) + 6 * 9999, "09999,", 7);
	buf_free(&b);
	assert_null(b.data);
}

static void a_fixed_buffer_cuts_and_says_so(void **state)
{
	char mem[8 + 1] = "########"; /* the last byte is not the buffer's */
	struct buf b = buf_fixed(mem, 8);

	(void)state;
	buf_puts(&b, "abc");
	assert_false(b.cut);
	buf_puts(&b, "defgh");
	assert_true(b.cut);
	assert_string_equal(buf_text(&b), "abcdefg");
	assert_int_equal(mem[8], 0);
	buf_reset(&b);
	buf_printf(&b, "%s", "0123456789");
	assert_true(b.cut);
	assert_string_equal(buf_text(&b), "0123456");
	buf_reset(&b);
	buf_puts(&b, "1234567");
	assert_false(b.cut);
	buf_puts(&b, "");
	assert_false(b.cut);
}

static void nothing_is_added_behind_a_cut(void **state)
{
	char mem[8];
	struct buf b = buf_fixed(mem, sizeof(mem));

	(void)state;
	buf_puts(&b, "12345678");
	b.len = 2; /* room again, but there is a hole */
	buf_puts(&b, "x");
	buf_printf(&b, "x");
	assert_int_equal(b.len, 2);
	b = buf_fixed(NULL, 0);
	buf_puts(&b, "x");
	assert_true(b.cut);
	assert_string_equal(buf_text(&b), "");
}

static void hostile_characters_are_escaped(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "plain name.txt", "plain name.txt" },
		{ "\x1b[2J", "\\x1b[2J" },		      /* clear the screen */
		{ "\x1b]0;title\x07", "\\x1b]0;title\\x07" }, /* set the title */
		{ "a\nb\rc\td", "a\\x0ab\\x0dc\\x09d" },
		{ "\x7f", "\\x7f" },
		{ "\xc2\x9b"
		  "2J",
		  "\\xc2\\x9b2J" },				       /* CSI as C1 */
		{ "gpj.\xe2\x80\xae.exe", "gpj.\\xe2\\x80\\xae.exe" }, /* right to left override */
		{ "\xe2\x81\xa6x\xe2\x81\xa9", "\\xe2\\x81\\xa6x\\xe2\\x81\\xa9" }, /* isolate */
		{ "a\xe2\x80\x8b"
		  "b",
		  "a\\xe2\\x80\\x8b"
		  "b" },					/* zero width space */
		{ "\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81" }, /* tag letter A */
		{ "caf\xc3\xa9 \xe7\x8b\x9b\xe7\x8a\xac \xf0\x9f\x90\x95",
		  "caf\xc3\xa9 \xe7\x8b\x9b\xe7\x8a\xac \xf0\x9f\x90\x95" },
		{ "\xff\xfe", "\\xff\\xfe" },
		{ "\xc0\xaf", "\\xc0\\xaf" },			/* overlong / */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },		/* surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* above U+10FFFF */
		{ "\xe2\x80", "\\xe2\\x80" },			/* cut short */
		{ "fake \\x1b", "fake \\x5cx1b" },
		{ "c:\\dir\\n", "c:\\dir\\n" },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		assert_string_equal(safe(&b, t[i].in, strlen(t[i].in)), t[i].out);
	assert_string_equal(safe(&b, "a\0b", 3), "a\\x00b");
	buf_free(&b);
}

/* Any bytes: no control byte comes out, what comes out is UTF-8, and the bytes can be read back. */
static void random_bytes_come_out_harmless_and_whole(void **state)
{
	struct buf b = { 0 }, back = { 0 };
	unsigned seed = 1;
	char in[64];

	(void)state;
	for (int run = 0; run < 100000; run++) {
		size_t n = (size_t)rand_r(&seed) % sizeof(in);
		const char *out;

		for (size_t i = 0; i < n; i++)
			in[i] = (char)(rand_r(&seed) % 3 ? rand_r(&seed)
							 : "\\x\xe2\x80\x1b"[rand_r(&seed) % 5]);
		out = safe(&b, in, n);
		assert_true(utf8_valid(out, b.len));
		buf_reset(&back);
		for (size_t i = 0; i < b.len; i++) {
			unsigned v;

			assert_true((unsigned char)out[i] >= 0x20 && out[i] != 0x7f);
			if (out[i] == '\\' && out[i + 1] == 'x') {
				char hex[3] = { out[i + 2], out[i + 3], 0 };

				v = (unsigned)strtoul(hex, NULL, 16);
				buf_putc(&back, (char)v);
				i += 3;
			} else {
				buf_putc(&back, out[i]);
			}
		}
		assert_int_equal(back.len, n);
		assert_memory_equal(back.data ? back.data : in, in, n);
	}
	buf_free(&b);
	buf_free(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_growing_buffer_takes_everything),
		cmocka_unit_test(a_fixed_buffer_cuts_and_says_so),
		cmocka_unit_test(nothing_is_added_behind_a_cut),
		cmocka_unit_test(hostile_characters_are_escaped),
		cmocka_unit_test(random_bytes_come_out_harmless_and_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
