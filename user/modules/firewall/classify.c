#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "modules/firewall/plan.h"

/* ---- sets: each bitmap once ---- */
struct sets {
	struct fw_set *set;
	uint32_t n, room;
	uint32_t *slot; /* open addressing, number + 1 */
	uint32_t slots;
};

static void set_bit(struct fw_set *s, uint32_t bit)
{
	s->word[bit / 64] |= 1ULL << (bit % 64);
	s->words |= 1ULL << (bit / 64);
}

static void clear_bit(struct fw_set *s, uint32_t bit)
{
	s->word[bit / 64] &= ~(1ULL << (bit % 64));
	if (!s->word[bit / 64])
		s->words &= ~(1ULL << (bit / 64));
}

static uint32_t hash_set(const struct fw_set *s)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < FW_WORDS; i++)
		h = (h ^ s->word[i]) * 0x9e3779b97f4a7c15ULL, h ^= h >> 29;
	return (uint32_t)(h >> 16);
}

static int grow(struct sets *s)
{
	uint32_t room = s->room ? s->room * 2 : 64, slots = room * 2;
	struct fw_set *more = realloc(s->set, room * sizeof(*more));
	uint32_t *slot;

	if (!more)
		return -ENOMEM;
	s->set = more;
	slot = calloc(slots, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	free(s->slot);
	s->slot = slot;
	s->slots = slots;
	s->room = room;
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t at = hash_set(&s->set[i]) % slots;

		while (slot[at])
			at = (at + 1) % slots;
		slot[at] = i + 1;
	}
	return 0;
}

static int append(struct sets *s, const struct fw_set *v)
{
	uint32_t at;

	if (s->n == FW_SETS_MAX)
		return -E2BIG;
	if (s->n == s->room && grow(s) < 0)
		return -ENOMEM;
	at = hash_set(v) % s->slots;
	while (s->slot[at])
		at = (at + 1) % s->slots;
	s->slot[at] = s->n + 1;
	s->set[s->n++] = *v;
	return (int)s->n - 1;
}

/* Its number, or -errno. */
static int intern(struct sets *s, const struct fw_set *v)
{
	uint32_t at = s->slots ? hash_set(v) % s->slots : 0;

	for (; s->slots && s->slot[at]; at = (at + 1) % s->slots)
		if (!memcmp(&s->set[s->slot[at] - 1], v, sizeof(*v)))
			return (int)s->slot[at] - 1;
	return append(s, v);
}

struct build {
	const struct fw_spec *specs;
	struct fw_tables *t;
	struct sets sets;
	const char *why;
};

static const struct fw_spec *spec(const struct build *b, uint32_t bit)
{
	return &b->specs[b->t->spec_of[bit]];
}

/* ---- the order in which rules are asked: higher priority first, in it denies before allows, in
 * these the order of the policy ---- */
static _Thread_local const struct fw_spec *sorting; /* a self-test may build beside a reload */

static int by_order(const void *pa, const void *pb)
{
	const struct fw_spec *a = &sorting[*(const uint32_t *)pa],
			     *b = &sorting[*(const uint32_t *)pb];

	if (a->priority != b->priority)
		return (int)b->priority - (int)a->priority;
	if (a->action != b->action)
		return (int)a->action - (int)b->action; /* FW_DENY is 0 */
	return a->id < b->id ? -1 : 1;
}

static int order_rules(struct build *b, uint32_t n)
{
	struct fw_tables *t = b->t;

	t->spec_of = calloc(n ? n : 1, sizeof(*t->spec_of));
	if (!t->spec_of)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		if (b->specs[i].mode != KMN_OFF)
			t->spec_of[t->head.n_rules++] = i;
	if (t->head.n_rules > FW_RULES_MAX) {
		b->why = "more than 1024 rules in force";
		return -E2BIG;
	}
	t->rules = calloc(t->head.n_rules ? t->head.n_rules : 1, sizeof(*t->rules));
	if (!t->rules)
		return -ENOMEM;
	sorting = b->specs;
	qsort(t->spec_of, t->head.n_rules, sizeof(*t->spec_of), by_order);
	for (uint32_t bit = 0; bit < t->head.n_rules; bit++) {
		const struct fw_spec *s = spec(b, bit);

		t->rules[bit] = (struct fw_rule){
			.id = s->id, .action = s->action, .mode = s->mode, .priority = s->priority
		};
	}
	return 0;
}

static int fixed_sets(struct build *b)
{
	struct fw_set fixed[FW_SETS_FIXED];
	int r = 0;

	memset(fixed, 0, sizeof(fixed));
	for (uint32_t bit = 0; bit < b->t->head.n_rules; bit++) {
		const struct fw_spec *s = spec(b, bit);
		bool ports = fw_spec_has_ports(s), deny = s->action == FW_DENY;

		set_bit(&fixed[FW_SET_ALL], bit);
		if (s->directions & FW_IN && !s->n_interfaces)
			set_bit(&fixed[FW_SET_INCOMING], bit);
		if (s->directions & FW_OUT && !s->n_interfaces)
			set_bit(&fixed[FW_SET_OUTGOING], bit);
		if (s->mode == KMN_PREVENT)
			set_bit(&fixed[FW_SET_PREVENT], bit);
		if (!ports || !deny)
			set_bit(&fixed[FW_SET_LATER], bit);
		if (!ports || deny)
			set_bit(&fixed[FW_SET_NO_PORTS], bit);
		if (!s->proto_given || deny)
			set_bit(&fixed[FW_SET_NO_PROTO], bit);
		if (s->n_interfaces)
			b->t->head.has |= FW_HAS_IFS;
	}
	for (unsigned i = 0; i < FW_SETS_FIXED && r >= 0; i++)
		r = append(&b->sets, &fixed[i]);
	return r < 0 ? r : 0;
}

/* ---- protocols ---- */
static int proto_sets(struct build *b)
{
	for (unsigned proto = 0; proto < 256; proto++) {
		struct fw_set set = { 0 };
		int r;

		for (uint32_t bit = 0; bit < b->t->head.n_rules; bit++)
			if (fw_has_proto(spec(b, bit), proto))
				set_bit(&set, bit);
		r = intern(&b->sets, &set);
		if (r < 0)
			return r;
		b->t->head.proto[proto] = (uint16_t)r;
	}
	return 0;
}

/* ---- ports: a sweep over the borders of all ranges ---- */
struct border {
	uint32_t port; /* 65536: behind the last */
	uint16_t bit;
	bool begins;
};

static int by_port(const void *pa, const void *pb)
{
	const struct border *a = pa, *b = pb;

	return a->port < b->port ? -1 : a->port > b->port;
}

static int by_from(const void *pa, const void *pb)
{
	const struct fw_range *a = pa, *b = pb;

	return (int)a->from - (int)b->from;
}

/* Ranges of one rule, made disjoint, as borders. Number of borders. */
static uint32_t borders_of(const struct fw_ports_given *p, uint32_t bit, struct fw_range *copy,
			   struct border *out)
{
	uint32_t n = 0;

	memcpy(copy, p->range, p->n * sizeof(*copy));
	qsort(copy, p->n, sizeof(*copy), by_from);
	for (uint32_t i = 0; i < p->n;) {
		uint32_t from = copy[i].from, to = copy[i].to;

		for (i++; i < p->n && copy[i].from <= to + 1; i++)
			if (copy[i].to > to)
				to = copy[i].to;
		out[n++] = (struct border){ .port = from, .bit = (uint16_t)bit, .begins = true };
		out[n++] = (struct border){ .port = to + 1, .bit = (uint16_t)bit };
	}
	return n;
}

static int sweep(struct build *b, struct border *at, uint32_t n, struct fw_set *now,
		 struct fw_ports *cells)
{
	uint32_t i = 0;
	int set = -1;

	qsort(at, n, sizeof(*at), by_port);
	for (uint32_t port = 0; port < 65536; port++) {
		bool moved = set < 0;

		for (; i < n && at[i].port == port; i++, moved = true)
			(at[i].begins ? set_bit : clear_bit)(now, at[i].bit);
		if (moved)
			set = intern(&b->sets, now);
		if (set < 0)
			return set;
		cells[port / FW_PORTS_EACH].set[port % FW_PORTS_EACH] = (uint16_t)set;
	}
	return 0;
}

static const struct fw_ports_given *ports_of(const struct fw_spec *s, bool destination)
{
	return destination ? &s->destination_port : &s->source_port;
}

static int port_sets_of(struct build *b, bool destination, uint32_t ranges)
{
	struct border *at = calloc(2 * ranges, sizeof(*at));
	struct fw_range *copy = calloc(ranges, sizeof(*copy));
	struct fw_set now = { 0 };
	uint32_t n = 0;
	int r = at && copy ? 0 : -ENOMEM;

	for (uint32_t bit = 0; !r && bit < b->t->head.n_rules; bit++) {
		const struct fw_ports_given *p = ports_of(spec(b, bit), destination);

		if (p->given)
			n += borders_of(p, bit, copy, at + n);
		else
			set_bit(&now, bit);
	}
	if (!r)
		r = sweep(b, at, n, &now, b->t->ports + (destination ? FW_PORT_CELLS : 0));
	free(at);
	free(copy);
	return r;
}

static int port_sets(struct build *b)
{
	for (int destination = 0; destination < 2; destination++) {
		uint32_t ranges = 0;
		int r;

		for (uint32_t bit = 0; bit < b->t->head.n_rules; bit++)
			ranges += ports_of(spec(b, bit), destination)->n;
		if (!ranges)
			continue;
		if (!b->t->ports)
			b->t->ports = calloc(2 * FW_PORT_CELLS, sizeof(*b->t->ports));
		if (!b->t->ports)
			return -ENOMEM;
		b->t->head.has |= destination ? FW_HAS_DPORT : FW_HAS_SPORT;
		r = port_sets_of(b, destination, ranges);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- addresses: prefixes in order, so that what contains one stands before it ---- */
struct item {
	struct net_cidr cidr;
	uint32_t bit;
};

static int by_cidr(const void *a, const void *b)
{
	return net_cidr_compare(&((const struct item *)a)->cidr, &((const struct item *)b)->cidr);
}

static bool contains(const struct net_cidr *outer, const struct net_cidr *inner)
{
	struct net_cidr cut = *inner;

	if (outer->bits > inner->bits)
		return false;
	cut.bits = outer->bits;
	net_cidr_clean(&cut);
	return !memcmp(cut.addr, outer->addr, sizeof(cut.addr));
}

struct level { /* one of the prefixes that contain the one in hand */
	struct net_cidr cidr;
	struct fw_set set;
	uint32_t number;
};

/* items: sorted. Each distinct prefix gets the set of all that contain it; one that says nothing
 * new is left out. */
static int nest(struct build *b, enum fw_addr dim, const struct item *items, uint32_t n,
		const struct fw_set *base)
{
	struct fw_prefix *out = calloc(n, sizeof(*out));
	struct level stack[130]; /* 0-128 and the base */
	uint32_t depth = 1, many = 0;
	int r = intern(&b->sets, base);

	if (!out || r < 0) {
		free(out);
		return r < 0 ? r : -ENOMEM;
	}
	b->t->head.base[dim] = (uint32_t)r;
	stack[0] = (struct level){ .set = *base, .number = (uint32_t)r };
	for (uint32_t i = 0; i < n;) {
		struct level *top;

		while (depth > 1 && !contains(&stack[depth - 1].cidr, &items[i].cidr))
			depth--;
		top = &stack[depth];
		top->cidr = items[i].cidr;
		top->set = stack[depth - 1].set;
		for (; i < n && !net_cidr_compare(&items[i].cidr, &top->cidr); i++)
			set_bit(&top->set, items[i].bit);
		r = intern(&b->sets, &top->set);
		if (r < 0) {
			free(out);
			return r;
		}
		top->number = (uint32_t)r;
		if (top->number == stack[depth - 1].number)
			continue;
		depth++;
		out[many++] = (struct fw_prefix){ .cidr = top->cidr, .set = top->number };
	}
	b->t->prefix[dim] = out;
	b->t->n_prefixes[dim] = many;
	if (many)
		b->t->head.has |= 1U << dim;
	return 0;
}

static int addr_sets_of(struct build *b, enum fw_addr dim)
{
	bool destination = dim >= FW_DST4, v4 = dim == FW_SRC4 || dim == FW_DST4;
	struct fw_set base = { 0 };
	struct item *items;
	uint64_t n = 0;
	int r;

	for (uint32_t bit = 0; bit < b->t->head.n_rules; bit++) {
		const struct fw_spec *s = spec(b, bit);
		const struct fw_addrs *a = destination ? &s->destination : &s->source;

		n += a->n;
		if (!a->given)
			set_bit(&base, bit);
	}
	if (n > FW_PREFIXES_MAX) {
		b->why = "more than 2000000 prefixes of one kind in all rules together";
		return -E2BIG;
	}
	items = calloc(n ? n : 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	n = 0;
	for (uint32_t bit = 0; bit < b->t->head.n_rules; bit++) {
		const struct fw_spec *s = spec(b, bit);
		const struct fw_addrs *a = destination ? &s->destination : &s->source;

		for (uint32_t i = 0; i < a->n; i++)
			if (net_cidr_is_v4(&a->cidr[i]) == v4)
				items[n++] = (struct item){ .cidr = a->cidr[i], .bit = bit };
	}
	qsort(items, n, sizeof(*items), by_cidr);
	r = nest(b, dim, items, (uint32_t)(n ? n : 0), &base);
	free(items);
	return r;
}

int fw_tables_build(struct fw_tables *t, const struct fw_spec *specs, uint32_t n, const char **why)
{
	struct build b = { .specs = specs, .t = t };
	int r;

	memset(t, 0, sizeof(*t));
	r = order_rules(&b, n);
	if (!r)
		r = fixed_sets(&b);
	if (!r)
		r = proto_sets(&b);
	if (!r)
		r = port_sets(&b);
	for (int dim = 0; !r && dim < FW_ADDRS; dim++)
		r = addr_sets_of(&b, (enum fw_addr)dim);
	free(b.sets.slot);
	t->sets = b.sets.set;
	t->n_sets = b.sets.n;
	if (r < 0) {
		*why = r == -ENOMEM ? "out of memory"
		       : b.why	    ? b.why
				    : "rules overlap in more than 65536 ways";
		fw_tables_free(t);
	}
	return r;
}

void fw_tables_free(struct fw_tables *t)
{
	free(t->rules);
	free(t->spec_of);
	free(t->sets);
	free(t->ports);
	for (int dim = 0; dim < FW_ADDRS; dim++)
		free(t->prefix[dim]);
	memset(t, 0, sizeof(*t));
}

/* ---- interfaces ---- */
static bool names_it(const struct fw_spec *s, const char *name)
{
	for (uint32_t i = 0; i < s->n_interfaces; i++)
		if (fnmatch(s->interfaces[i], name, 0) == 0)
			return true;
	return !s->n_interfaces;
}

void fw_if_set(const struct fw_plan *plan, const char *name, enum net_direction direction,
	       struct fw_set *out)
{
	memset(out, 0, sizeof(*out));
	for (uint32_t bit = 0; bit < plan->t.head.n_rules; bit++) {
		const struct fw_spec *s = &plan->specs[plan->t.spec_of[bit]];

		if (s->directions & 1 << direction && names_it(s, name))
			set_bit(out, bit);
	}
}
