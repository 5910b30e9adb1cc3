#include <stddef.h>
#include <string.h>
#include "base/near.h"

#define NEAR_MAX 64 /* bytes of a word: longer ones are not names of ours */

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

unsigned near_distance(const char *a, const char *b, unsigned limit)
{
	unsigned row[3][NEAR_MAX + 1]; /* the row before the last, the last, the one in hand */
	size_t la = strnlen(a, NEAR_MAX + 1), lb = strnlen(b, NEAR_MAX + 1);

	if (la > NEAR_MAX || lb > NEAR_MAX)
		return limit + 1;
	for (unsigned j = 0; j <= lb; j++)
		row[0][j] = row[1][j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned *now = row[2];

		now[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			now[j] = least(row[1][j] + 1, now[j - 1] + 1,
				       row[1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    row[0][j - 2] + 1 < now[j])
				now[j] = row[0][j - 2] + 1;
		}
		memcpy(row[0], row[1], sizeof(row[0]));
		memcpy(row[1], row[2], sizeof(row[1]));
	}
	return row[1][lb] <= limit ? row[1][lb] : limit + 1;
}

const char *near_word(const char *word, const char *const *candidates)
{
	unsigned best = (unsigned)strnlen(word, NEAR_MAX) / 3;
	const char *found = NULL;

	best = best < 1 ? 1 : best > 3 ? 3 : best;
	for (; *candidates; candidates++) {
		unsigned d = near_distance(word, *candidates, best);

		if (d > best || (found && d == best))
			continue;
		found = *candidates;
		best = d;
	}
	return found;
}
