#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* A growing or a fixed run of bytes. A fixed one (buf_fixed) never allocates: what does not fit is
 * left out and cut is set; one byte of its memory is kept for the NUL of buf_text(). Once cut,
 * nothing more is added until buf_reset(), so that there is no hole. Zero initialised is an empty
 * growing one. */
struct buf {
	char *data;
	size_t len, cap;
	bool fixed, cut; /* cut: something was left out (no room, or no memory) */
};

struct buf buf_fixed(void *mem, size_t cap);
void buf_free(struct buf *b);  /* leaves it empty; a fixed one keeps its memory */
void buf_reset(struct buf *b); /* empty, memory kept */
/* Room for len more bytes, so that adding them cannot cut; false when there is none. */
bool buf_reserve(struct buf *b, size_t len);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* The text with a NUL behind it that is not counted; "" when there was no memory. */
const char *buf_text(struct buf *b);

/* Add len bytes for a terminal or a log line: C0, C1, DEL, bidi controls, invisible characters and
 * bytes that are not UTF-8 come out as \xNN, byte by byte, so that a hostile name does nothing. A
 * backslash before x comes out as \x5c: what reads as an escape is one. */
void buf_add_safe(struct buf *b, const char *text, size_t len);

/* kmn_auto(buf): freed when it leaves its scope (base/auto.h). */
static inline void kmn_auto_buf(struct buf *b)
{
	buf_free(b);
}
