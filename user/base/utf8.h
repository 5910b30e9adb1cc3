#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 character at p, of which n are readable, and the character in *cp. 0: it is
 * not UTF-8 (overlong, surrogate, above U+10FFFF, cut), and *cp is how many bytes to step over: the
 * longest part that could have begun a character, at least 1.
 * source: RFC 3629 section 4; Unicode 15 section 3.9, table 3-7 and "maximal subparts" */
size_t utf8_next(const char *p, size_t n, uint32_t *cp);

/* All of it is UTF-8. */
bool utf8_valid(const char *p, size_t n);

/* A character that acts on a terminal, or hides or reorders what stands beside it: C0, DEL, C1,
 * line and paragraph separator, bidi controls, invisible format characters. */
bool utf8_hostile(uint32_t cp);
