#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/auto.h"
#include "event/store_dir.h"

#define SEGMENTS_MAX 1000000 /* in one folder; far beyond any budget */

KMN_AUTO_DEFINE(DIR *, closedir)

void segment_path(const char *dir, uint32_t number, bool damaged, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%s/%08u.%s", dir, number, damaged ? "damaged" : "db");
}

static bool parse(const char *name, struct segment_name *n)
{
	uint64_t v = 0;
	size_t digits = strspn(name, "0123456789");

	if (digits < 8 || digits > 10)
		return false;
	for (size_t i = 0; i < digits; i++)
		v = v * 10 + (uint64_t)(name[i] - '0');
	n->number = (uint32_t)v;
	n->damaged = !strcmp(name + digits, ".damaged");
	return v && v <= UINT32_MAX && (n->damaged || !strcmp(name + digits, ".db"));
}

static int by_number(const void *a, const void *b)
{
	const struct segment_name *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (int)y->damaged - (int)x->damaged;
}

int segment_list(const char *dir, bool tidy, struct segment_name **list)
{
	kmn_auto(closedir) DIR *d = opendir(dir);
	struct segment_name *all = NULL;
	int n = 0, room = 0;
	struct dirent *e;

	if (!d)
		return -errno;
	while (n < SEGMENTS_MAX && (e = readdir(d))) {
		const char *dot = strstr(e->d_name, ".db.new");
		struct segment_name name;

		if (tidy && dot)
			(void)unlinkat(dirfd(d), e->d_name, 0); /* it stays a stray file */
		if (!parse(e->d_name, &name))
			continue;
		if (n == room) {
			struct segment_name *more;

			room = room ? 2 * room : 16;
			more = reallocarray(all, (size_t)room, sizeof(*all));
			if (!more) {
				free(all);
				return -ENOMEM;
			}
			all = more;
		}
		all[n++] = name;
	}
	if (n)
		qsort(all, (size_t)n, sizeof(*all), by_number);
	*list = all;
	return n;
}
