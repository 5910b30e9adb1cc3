#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/utf8.h"

#define BUF_FIRST 256 /* bytes of the first allocation */

struct buf buf_fixed(void *mem, size_t cap)
{
	return (struct buf){ .data = mem, .cap = cap, .fixed = true };
}

void buf_free(struct buf *b)
{
	if (b->fixed) {
		buf_reset(b);
		return;
	}
	free(b->data);
	*b = (struct buf){ 0 };
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->cut = false;
}

bool buf_reserve(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : BUF_FIRST;
	char *data;

	if (len < b->cap - b->len) /* one byte stays for the NUL */
		return true;
	if (b->fixed || len > (size_t)-1 / 4 - b->len)
		return false;
	while (cap - b->len <= len)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (b->cut || !len)
		return;
	if (!buf_reserve(b, len)) {
		b->cut = true;
		if (!b->fixed || !b->cap)
			return;
		len = b->cap - b->len - 1;
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_puts(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->cap - b->len;
	va_list again;
	int n;

	if (b->cut)
		return;
	va_copy(again, ap);
	n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
	if (n >= 0 && (size_t)n >= room) {
		if (buf_reserve(b, (size_t)n)) {
			n = vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		} else {
			b->cut = true;
			n = b->fixed && room ? (int)room - 1 : 0;
		}
	}
	va_end(again);
	if (n < 0)
		b->cut = true; /* a format that libc refuses, or no memory */
	else
		b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

const char *buf_text(struct buf *b)
{
	if (!buf_reserve(b, 0))
		return "";
	b->data[b->len] = '\0';
	return b->data;
}

static bool looks_escaped(const char *p, size_t n)
{
	return n >= 2 && p[0] == '\\' && p[1] == 'x';
}

void buf_add_safe(struct buf *b, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t from = 0; /* start of the run that needs no escape */
	uint32_t cp;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_next(text + i, len - i, &cp);
		size_t step = n ? n : cp;

		if (n && !utf8_hostile(cp) && !looks_escaped(text + i, len - i)) {
			i += n;
			continue;
		}
		buf_add(b, text + from, i - from);
		for (size_t k = 0; k < step; k++) {
			unsigned char c = (unsigned char)text[i + k];
			char esc[] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

			buf_add(b, esc, sizeof(esc));
		}
		i += step;
		from = i;
	}
	buf_add(b, text + from, len - from);
}
