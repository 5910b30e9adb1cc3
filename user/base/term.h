#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/buf.h"

/* Text for people. What comes from outside (names, arguments) goes through the safe functions: a
 * control character never reaches the terminal. */

enum term_colour {
	TERM_PLAIN,
	TERM_BOLD,
	TERM_DIM,
	TERM_RED,
	TERM_GREEN,
	TERM_YELLOW,
	TERM_BLUE,
	TERM_CYAN
};

/* May colours be written to f: it is a terminal that knows them, and NO_COLOR is unset or empty.
 * source: no-color.org */
bool term_colours(FILE *f);

/* Add text, made safe, in a colour when colours is set. */
void term_add(struct buf *out, bool colours, enum term_colour c, const char *text);
/* Add text of several lines: like buf_add_safe(), but a line feed stays one. */
void term_add_lines(struct buf *out, const char *text, size_t len);
/* Write all of out to f and flush; 0 or -errno. */
int term_write(struct buf *out, FILE *f);

/* ---- sizes and times ---- */
#define TERM_HUMAN 40
const char *term_bytes(char out[TERM_HUMAN], uint64_t bytes); /* "512 B", "1.4 KiB", "128 MiB" */
const char *term_duration(char out[TERM_HUMAN], uint64_t ns); /* "12 ms", "3 s", "4 h 10 min" */
const char *term_count(char out[TERM_HUMAN], uint64_t n);     /* "1,234,567" */

/* ---- tables with aligned columns ---- */
#define TERM_COLUMNS 12
#define TERM_ROWS_MAX 16384 /* further rows are left out, and the table says how many */
struct term_table;

/* heads: one per column, NULL-terminated, borrowed; a leading '>' aligns the column to the right.
 * NULL without memory; the others then do nothing. */
struct term_table *term_table_new(const char *const *heads);
void term_table_free(struct term_table *t);
/* The next cell, row by row, made safe. */
void term_cell(struct term_table *t, enum term_colour c, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void term_table_add(const struct term_table *t, const char *indent, bool colours, struct buf *out);
