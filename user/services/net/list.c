#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "services/net/list.h"

/* ---- in the worker ---- */
struct reader {
	int fd;
	char data[65536];
	size_t len, at;
	uint64_t total;
};

/* The next byte, -1 at the end, -errno - 1 on failure. */
static int next_byte(struct reader *r)
{
	ssize_t n;

	if (r->at == r->len) {
		do
			n = read(r->fd, r->data, sizeof(r->data));
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return n < 0 ? -errno - 1 : -1;
		r->len = (size_t)n;
		r->at = 0;
		r->total += (uint64_t)n;
	}
	return (unsigned char)r->data[r->at++];
}

struct table {
	struct net_cidr *cidr;
	uint32_t n, room;
};

static int add(struct table *t, const struct net_cidr *c)
{
	if (t->n == t->room) {
		uint32_t room = t->room ? t->room * 2 : 4096;
		struct net_cidr *more = realloc(t->cidr, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->cidr = more;
		t->room = room;
	}
	t->cidr[t->n++] = *c;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* One line without its end: at most one entry. */
static int take_line(struct table *t, const char *line, size_t len, uint32_t number, char *error)
{
	size_t from = 0, to;
	struct net_cidr c;
	const char *wrong;

	for (size_t i = 0; i < len; i++)
		if (line[i] == '#' || line[i] == ';')
			len = i;
	while (from < len && is_blank(line[from]))
		from++;
	if (from == len)
		return 0;
	for (to = from; to < len && !is_blank(line[to]); to++)
		;
	wrong = net_cidr_parse(line + from, to - from, &c);
	if (wrong) {
		(void)snprintf(error, WORKER_ERROR_MAX, "%u:%zu: \"%.*s\" %s", number, from + 1,
			       (int)(to - from > 64 ? 64 : to - from), line + from, wrong);
		return -EINVAL;
	}
	while (to < len && is_blank(line[to]))
		to++;
	if (to < len) {
		(void)snprintf(error, WORKER_ERROR_MAX,
			       "%u:%zu: one address or prefix to a line is expected; a comment "
			       "starts with #",
			       number, to + 1);
		return -EINVAL;
	}
	if (t->n == NET_LIST_MAX) {
		(void)snprintf(error, WORKER_ERROR_MAX, "%u:1: more than %d entries", number,
			       NET_LIST_MAX);
		return -E2BIG;
	}
	return add(t, &c);
}

static int read_all(int in, struct table *t, char *error)
{
	static struct reader r;
	char line[NET_LIST_LINE];
	uint32_t number = 1;
	size_t len = 0;
	int c, err;

	memset(&r, 0, sizeof(r));
	r.fd = in;
	while ((c = next_byte(&r)) >= 0) {
		if (c == '\n') {
			err = take_line(t, line, len, number, error);
			if (err < 0)
				return err;
			number++;
			len = 0;
			continue;
		}
		if (len == sizeof(line) || r.total > NET_LIST_FILE_MAX) {
			(void)snprintf(error, WORKER_ERROR_MAX, "%u:%zu: %s", number, len + 1,
				       len == sizeof(line) ? "a line longer than 256 bytes"
							   : "a file of more than 256 MiB");
			return -E2BIG;
		}
		line[len++] = (char)c;
	}
	return c == -1 ? take_line(t, line, len, number, error) : c + 1;
}

static int by_address(const void *a, const void *b)
{
	return net_cidr_compare(a, b);
}

static int write_all(int out, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(out, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int run(int in, int out, const void *arg, uint32_t arg_len, char *error)
{
	struct table t = { NULL, 0, 0 };
	uint32_t n = 0;
	int r;

	(void)arg;
	(void)arg_len;
	r = read_all(in, &t, error);
	if (!r && t.n) {
		qsort(t.cidr, t.n, sizeof(*t.cidr), by_address);
		for (uint32_t i = 0; i < t.n; i++)
			if (!n || net_cidr_compare(&t.cidr[n - 1], &t.cidr[i]))
				t.cidr[n++] = t.cidr[i];
		r = write_all(out, t.cidr, n * sizeof(*t.cidr));
	}
	free(t.cidr);
	return r;
}

const struct worker_job net_list_job = { .name = "net_list", .run = run };

/* ---- in the core ---- */
int net_list_check(int fd, struct net_list *out)
{
	size_t len = 0;
	const struct net_cidr *c =
		worker_map(fd, (size_t)NET_LIST_MAX * sizeof(struct net_cidr), &len);
	uint32_t n = (uint32_t)(len / sizeof(*c));

	if (!c)
		return errno == EFBIG ? -EPROTO : -errno;
	for (uint32_t i = 0; i < n; i++) {
		if (c[i].bits <= 128 && net_cidr_is_clean(&c[i]) && !c[i].pad[0] && !c[i].pad[1] &&
		    !c[i].pad[2] && (!i || net_cidr_compare(&c[i - 1], &c[i]) < 0))
			continue;
		worker_unmap(c, len);
		return -EPROTO;
	}
	if (len % sizeof(*c)) {
		worker_unmap(c, len);
		return -EPROTO;
	}
	*out = (struct net_list){ .cidr = c, .n = n, .len = len };
	return 0;
}

void net_list_free(struct net_list *l)
{
	if (l->cidr)
		worker_unmap(l->cidr, l->len);
	*l = (struct net_list){ 0 };
}
