#include <ctype.h>
#include <string.h>
#include "policy/schema.h"

#define WORD_MAX 48

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits (insert, delete, change, swap of neighbours) between two words, case and - against _ aside.
 * source: optimal string alignment distance, three rows */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned rows[3][WORD_MAX + 1];

	for (unsigned j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= na; i++) {
		unsigned *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			bool same = a[i - 1] == b[j - 1];

			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
	}
	return rows[na % 3][nb];
}

static size_t fold(const char *word, char *out)
{
	size_t n = 0;

	for (; *word && n < WORD_MAX; word++)
		out[n++] = *word == '-' || *word == ' ' ? '_' : (char)tolower((unsigned char)*word);
	return *word ? WORD_MAX + 1 : n;
}

const char *schema_nearest(const char *word, const char *const *names, unsigned n)
{
	char a[WORD_MAX], b[WORD_MAX];
	size_t na, nb;
	unsigned best = 0, edits;
	const char *found = NULL;

	na = fold(word, a);
	if (!na || na > WORD_MAX)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		nb = fold(names[i], b);
		if (nb > WORD_MAX)
			continue;
		edits = distance(a, na, b, nb);
		/* a third of the word may be wrong; at least one letter must be right */
		if (edits > (na > nb ? na : nb) / 3 && edits > 1)
			continue;
		if (edits >= nb || (found && edits >= best))
			continue;
		found = names[i];
		best = edits;
	}
	return found;
}
