#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include "base/auto.h"
#include "base/log.h"
#include "firewall/firewall.skel.h"
#include "modules/firewall/half.h"
#include "policy/transaction.h"
#include "services/net/net.h"

#define HALF_BATCH 4096

void fw_maps_of(const struct firewall_bpf *skel, struct fw_maps *m)
{
	m->head = bpf_map__fd(skel->maps.fw_head);
	m->sets = bpf_map__fd(skel->maps.fw_sets);
	m->rules = bpf_map__fd(skel->maps.fw_rules);
	m->ports = bpf_map__fd(skel->maps.fw_ports);
	m->ifs = bpf_map__fd(skel->maps.fw_ifs);
	m->addr[FW_SRC4] = bpf_map__fd(skel->maps.fw_src4);
	m->addr[FW_SRC6] = bpf_map__fd(skel->maps.fw_src6);
	m->addr[FW_DST4] = bpf_map__fd(skel->maps.fw_dst4);
	m->addr[FW_DST6] = bpf_map__fd(skel->maps.fw_dst6);
}

/* A new inner map, or -errno, logged. The programs ask for its kind, key, value and flags. */
static int make(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value,
		uint32_t max, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, name, key, value, max ? max : 1, &opts);

	return fd < 0 ? kmn_err(fd, "firewall: create %s of %u", name, max) : fd;
}

static int make_array(const char *name, uint32_t value, uint32_t max)
{
	return make(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value, max, BPF_F_INNER_MAP);
}

static int put(int outer, uint64_t gen, int inner, const char *name)
{
	uint32_t half = gen & 1;
	int r = bpf_map_update_elem(outer, &half, &inner, BPF_ANY);

	return r < 0 ? kmn_err(r, "firewall: put %s into half %u", name, half) : 0;
}

static void replace(struct fw_inner *in, int fd, uint32_t room)
{
	if (in->fd >= 0)
		close(in->fd);
	*in = (struct fw_inner){ fd, room };
}

static int write_array(int fd, const char *name, const void *values, uint32_t value_size,
		       uint32_t n)
{
	uint32_t key[512];

	for (uint32_t at = 0; at < n;) {
		uint32_t many = n - at < 512 ? n - at : 512;
		int r;

		for (uint32_t i = 0; i < many; i++)
			key[i] = at + i;
		r = bpf_map_update_batch(fd, key, (const char *)values + (size_t)at * value_size,
					 &many, NULL);
		if (r < 0)
			return kmn_err(r, "firewall: fill %s at %u", name, at);
		at += many;
	}
	return 0;
}

/* An array of n values. In place when that wastes less than seven eighths of it. */
static int fill_array(int outer, uint64_t gen, struct fw_inner *in, const char *name,
		      const void *values, uint32_t value_size, uint32_t n)
{
	kmn_auto(fd) int fd = -1;
	int r;

	if (in->fd >= 0 && n <= in->room && n >= in->room / 8)
		return write_array(in->fd, name, values, value_size, n);
	fd = make_array(name, value_size, n);
	if (fd < 0)
		return fd;
	r = write_array(fd, name, values, value_size, n);
	if (!r)
		r = put(outer, gen, fd, name);
	if (r < 0)
		return r;
	replace(in, fd, n ? n : 1);
	fd = -1;
	return 0;
}

/* ---- addresses: batches from 5.13 on, one by one below ---- */
struct batch {
	void *keys;
	uint32_t *values;
	uint32_t key_size, n;
	bool one_by_one;
};

static int flush(int fd, struct batch *b)
{
	uint32_t done = b->n;
	int r = -ENOTSUP;

	if (!b->one_by_one && b->n)
		r = bpf_map_update_batch(fd, b->keys, b->values, &done, NULL);
	if (r < 0 && !b->one_by_one && (r == -ENOTSUP || r == -524 || r == -EINVAL)) /* ENOTSUPP */
		b->one_by_one = true;
	if (b->one_by_one) {
		r = 0;
		for (uint32_t i = 0; !r && i < b->n; i++)
			r = bpf_map_update_elem(fd, (char *)b->keys + (size_t)i * b->key_size,
						&b->values[i], BPF_ANY);
	}
	b->n = 0;
	return r;
}

static void add(struct batch *b, const struct fw_prefix *p, bool v4)
{
	if (v4) {
		struct fw_key4 *k = (struct fw_key4 *)b->keys + b->n;

		k->bits = p->cidr.bits - 96U;
		__builtin_memcpy(&k->addr_be, p->cidr.addr + 12, sizeof(k->addr_be));
	} else {
		struct fw_key6 *k = (struct fw_key6 *)b->keys + b->n;

		k->bits = p->cidr.bits;
		__builtin_memcpy(k->addr_be, p->cidr.addr, sizeof(k->addr_be));
	}
	b->values[b->n++] = p->set;
}

static int fill_prefixes(int fd, const struct fw_prefix *p, uint32_t n, bool v4)
{
	struct batch b = { .key_size = v4 ? sizeof(struct fw_key4) : sizeof(struct fw_key6) };
	int r = 0;

	b.keys = calloc(HALF_BATCH, b.key_size);
	b.values = calloc(HALF_BATCH, sizeof(*b.values));
	if (!b.keys || !b.values)
		r = -ENOMEM;
	for (uint32_t i = 0; !r && i < n; i++) {
		add(&b, &p[i], v4);
		if (b.n == HALF_BATCH || i + 1 == n)
			r = policy_cancelled() ? -ECANCELED : flush(fd, &b);
	}
	free(b.keys);
	free(b.values);
	return r;
}

static int fill_addrs(const struct fw_maps *m, struct fw_half *h, const struct fw_tables *t,
		      uint64_t gen, int dim)
{
	static const char *const names[] = { "fw_src4", "fw_src6", "fw_dst4", "fw_dst6" };
	bool v4 = dim == FW_SRC4 || dim == FW_DST4;
	uint32_t n = t->n_prefixes[dim], bit = 1U << dim;
	kmn_auto(fd) int fd = -1;
	int r;

	if (!n && !(h->has & bit))
		return 0;
	fd = make(BPF_MAP_TYPE_LPM_TRIE, names[dim],
		  v4 ? sizeof(struct fw_key4) : sizeof(struct fw_key6), sizeof(uint32_t), n,
		  BPF_F_NO_PREALLOC);
	if (fd < 0)
		return fd;
	r = fill_prefixes(fd, t->prefix[dim], n, v4);
	if (r == -ECANCELED)
		return r;
	if (r < 0)
		return kmn_err(r, "firewall: fill %s with %u prefixes", names[dim], n);
	r = put(m->addr[dim], gen, fd, names[dim]);
	if (!r)
		h->has = (h->has & ~bit) | (n ? bit : 0);
	return r;
}

/* ---- interfaces ---- */
void fw_half_link(const struct fw_plan *plan, int ifs_fd, uint32_t ifindex, const char *name)
{
	struct fw_set set;

	if (ifs_fd < 0 || !(plan->t.head.has & FW_HAS_IFS))
		return;
	for (uint32_t direction = NET_INCOMING; direction <= NET_OUTGOING; direction++) {
		uint32_t key = ifindex * 2 + direction;
		int r = 0;

		if (name) {
			fw_if_set(plan, name, (enum net_direction)direction, &set);
			r = bpf_map_update_elem(ifs_fd, &key, &set, BPF_ANY);
		} else {
			(void)bpf_map_delete_elem(ifs_fd, &key); /* or it was never there */
		}
		if (r < 0)
			(void)kmn_err(r, "firewall: rules of interface %s", name);
	}
}

struct filling {
	const struct fw_plan *plan;
	int fd;
};

static void on_link(void *arg, uint32_t ifindex, const char *name)
{
	struct filling *f = arg;

	fw_half_link(f->plan, f->fd, ifindex, name);
}

void fw_half_links(const struct fw_half *h, const struct fw_plan *plan)
{
	struct filling f = { plan, h->ifs.fd };

	if (plan->t.head.has & FW_HAS_IFS)
		net_each_link(on_link, &f);
}

/* Empty: who comes and goes meanwhile is the loop's business. */
static int make_ifs(const struct fw_maps *m, struct fw_half *h, const struct fw_plan *plan,
		    uint64_t gen)
{
	bool any = plan->t.head.has & FW_HAS_IFS;
	kmn_auto(fd) int fd = -1;
	int r;

	if (!any && !(h->has & FW_HAS_IFS))
		return 0;
	fd = make(BPF_MAP_TYPE_HASH, "fw_ifs", sizeof(uint32_t), sizeof(struct fw_set),
		  any ? 2 * NET_IFS_MAX : 1, 0);
	if (fd < 0)
		return fd;
	r = put(m->ifs, gen, fd, "fw_ifs");
	if (r < 0)
		return r;
	h->has = (h->has & ~(uint32_t)FW_HAS_IFS) | (any ? FW_HAS_IFS : 0);
	replace(&h->ifs, fd, 1);
	fd = -1;
	return 0;
}

int fw_half_fill(const struct fw_maps *m, struct fw_half *h, const struct fw_plan *plan,
		 uint64_t gen)
{
	const struct fw_tables *t = &plan->t;
	int r;

	r = fill_array(m->sets, gen, &h->sets, "fw_sets", t->sets, sizeof(*t->sets), t->n_sets);
	if (!r)
		r = fill_array(m->rules, gen, &h->rules, "fw_rules", t->rules, sizeof(*t->rules),
			       t->head.n_rules);
	if (!r && t->ports)
		r = fill_array(m->ports, gen, &h->ports, "fw_ports", t->ports, sizeof(*t->ports),
			       2 * FW_PORT_CELLS);
	for (int dim = 0; !r && dim < FW_ADDRS; dim++)
		r = fill_addrs(m, h, t, gen, dim);
	if (!r)
		r = make_ifs(m, h, plan, gen);
	if (r < 0)
		return r;
	return fill_array(m->head, gen, &h->head, "fw_head", &t->head, sizeof(t->head), 1);
}

void fw_half_init(struct fw_half *h)
{
	const struct fw_inner none = { .fd = -1 };

	*h = (struct fw_half){ none, none, none, none, none, 0 };
}

void fw_half_close(struct fw_half *h)
{
	replace(&h->head, -1, 0);
	replace(&h->sets, -1, 0);
	replace(&h->rules, -1, 0);
	replace(&h->ports, -1, 0);
	replace(&h->ifs, -1, 0);
	h->has = 0;
}
