#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/json.h"
#include "base/utf8.h"

#define JSON_LEVELS 32

struct json json_on(struct buf *out)
{
	return (struct json){ .out = out };
}

static void put_escaped(struct buf *b, uint32_t cp)
{
	static const char hex[] = "0123456789abcdef";
	uint16_t unit[2] = { (uint16_t)cp, 0 };
	int n = 1;

	if (cp > 0xffff) { /* a surrogate pair */
		unit[0] = (uint16_t)(0xd800 + ((cp - 0x10000) >> 10));
		unit[1] = (uint16_t)(0xdc00 + ((cp - 0x10000) & 0x3ff));
		n = 2;
	}
	for (int i = 0; i < n; i++) {
		char esc[] = { '\\',
			       'u',
			       hex[unit[i] >> 12],
			       hex[unit[i] >> 8 & 15],
			       hex[unit[i] >> 4 & 15],
			       hex[unit[i] & 15] };

		buf_add(b, esc, sizeof(esc));
	}
}

static void put_string(struct buf *b, const char *s, size_t len)
{
	size_t from = 0; /* start of the run that is written as it is */
	uint32_t cp;

	buf_putc(b, '"');
	for (size_t i = 0; i < len;) {
		size_t n = utf8_next(s + i, len - i, &cp);

		if (n && cp != '"' && cp != '\\' && !utf8_hostile(cp)) {
			i += n;
			continue;
		}
		buf_add(b, s + from, i - from);
		if (!n)
			buf_puts(b, "\xef\xbf\xbd"); /* U+FFFD */
		else if (cp == '"' || cp == '\\')
			buf_add(b, (char[]){ '\\', (char)cp }, 2);
		else if (cp == '\n')
			buf_puts(b, "\\n");
		else if (cp == '\t')
			buf_puts(b, "\\t");
		else
			put_escaped(b, cp);
		i += n ? n : cp;
		from = i;
	}
	buf_add(b, s + from, len - from);
	buf_putc(b, '"');
}

/* Comma and key before a value; false: nothing may be written here. */
static bool before(struct json *j, const char *key)
{
	uint32_t bit;

	if (j->skipped)
		return false;
	if (!j->level) {
		j->bad |= key != NULL;
		return true;
	}
	bit = 1u << (j->level - 1);
	if (!key != !!(j->arrays & bit)) {
		j->bad = true;
		return false;
	}
	if (j->started & bit)
		buf_putc(j->out, ',');
	j->started |= bit;
	if (key) {
		put_string(j->out, key, strlen(key));
		buf_putc(j->out, ':');
	}
	return true;
}

static void open_level(struct json *j, const char *key, bool array)
{
	bool ok = before(j, key);

	if (!ok || j->level == JSON_LEVELS) {
		j->bad = true;
		j->skipped++;
		if (ok)
			buf_puts(j->out, "null");
		return;
	}
	buf_putc(j->out, array ? '[' : '{');
	j->level++;
	j->started &= ~(1u << (j->level - 1));
	if (array)
		j->arrays |= 1u << (j->level - 1);
	else
		j->arrays &= ~(1u << (j->level - 1));
}

void json_object(struct json *j, const char *key)
{
	open_level(j, key, false);
}

void json_array(struct json *j, const char *key)
{
	open_level(j, key, true);
}

void json_end(struct json *j)
{
	if (j->skipped) {
		j->skipped--;
	} else if (!j->level) {
		j->bad = true;
	} else {
		j->level--;
		buf_putc(j->out, j->arrays & 1u << j->level ? ']' : '}');
	}
}

void json_u64(struct json *j, const char *key, uint64_t v)
{
	char digits[20], *p = digits + sizeof(digits);

	if (!before(j, key))
		return;
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	buf_add(j->out, p, (size_t)(digits + sizeof(digits) - p));
}

void json_i64(struct json *j, const char *key, int64_t v)
{
	if (before(j, key))
		buf_printf(j->out, "%lld", (long long)v);
}

void json_double(struct json *j, const char *key, double v)
{
	char text[40];

	if (!before(j, key))
		return;
	if (!isfinite(v)) {
		buf_puts(j->out, "null");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back equal */
		(void)snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_puts(j->out, text);
}

void json_bool(struct json *j, const char *key, bool v)
{
	if (before(j, key))
		buf_puts(j->out, v ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
	if (before(j, key))
		buf_puts(j->out, "null");
}

void json_str(struct json *j, const char *key, const char *v)
{
	json_text(j, key, text_of(v));
}

void json_text(struct json *j, const char *key, struct text v)
{
	if (!before(j, key))
		return;
	if (v.p)
		put_string(j->out, v.p, v.len);
	else
		buf_puts(j->out, "null");
}

void json_base64(struct json *j, const char *key, struct text v)
{
	static const char abc[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = (const unsigned char *)v.p;

	if (!before(j, key))
		return;
	buf_putc(j->out, '"');
	for (uint32_t i = 0; i < v.len; i += 3) {
		uint32_t left = v.len - i;
		uint32_t w = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) |
			     (left > 2 ? s[i + 2] : 0);
		char quad[] = { abc[w >> 18], abc[w >> 12 & 63], left > 1 ? abc[w >> 6 & 63] : '=',
				left > 2 ? abc[w & 63] : '=' };

		buf_add(j->out, quad, sizeof(quad));
	}
	buf_putc(j->out, '"');
}

void json_printf(struct json *j, const char *key, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_str(j, key, text);
}
