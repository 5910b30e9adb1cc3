#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "policy/print.h"
#include "policy/transaction.h"

KMN_AUTO_DEFINE(const char **, free)

struct diff {
	struct buf *out;
	unsigned n;
};

static void line(struct diff *d, char sign, const struct buf *path, const struct policy_node *n)
{
	buf_printf(d->out, "%c %.*s: ", sign, (int)path->len, path->len ? path->data : "");
	print_inline(n, d->out);
	buf_puts(d->out, "\n");
}

static void changed(struct diff *d, const struct buf *path, const struct policy_node *a,
		    const struct policy_node *b)
{
	if (a)
		line(d, '-', path, a);
	if (b)
		line(d, '+', path, b);
	d->n++;
}

static bool same(const struct policy_node *a, const struct policy_node *b)
{
	if (a->type != b->type || a->n != b->n)
		return false;
	if (a->type == POLICY_SCALAR)
		return !strcmp(a->scalar, b->scalar); /* quotes do not change what it says */
	for (uint32_t i = 0; i < a->n; i++) {
		const struct policy_node *other = b->child[i];

		if (a->type == POLICY_MAP)
			other = policy_get(b, a->child[i]->key);
		if (!other || !same(a->child[i], other))
			return false;
	}
	return true;
}

/* The index of the item of that name, or list->n; it is looked for at hint first. */
static uint32_t named(const struct policy_node *list, const char *name, uint32_t hint)
{
	if (hint < list->n && !strcmp(policy_text(list->child[hint], "name", ""), name))
		return hint;
	for (uint32_t i = 0; i < list->n; i++)
		if (!strcmp(policy_text(list->child[i], "name", ""), name))
			return i;
	return list->n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every item is a map with a name of its own: items are found by it, not by their place. */
static bool all_named(const struct policy_node *list)
{
	kmn_auto(free) const char **names = calloc(list->n + 1, sizeof(*names));
	bool good = names;

	for (uint32_t i = 0; i < list->n && good; i++) {
		names[i] = policy_text(list->child[i], "name", NULL);
		good = names[i];
	}
	if (!good)
		return false;
	qsort(names, list->n, sizeof(*names), by_name);
	for (uint32_t i = 1; i < list->n; i++)
		if (!strcmp(names[i - 1], names[i]))
			return false;
	return true;
}

static void node(struct diff *d, struct buf *path, const struct policy_node *a,
		 const struct policy_node *b);

static void step(struct diff *d, struct buf *path, const char *before, const char *name,
		 const char *after, const struct policy_node *a, const struct policy_node *b)
{
	size_t was = path->len;

	buf_puts(path, was || *before == '[' ? before : "");
	buf_add_safe(path, name, strlen(name));
	buf_puts(path, after);
	if (a && b)
		node(d, path, a, b);
	else
		changed(d, path, a, b);
	path->len = was;
}

static void maps(struct diff *d, struct buf *path, const struct policy_node *a,
		 const struct policy_node *b)
{
	for (uint32_t i = 0; i < a->n; i++)
		step(d, path, ".", a->child[i]->key, "", a->child[i],
		     policy_get(b, a->child[i]->key));
	for (uint32_t i = 0; i < b->n; i++)
		if (!policy_get(a, b->child[i]->key))
			step(d, path, ".", b->child[i]->key, "", NULL, b->child[i]);
}

static void lists(struct diff *d, struct buf *path, const struct policy_node *a,
		  const struct policy_node *b)
{
	uint32_t next = 0, at;
	bool moved = false;

	for (uint32_t i = 0; i < a->n; i++) {
		const char *name = policy_text(a->child[i], "name", "");

		at = named(b, name, next);
		step(d, path, "[", name, "]", a->child[i], at < b->n ? b->child[at] : NULL);
		if (at == b->n)
			continue;
		moved |= at < next;
		next = at + 1;
	}
	for (uint32_t i = 0; i < b->n; i++) {
		const char *name = policy_text(b->child[i], "name", "");

		if (named(a, name, i) == a->n)
			step(d, path, "[", name, "]", NULL, b->child[i]);
	}
	if (moved) {
		buf_printf(d->out, "~ %s: the order of the items differs\n", buf_text(path));
		d->n++;
	}
}

static void node(struct diff *d, struct buf *path, const struct policy_node *a,
		 const struct policy_node *b)
{
	if (a->type == POLICY_MAP && b->type == POLICY_MAP)
		maps(d, path, a, b);
	else if (a->type == POLICY_LIST && b->type == POLICY_LIST && a->n && b->n && all_named(a) &&
		 all_named(b))
		lists(d, path, a, b);
	else if (!same(a, b))
		changed(d, path, a, b);
}

unsigned policy_diff(const struct policy *a, const struct policy *b, struct buf *out)
{
	struct diff d = { .out = out };
	struct buf path = { 0 };

	node(&d, &path, a->root, b->root);
	buf_free(&path);
	return d.n;
}
