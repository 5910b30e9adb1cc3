#include "base/utf8.h"
#include "policy/diag.h"

#define WINDOW 90 /* columns shown of a longer line */
#define LEAD 60	  /* of them at most before the place */
#define TAB 8

/* Columns of a character that a terminal shows twice as wide.
 * source: Unicode 15 EastAsianWidth.txt, W and F, in rough ranges */
static bool is_wide(uint32_t cp)
{
	static const uint32_t wide[][2] = {
		{ 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x23e9, 0x23ec },
		{ 0x2e80, 0x303e },   { 0x3041, 0x33ff },   { 0x3400, 0x4dbf },
		{ 0x4e00, 0x9fff },   { 0xa000, 0xa4cf },   { 0xa960, 0xa97c },
		{ 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },   { 0xfe30, 0xfe6f },
		{ 0xff01, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x1f300, 0x1f64f },
		{ 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
	};

	for (size_t i = 0; i < sizeof(wide) / sizeof(*wide); i++)
		if (cp >= wide[i][0] && cp <= wide[i][1])
			return true;
	return false;
}

static bool is_combining(uint32_t cp)
{
	return (cp >= 0x300 && cp <= 0x36f) || (cp >= 0x1ab0 && cp <= 0x1aff) ||
	       (cp >= 0x20d0 && cp <= 0x20ff) || (cp >= 0xfe20 && cp <= 0xfe2f);
}

/* Add one character as shown, return its columns. */
static uint32_t show(const char *p, size_t len, uint32_t cp, uint32_t at, struct buf *out)
{
	size_t before = out->len;

	if (cp == '\t') {
		uint32_t n = TAB - at % TAB;

		buf_printf(out, "%*s", (int)n, "");
		return n;
	}
	buf_add_safe(out, p, len);
	if (out->len - before != len || cp < 0x80) /* ASCII, or escaped into ASCII */
		return (uint32_t)(out->len - before);
	return is_combining(cp) ? 0 : is_wide(cp) ? 2 : 1;
}

/* Columns before character number col (from 1), and the whole. */
static uint32_t columns(const char *line, size_t len, uint32_t col)
{
	uint32_t at = 0, cp, n = 1;
	size_t step;

	for (size_t i = 0; i < len && n < col; i += step, n++) {
		char mem[64];
		struct buf one = buf_fixed(mem, sizeof(mem));

		step = utf8_next(line + i, len - i, &cp);
		if (!step) {
			step = cp;
			cp = 0xfffd;
		}
		at += show(line + i, step, cp, at, &one);
	}
	return at;
}

void diag_excerpt(const char *line, size_t len, uint32_t col, struct buf *out, uint32_t *caret)
{
	uint32_t at = 0, cp, place = columns(line, len, col), from = 0;
	bool began = false;
	size_t step;

	if (place > LEAD)
		from = place - LEAD;
	*caret = place;
	for (size_t i = 0; i < len; i += step) {
		char mem[64];
		struct buf one = buf_fixed(mem, sizeof(mem));
		uint32_t width;

		step = utf8_next(line + i, len - i, &cp);
		if (!step) {
			step = cp;
			cp = 0xfffd;
		}
		width = show(line + i, step, cp, at, &one);
		if (at >= from && at + width > from + WINDOW) {
			buf_puts(out, "...");
			break;
		}
		if (at >= from) {
			if (!began && from) {
				buf_puts(out, "...");
				*caret = place - at + 3;
			}
			began = true;
			buf_add(out, one.data, one.len);
		}
		at += width;
	}
}
