#include "policy/merge.h"
#include <stdlib.h>
#include <string.h>
#include "policy/diag.h"

static struct policy_node *copy(struct arena *a, const struct policy_node *n, struct policy_diag *d)
{
	struct policy_node *c = arena_get(a, sizeof(*c));

	if (c)
		*c = *n;
	else
		diag_no_memory(d);
	return c;
}

/* under + over; a single item counts as a list of one. over is a list. */
static struct policy_node *add_lists(struct arena *a, const struct policy_node *under,
				     const struct policy_node *over, struct policy_diag *d)
{
	struct policy_node *sum = copy(a, over, d);
	uint32_t cap = 0, first = under->type == POLICY_LIST ? under->n : 1;

	if (!sum)
		return NULL;
	sum->n = 0;
	sum->child = NULL;
	for (uint32_t i = 0; i < first + over->n; i++) {
		const struct policy_node *item = i >= first ? over->child[i - first]
						 : under->type == POLICY_LIST ? under->child[i]
									      : under;

		if (tree_add(a, sum, &cap, (struct policy_node *)(uintptr_t)item) < 0) {
			diag_no_memory(d);
			return NULL;
		}
	}
	return sum;
}

static bool merges(const struct policy_key *key)
{
	return !key || key->kind == POLICY_K_OBJECT || key->kind == POLICY_K_MAP_OF;
}

/* What becomes of one key: child (of over) on old (of under, or NULL). */
static struct policy_node *merge_one(struct arena *a, const struct policy_key *key,
				     const struct policy_node *old, const struct policy_node *child,
				     struct policy_diag *d)
{
	const struct policy_key *keys = key && key->kind == POLICY_K_OBJECT ? key->keys : NULL;
	bool plus = *child->key == '+';
	struct policy_node *n;

	if (!plus && child->type == POLICY_MAP && merges(key))
		n = merge_maps(a, keys, old && old->type == POLICY_MAP ? old : NULL, child, d);
	else if (plus && old && child->type == POLICY_LIST)
		n = add_lists(a, old, child, d);
	else
		n = copy(a, child, d);
	if (!n)
		return NULL;
	if (plus && key && !schema_is_list(key)) {
		diag_error(d, child->key_pos, "write it without the +",
			   "`%s`: only a list can be added to", child->key);
	} else if (plus && child->type != POLICY_LIST &&
		   (!key || key->kind != POLICY_K_LIST || key->one_or_list)) {
		char mem[100];

		policy_error(d, child, "write it in brackets: [..]", "`%s` adds a list, found %s",
			     child->key, tree_what(child, mem, sizeof(mem)));
	}
	if (plus && key) /* an unknown key keeps it, for the message */
		n->key++;
	return n;
}

/* A key of the map below and its index there. */
struct slot {
	const char *key;
	uint32_t at;
};

KMN_AUTO_DEFINE(struct slot *, free)

static int by_key(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* The keys of map in order, for lookups in maps of any size. NULL: none, or no memory. */
static struct slot *slots_of(const struct policy_node *map)
{
	struct slot *slots = map && map->n ? malloc(map->n * sizeof(*slots)) : NULL;

	for (uint32_t i = 0; slots && i < map->n; i++)
		slots[i] = (struct slot){ map->child[i]->key, i };
	if (slots)
		qsort(slots, map->n, sizeof(*slots), by_key);
	return slots;
}

struct policy_node *merge_maps(struct arena *a, const struct policy_key *schema,
			       const struct policy_node *under, const struct policy_node *over,
			       struct policy_diag *d)
{
	kmn_auto(free) struct slot *slots = slots_of(under);
	struct policy_node *sum = copy(a, over, d);
	uint32_t cap = 0, below = under ? under->n : 0;
	bool full = !sum || (below && !slots);

	if (sum)
		sum->n = 0;
	for (uint32_t i = 0; i < below && !full; i++)
		full = tree_add(a, sum, &cap, under->child[i]) < 0;
	for (uint32_t i = 0; i < over->n && !full; i++) {
		const struct policy_node *child = over->child[i];
		const struct policy_key *key = schema_key(schema, child->key);
		struct slot want = { child->key + (*child->key == '+' && key), 0 }, *at = NULL;
		struct policy_node *n;

		if (slots)
			at = bsearch(&want, slots, below, sizeof(want), by_key);
		n = merge_one(a, key, at ? under->child[at->at] : NULL, child, d);
		if (n && at)
			sum->child[at->at] = n;
		else
			full = !n || tree_add(a, sum, &cap, n) < 0;
	}
	if (full)
		diag_no_memory(d);
	return full ? NULL : sum;
}
