#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/auto.h"
#include "base/near.h"
#include "modules/firewall/parse.h"
#include "services/net/net.h"

/* A value is a scalar or a list of such, perhaps with {list: FILE} among them; fn hears of each
 * scalar, on_list of each file (NULL: lists are not for this key). */
struct reading {
	struct policy_diag *d;
	void (*on_scalar)(struct reading *r, const struct policy_node *n);
	void (*on_list)(struct reading *r, const struct policy_node *file);
	const char *no_list; /* hint where a list file cannot stand */
	struct fw_lists *lists;
	void *out;
};

static void read_value(struct reading *r, const struct policy_node *n)
{
	const struct policy_node *file = policy_get(n, "list");

	if (n->type == POLICY_SCALAR) {
		r->on_scalar(r, n);
	} else if (n->type == POLICY_LIST) {
		if (!n->n)
			policy_error(r->d, n, "remove the key to mean any", "an empty list");
		for (uint32_t i = 0; i < n->n; i++)
			read_value(r, n->child[i]);
	} else if (policy_get(n, "not")) {
		policy_error(r->d, n,
			     "write the opposite as a rule of its own with a higher priority",
			     "`not` is not supported by the stateless firewall yet");
	} else if (file && r->on_list) {
		r->on_list(r, file);
	} else if (file) {
		policy_error(r->d, n, r->no_list, "a list file cannot stand here");
	}
}

/* ---- addresses ---- */
static void add_cidr(struct reading *r, const struct policy_node *at, const struct net_cidr *c)
{
	struct fw_addrs *a = r->out;

	if (!a)
		return;
	if (a->n == a->room) {
		uint32_t room = a->room ? a->room * 2 : 4;
		struct net_cidr *more = realloc(a->cidr, room * sizeof(*more));

		if (!more) {
			policy_error(r->d, at, NULL, "out of memory");
			return;
		}
		a->cidr = more;
		a->room = room;
	}
	a->cidr[a->n++] = *c;
}

/* The prefixes that make up from-to, both included: at each step the largest that starts at from
 * and does not reach beyond to. At most 2 * 128. */
static void add_range(struct reading *r, const struct policy_node *at, struct net_cidr from,
		      const struct net_cidr *to)
{
	unsigned least = net_cidr_is_v4(&from) ? 96 : 0;

	for (;;) {
		struct net_cidr last;
		unsigned bits = 128;
		int i;

		while (bits > least) { /* one bit shorter: still clean, and its end not beyond? */
			struct net_cidr wider = from;

			wider.bits = (uint8_t)(bits - 1);
			if (!net_cidr_is_clean(&wider))
				break;
			last = from;
			for (unsigned b = bits - 1; b < 128; b++)
				last.addr[b / 8] |= (uint8_t)(0x80 >> (b % 8));
			if (memcmp(last.addr, to->addr, sizeof(last.addr)) > 0)
				break;
			bits--;
		}
		from.bits = (uint8_t)bits;
		add_cidr(r, at, &from);
		last = from;
		for (unsigned b = bits; b < 128; b++)
			last.addr[b / 8] |= (uint8_t)(0x80 >> (b % 8));
		if (memcmp(last.addr, to->addr, sizeof(last.addr)) >= 0)
			return;
		for (i = 15; i >= 0 && !++last.addr[i]; i--)
			;
		if (i < 0)
			return;
		memcpy(from.addr, last.addr, sizeof(from.addr));
		from.bits = 128;
	}
}

static void on_range(struct reading *r, const struct policy_node *n, const char *dash)
{
	struct net_cidr from, to;
	const char *wrong = net_addr_parse(n->scalar, (size_t)(dash - n->scalar), &from);

	if (!wrong)
		wrong = net_addr_parse(dash + 1, strlen(dash + 1), &to);
	if (wrong)
		policy_error(r->d, n, "a range is two addresses: 10.0.0.1-10.0.0.9",
			     "\"%s\": an end of the range %s", n->scalar, wrong);
	else if (net_cidr_is_v4(&from) != net_cidr_is_v4(&to))
		policy_error(r->d, n, NULL, "\"%s\" goes from one address family to the other",
			     n->scalar);
	else if (memcmp(from.addr, to.addr, sizeof(from.addr)) > 0)
		policy_error(r->d, n, "write the lower address first", "\"%s\" runs backwards",
			     n->scalar);
	else
		add_range(r, n, from, &to);
}

static void on_addr(struct reading *r, const struct policy_node *n)
{
	const char *dash = strchr(n->scalar, '-'), *wrong;
	char text[NET_CIDR_TEXT], hint[128];
	struct net_cidr c;

	if (dash) {
		on_range(r, n, dash);
		return;
	}
	wrong = net_cidr_parse(n->scalar, strlen(n->scalar), &c);
	if (!wrong) {
		add_cidr(r, n, &c);
		return;
	}
	if (strstr(wrong, "bits set")) {
		net_cidr_text(&c, text);
		(void)snprintf(hint, sizeof(hint), "did you mean `%s`?", text);
	} else if (!strcmp(n->scalar, "any")) {
		(void)snprintf(hint, sizeof(hint), "remove the key to mean any address");
	} else {
		(void)snprintf(hint, sizeof(hint),
			       "for example: 10.0.0.0/8, 2001:db8::1, 10.0.0.1-10.0.0.9, {list: "
			       "FILE}");
	}
	policy_error(r->d, n, hint, "\"%s\" %s", n->scalar, wrong);
}

static int open_list(const struct policy_node *file, struct policy_diag *d, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0) {
		policy_error(d, file, "the name is relative to the policy file", "%s: %s", path,
			     strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	policy_error(d, file, NULL, "%s: not a regular file", path);
	close(fd);
	return -1;
}

/* A worker reads it: what is in the file is foreign. */
static void load_list(const struct policy_node *file, struct policy_diag *d,
		      struct worker_pool *workers, struct fw_list *l)
{
	kmn_auto(fd) int in = open_list(file, d, l->path), out = -1;
	struct worker_result res;
	int r;

	l->bad = true;
	if (in < 0)
		return;
	r = worker_call(workers, net_list_job.name, in, NULL, 0, NET_LIST_TIMEOUT_MS, &res);
	out = res.fd;
	if (r < 0) {
		policy_error(d, file,
			     "a list has one address or prefix to a line; # begins a comment",
			     "%s:%s%s", l->path, res.error[0] ? "" : " ",
			     res.error[0] ? res.error : strerror(-r));
		return;
	}
	r = net_list_check(out, &l->list);
	if (r < 0)
		policy_error(d, file, NULL, "%s: the worker's result is not sound: %s", l->path,
			     strerror(-r));
	else
		l->bad = false;
}

static void on_addr_list(struct reading *r, const struct policy_node *file)
{
	char path[sizeof(r->lists->list[0].path)];
	struct fw_list *l = NULL;
	int err;

	if (!r->lists) /* the schema's check: the file is read by compile() */
		return;
	err = policy_path(file, path, sizeof(path));
	if (err < 0) {
		policy_error(r->d, file, NULL, "not a file name: %s", strerror(-err));
		return;
	}
	for (uint32_t i = 0; i < r->lists->n; i++)
		if (!strcmp(r->lists->list[i].path, path))
			l = &r->lists->list[i];
	if (!l) {
		if (r->lists->n == FW_LISTS_MAX || !r->lists->workers) {
			policy_error(r->d, file, NULL,
				     r->lists->workers ? "more than %d list files"
						       : "lists need a worker (%d)",
				     FW_LISTS_MAX);
			return;
		}
		l = &r->lists->list[r->lists->n++];
		(void)snprintf(l->path, sizeof(l->path), "%s", path);
		load_list(file, r->d, r->lists->workers, l);
	}
	for (uint32_t i = 0; !l->bad && i < l->list.n; i++)
		add_cidr(r, file, &l->list.cidr[i]);
}

void fw_lists_free(struct fw_lists *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		net_list_free(&l->list[i].list);
	l->n = 0;
}

void fw_parse_addrs(const struct policy_node *n, struct policy_diag *d, struct fw_lists *lists,
		    struct fw_addrs *out)
{
	struct reading r = {
		.d = d, .on_scalar = on_addr, .on_list = on_addr_list, .lists = lists, .out = out
	};

	if (out)
		out->given = true;
	read_value(&r, n);
}

/* ---- ports ---- */
static bool read_port(const char *text, size_t len, uint16_t *out, const char **why)
{
	char copy[8];
	uint64_t v;

	*why = "is not a port number of 0-65535";
	if (!len || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!policy_number(copy, &v, why))
		return false;
	if (v > 65535) {
		*why = "is not a port number of 0-65535";
		return false;
	}
	*out = (uint16_t)v;
	return true;
}

static void on_port(struct reading *r, const struct policy_node *n)
{
	const char *dash = strchr(n->scalar, '-'), *why;
	size_t len = dash ? (size_t)(dash - n->scalar) : strlen(n->scalar);
	struct fw_ports_given *p = r->out;
	struct fw_range range;

	if (!read_port(n->scalar, len, &range.from, &why) ||
	    !read_port(dash ? dash + 1 : n->scalar, dash ? strlen(dash + 1) : len, &range.to,
		       &why)) {
		policy_error(r->d, n, "for example: 443, 8000-8080, [80, 443]", "\"%s\" %s",
			     n->scalar, why);
		return;
	}
	if (range.from > range.to) {
		policy_error(r->d, n, "write the lower port first", "\"%s\" runs backwards",
			     n->scalar);
		return;
	}
	if (!p)
		return;
	if (p->n == p->room) {
		uint32_t room = p->room ? p->room * 2 : 4;
		struct fw_range *more = realloc(p->range, room * sizeof(*more));

		if (!more) {
			policy_error(r->d, n, NULL, "out of memory");
			return;
		}
		p->range = more;
		p->room = room;
	}
	p->range[p->n++] = range;
}

void fw_parse_ports(const struct policy_node *n, struct policy_diag *d, struct fw_ports_given *out)
{
	struct reading r = { .d = d,
			     .on_scalar = on_port,
			     .out = out,
			     .no_list = "write the ports into the policy" };

	if (out)
		out->given = true;
	read_value(&r, n);
}

/* ---- protocols ---- */
static void on_proto(struct reading *r, const struct policy_node *n)
{
	const char *why = NULL, *near;
	uint64_t *bits = r->out, v;
	int number = net_proto_number(n->scalar);
	char hint[160];

	if (number < 0 && policy_number(n->scalar, &v, &why) && v <= 255)
		number = (int)v;
	if (number >= 0) {
		if (bits)
			bits[number / 64] |= 1ULL << (number % 64);
		return;
	}
	near = near_word(n->scalar, net_proto_names());
	if (!strcmp(n->scalar, "any"))
		(void)snprintf(hint, sizeof(hint), "remove the key to mean any protocol");
	else if (near)
		(void)snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
	else
		(void)snprintf(hint, sizeof(hint), "for example: tcp, udp, icmp, icmpv6, or 0-255");
	policy_error(r->d, n, hint, "\"%s\" is not an IP protocol", n->scalar);
}

void fw_parse_protos(const struct policy_node *n, struct policy_diag *d, uint64_t out[4])
{
	struct reading r = { .d = d,
			     .on_scalar = on_proto,
			     .out = out,
			     .no_list = "write the protocols into the policy" };

	read_value(&r, n);
}

/* ---- for the schema ---- */
void fw_check_addrs(const struct policy_node *n, struct policy_diag *d)
{
	fw_parse_addrs(n, d, NULL, NULL);
}

void fw_check_ports(const struct policy_node *n, struct policy_diag *d)
{
	fw_parse_ports(n, d, NULL);
}

void fw_check_protos(const struct policy_node *n, struct policy_diag *d)
{
	fw_parse_protos(n, d, NULL);
}

void fw_check_patterns(const struct policy_node *n, struct policy_diag *d)
{
	if (n->type == POLICY_LIST && n->n > FW_PATTERNS_MAX)
		policy_error(d, n, NULL, "more than %d patterns", FW_PATTERNS_MAX);
}

/* Ports need a protocol that has them. */
void fw_check_rule(const struct policy_node *n, struct policy_diag *d)
{
	const struct policy_node *proto = policy_get(n, "protocol");
	const struct policy_node *port = policy_get(n, "destination_port");
	uint64_t bits[4] = { 0 };

	if (!port)
		port = policy_get(n, "source_port");
	if (!port || !proto)
		return;
	fw_parse_protos(proto, d, bits);
	for (unsigned i = 0; i < 256; i++)
		if (bits[i / 64] >> (i % 64) & 1 && !fw_proto_has_ports(i)) {
			const char *name = net_proto_name(i);
			char number[16];

			(void)snprintf(number, sizeof(number), "%u", i);
			policy_error(d, port,
				     "make a rule of its own for the protocols without ports",
				     "a rule with ports for protocol %s, which has none",
				     name ? name : number);
			return;
		}
}
