#pragma once

/* "Did you mean": edit distance (insert, delete, change, swap of two neighbours) of two words, at
 * most limit + 1. Words beyond 64 bytes are not near to anything. source: Damerau 1964, optimal
 * string alignment. */
unsigned near_distance(const char *a, const char *b, unsigned limit);

/* The nearest of the candidates (NULL-terminated), or NULL when none is near enough to be meant: a
 * third of the word, at least 1 and at most 3 edits. */
const char *near_word(const char *word, const char *const *candidates);
