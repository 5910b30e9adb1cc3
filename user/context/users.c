#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/auto.h"
#include "base/log.h"
#include "context/users.h"

#define LINE_MAX_BYTES 4096 /* of a longer line the first field decides nothing: it is left out */

struct user {
	uint32_t uid, order; /* order: line; of two names of one uid the first is its name */
	uint8_t len;
	char name[USERS_NAME_MAX];
};

struct users {
	char path[PATH_MAX];
	struct stat seen;
	uint32_t n;
	struct user user[USERS_MAX];
};

static int by_uid(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* name:password:uid:... source: passwd(5) */
static bool parse_line(const char *line, struct user *user)
{
	const char *colon = strchr(line, ':'), *uid = colon ? strchr(colon + 1, ':') : NULL;
	unsigned long v;
	char *end;

	if (!uid || colon == line || colon - line > USERS_NAME_MAX)
		return false;
	uid++;
	if (*uid < '0' || *uid > '9')
		return false;
	errno = 0;
	v = strtoul(uid, &end, 10);
	if (errno || *end != ':' || v >= UINT32_MAX)
		return false;
	user->uid = (uint32_t)v;
	user->len = (uint8_t)(colon - line);
	memcpy(user->name, line, user->len);
	return true;
}

static void read_file(struct users *u, FILE *f)
{
	char line[LINE_MAX_BYTES];
	bool whole = true; /* this piece begins a line */

	u->n = 0;
	while (u->n < USERS_MAX && fgets(line, sizeof(line), f)) {
		bool begins = whole;

		whole = strchr(line, '\n');
		u->user[u->n].order = u->n;
		if (begins && parse_line(line, &u->user[u->n]))
			u->n++;
	}
	qsort(u->user, u->n, sizeof(u->user[0]), by_uid);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void users_refresh(struct users *u)
{
	struct stat now;
	FILE *f;
	int fd;

	/* a named pipe there must not stop the sensor */
	fd = open(u->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &now) < 0 || !S_ISREG(now.st_mode)) {
		if (fd >= 0)
			close(fd);
		u->n = 0;
		u->seen = (struct stat){ 0 };
		return;
	}
	if (same_file(&now, &u->seen)) {
		close(fd);
		return;
	}
	f = fdopen(fd, "re");
	if (!f) {
		close(fd);
		return; /* no memory now: the next time */
	}
	read_file(u, f);
	u->seen = now;
	fclose(f);
}

struct users *users_new(const char *host_root)
{
	struct users *u = calloc(1, sizeof(*u));
	int n;

	if (!u)
		return NULL;
	n = snprintf(u->path, sizeof(u->path), "%s/etc/passwd", host_root ? host_root : "");
	if (n < 0 || (size_t)n >= sizeof(u->path)) {
		(void)kmn_err(-ENAMETOOLONG, "context: root of the host");
		free(u);
		return NULL;
	}
	users_refresh(u);
	return u;
}

void users_free(struct users *u)
{
	free(u);
}

struct text users_name(const struct users *u, uint32_t uid)
{
	uint32_t low = 0, high = u->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (u->user[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == u->n || u->user[low].uid != uid)
		return (struct text){ NULL, 0 };
	return (struct text){ u->user[low].name, u->user[low].len };
}

uint32_t users_count(const struct users *u)
{
	return u->n;
}

uint64_t users_bytes(void)
{
	return sizeof(struct users);
}
