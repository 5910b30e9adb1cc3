#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/term.h"

#define CELL_MAX 1024 /* bytes of a cell before it is made safe */

struct cell {
	char *text; /* safe */
	unsigned width;
	enum term_colour colour;
};

struct term_table {
	const char *const *heads;
	unsigned columns;
	struct cell *cell;
	size_t cells, room;
	size_t left_out;
};

static const char *const escapes[] = {
	[TERM_PLAIN] = "",	  [TERM_BOLD] = "\033[1m",   [TERM_DIM] = "\033[2m",
	[TERM_RED] = "\033[31m",  [TERM_GREEN] = "\033[32m", [TERM_YELLOW] = "\033[33m",
	[TERM_BLUE] = "\033[34m", [TERM_CYAN] = "\033[36m",
};

bool term_colours(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && term && *term && strcmp(term, "dumb") != 0 && isatty(fileno(f));
}

/* text is safe already. */
static void add_coloured(struct buf *out, bool colours, enum term_colour c, const char *text)
{
	if (!colours || c == TERM_PLAIN) {
		buf_puts(out, text);
		return;
	}
	buf_puts(out, escapes[c]);
	buf_puts(out, text);
	buf_puts(out, "\033[0m");
}

void term_add(struct buf *out, bool colours, enum term_colour c, const char *text)
{
	struct buf safe = { 0 };

	buf_add_safe(&safe, text, strlen(text));
	add_coloured(out, colours, c, buf_text(&safe));
	buf_free(&safe);
}

void term_add_lines(struct buf *out, const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		buf_add_safe(out, text, n);
		if (end)
			buf_add(out, "\n", 1);
		n += end ? 1 : 0;
		text += n;
		len -= n;
	}
}

int term_write(struct buf *out, FILE *f)
{
	if (out->len && fwrite(out->data, 1, out->len, f) != out->len)
		return -errno;
	if (fflush(f))
		return -errno;
	return out->cut ? -ENOMEM : 0;
}

const char *term_bytes(char out[TERM_HUMAN], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned u = 0;
	double v = (double)bytes;

	while (v >= 1024 && u < 6) {
		v /= 1024;
		u++;
	}
	(void)snprintf(out, TERM_HUMAN, u && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
	return out;
}

const char *term_duration(char out[TERM_HUMAN], uint64_t ns)
{
	unsigned long long s = ns / NS_PER_S;

	if (ns < NS_PER_MS)
		(void)snprintf(out, TERM_HUMAN, "%llu us", (unsigned long long)ns / 1000);
	else if (ns < NS_PER_S)
		(void)snprintf(out, TERM_HUMAN, "%llu ms", ns / NS_PER_MS);
	else if (s < 120)
		(void)snprintf(out, TERM_HUMAN, "%llu s", s);
	else if (s < 7200)
		(void)snprintf(out, TERM_HUMAN, "%llu min", s / 60);
	else if (s < 2 * 86400)
		(void)snprintf(out, TERM_HUMAN, "%llu h %llu min", s / 3600, s / 60 % 60);
	else
		(void)snprintf(out, TERM_HUMAN, "%llu d %llu h", s / 86400, s / 3600 % 24);
	return out;
}

const char *term_count(char out[TERM_HUMAN], uint64_t n)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), o = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	out[o] = 0;
	return out;
}

/* Columns on the screen: one per code point. Wide and combining characters are rare in what we
 * print and only shift a column. */
static unsigned width_of(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

struct term_table *term_table_new(const char *const *heads)
{
	struct term_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->heads = heads;
	while (t->columns < TERM_COLUMNS && heads[t->columns])
		t->columns++;
	return t;
}

void term_table_free(struct term_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->cells; i++)
		free(t->cell[i].text);
	free(t->cell);
	free(t);
}

static bool table_room(struct term_table *t)
{
	size_t room = t->room ? t->room * 2 : 64;
	struct cell *c;

	if (t->cells < t->room)
		return true;
	if (t->cells >= (size_t)TERM_ROWS_MAX * t->columns)
		return false;
	c = realloc(t->cell, room * sizeof(*c));
	if (!c)
		return false;
	t->cell = c;
	t->room = room;
	return true;
}

void term_cell(struct term_table *t, enum term_colour c, const char *fmt, ...)
{
	char text[CELL_MAX];
	struct buf safe = { 0 };
	va_list ap;

	if (!t)
		return;
	if (t->left_out || !table_room(t)) {
		t->left_out++;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a longer cell is cut: it is for a person */
	va_end(ap);
	buf_add_safe(&safe, text, strlen(text));
	t->cell[t->cells].text = strdup(buf_text(&safe));
	buf_free(&safe);
	if (!t->cell[t->cells].text) {
		t->left_out++;
		return;
	}
	t->cell[t->cells].width = width_of(t->cell[t->cells].text);
	t->cell[t->cells++].colour = c;
}

static void add_cell(struct buf *out, bool colours, const struct cell *c, unsigned width,
		     bool right, bool last)
{
	unsigned pad = width > c->width ? width - c->width : 0;

	if (right)
		buf_printf(out, "%*s", (int)pad, "");
	add_coloured(out, colours, c->colour, c->text);
	if (!right && !last)
		buf_printf(out, "%*s", (int)pad, "");
	if (!last)
		buf_puts(out, "  ");
}

/* End the line, without the blanks of cells that are empty. */
static void end_row(struct buf *out)
{
	while (out->len && out->data[out->len - 1] == ' ')
		out->len--;
	buf_puts(out, "\n");
}

void term_table_add(const struct term_table *t, const char *indent, bool colours, struct buf *out)
{
	unsigned width[TERM_COLUMNS];
	bool right[TERM_COLUMNS];

	if (!t || !t->columns)
		return;
	for (unsigned i = 0; i < t->columns; i++) {
		right[i] = t->heads[i][0] == '>';
		width[i] = width_of(t->heads[i] + right[i]);
	}
	for (size_t i = 0; i < t->cells; i++)
		if (t->cell[i].width > width[i % t->columns])
			width[i % t->columns] = t->cell[i].width;
	buf_puts(out, indent);
	for (unsigned i = 0; i < t->columns; i++) {
		struct cell head = { .text = (char *)t->heads[i] + right[i], .colour = TERM_BOLD };

		head.width = width_of(head.text);
		add_cell(out, colours, &head, width[i], right[i], i + 1 == t->columns);
	}
	end_row(out);
	for (size_t i = 0; i < t->cells; i++) {
		unsigned col = (unsigned)(i % t->columns);
		bool last = col + 1 == t->columns || i + 1 == t->cells;

		if (!col)
			buf_puts(out, indent);
		add_cell(out, colours, &t->cell[i], width[col], right[col], last);
		if (last)
			end_row(out);
	}
	if (t->left_out)
		buf_printf(out, "%s(%zu more cells left out)\n", indent, t->left_out);
}
