#include "policy/load.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/diag.h"
#include "policy/merge.h"
#include "policy/parse.h"

#define CHAIN_MAX 16 /* parents above each other */

static const char *const folders[] = { "/etc/komainu/policies", "/etc/komainu", NULL };
const char *const *load_folders = folders;

struct load {
	struct tree *t;
	const struct policy_key *top;
	struct policy_diag *d;
	struct policy_node *sum; /* all files so far, laid over each other */
	bool holes;
	unsigned depth;
	struct source *chain[CHAIN_MAX]; /* the file in hand and its children */
};

static void load_source(struct load *l, struct source *s);

/* ---- finding a parent ---- */
static bool is_path(const char *name)
{
	size_t n = strlen(name);

	return strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml")) ||
	       (n > 4 && !strcmp(name + n - 4, ".yml")) ||
	       (n > 5 && !strcmp(name + n - 5, ".json"));
}

/* The path of name in the folder of the file child, or in folder when it is not NULL. */
static bool join(const char *child, const char *folder, const char *name, char *out, size_t size)
{
	const char *slash = strrchr(child, '/'), *end = is_path(name) ? "" : ".yaml";
	int n;

	while (!strncmp(name, "./", 2))
		name += 2;
	if (folder)
		n = snprintf(out, size, "%s/%s%s", folder, name, end);
	else if (*name == '/' || !slash)
		n = snprintf(out, size, "%s%s", name, end);
	else
		n = snprintf(out, size, "%.*s/%s%s", (int)(slash - child), child, name, end);
	return n > 0 && (size_t)n < size;
}

static int open_parent(const struct load *l, const struct source *child,
		       const struct policy_node *at, struct source **out)
{
	const char *const *folder = is_path(at->scalar) ? NULL : load_folders;
	char path[PATH_MAX], hint[400], mem[80];
	const char *why = "the name is too long";
	size_t len = 0;
	int r = -ENOENT;

	*hint = '\0';
	for (const char *in = NULL;; in = *folder++) {
		/* a text from memory has no folder of its own */
		if (!in && !child->ino && !is_path(at->scalar))
			r = -ENOENT;
		else if (!join(child->name, in, at->scalar, path, sizeof(path)))
			r = -ENAMETOOLONG;
		else
			r = source_open(path, out, &why);
		if (r != -ENOENT)
			break;
		if ((in || child->ino) && len < sizeof(hint) - 1)
			len += (size_t)snprintf(hint + len, sizeof(hint) - len, "%s%s",
						len ? ", " : "looked for: ", path);
		if (!folder || !*folder)
			break;
	}
	if (r == -ENOENT)
		why = "there is no such file";
	if (r < 0)
		policy_error(l->d, at, r == -ENOENT ? hint : NULL, "parent policy `%s`: %s",
			     tree_quote(at->scalar, mem, sizeof(mem)), why);
	return r;
}

static bool same_file(const struct source *a, const struct source *b)
{
	return a->ino && a->ino == b->ino && a->dev == b->dev;
}

/* Is s one of its own children? Then the chain is the message. */
static bool is_cycle(const struct load *l, const struct source *s, const struct policy_node *at)
{
	char chain[400];
	size_t len = 0;
	unsigned first = 0;

	while (first < l->depth && !same_file(l->chain[first], s))
		first++;
	if (first == l->depth)
		return false;
	for (unsigned i = first; i < l->depth && len < sizeof(chain) - 1; i++)
		len += (size_t)snprintf(chain + len, sizeof(chain) - len, "%s -> ",
					l->chain[i]->name);
	policy_error(l->d, at, "a policy cannot be its own parent",
		     "extends comes back to where it began: %s%s", chain, l->chain[first]->name);
	return true;
}

/* ---- one file ---- */

/* What must hold in each file for itself: its version. Of the others' the last one covers it. */
static void check_version(struct load *l, const struct source *s, const struct policy_node *root)
{
	struct policy_node *v = (struct policy_node *)(uintptr_t)policy_get(root, "version");
	const struct policy_key *key = schema_key(l->top, "version");
	const struct policy_key keys[] = { *key, { .name = NULL } };
	const struct policy_node only = { .type = POLICY_MAP, .n = 1, .child = &v };

	if (v) /* the same words as the check of the whole, so that it is said once */
		schema_check(keys, &only, true, l->d);
	else if (!l->holes)
		diag_error(l->d, root->pos, "begin the file with `version: 1`",
			   "the key `version` is missing in %s", s->name);
}

static void load_parent(struct load *l, const struct source *child, const struct policy_node *root)
{
	const struct policy_node *at = policy_get(root, "extends");
	kmn_auto(source_drop) struct source *parent = NULL;
	char mem[100];

	if (!at)
		return;
	l->holes = true; /* unless the parent is there */
	if (at->type != POLICY_SCALAR || !*at->scalar) {
		policy_error(l->d, at, "for example: extends: base",
			     "extends: expected the name or path of one policy, found %s",
			     tree_what(at, mem, sizeof(mem)));
		return;
	}
	if (l->depth == CHAIN_MAX) {
		policy_error(l->d, at, NULL, "more than %d policies that extend each other",
			     CHAIN_MAX);
		return;
	}
	if (open_parent(l, child, at, &parent) < 0 || is_cycle(l, parent, at))
		return;
	l->holes = false;
	load_source(l, parent);
}

/* The tree keeps s alive: places point into it. False: it is there already, and its parents. */
static bool keep(struct load *l, struct source *s)
{
	for (unsigned i = 0; i < l->t->sources; i++)
		if (same_file(l->t->source[i], s))
			return false;
	if (l->t->sources == TREE_FILES_MAX) {
		diag_error(l->d, (struct policy_pos){ s->name, 0, 0 }, NULL,
			   "a policy of more than %d files", TREE_FILES_MAX);
		l->holes = true;
		return false;
	}
	l->t->source[l->t->sources++] = source_hold(s);
	(void)diag_source(l->d, s); /* without it a message has no line, no more */
	return true;
}

/* Parse s, load its parents, lay it over them. */
static void load_source(struct load *l, struct source *s)
{
	struct policy_node *root;
	bool holes = l->holes, own;

	if (!keep(l, s))
		return;
	parse_source(l->t, s, l->d, &root, &own);
	if (root && root->type != POLICY_MAP) {
		char mem[100];

		policy_error(l->d, root, "a policy begins with `version: 1`",
			     "a policy is a map of keys, found %s",
			     tree_what(root, mem, sizeof(mem)));
		root = NULL;
		own = true;
	}
	l->holes = own;
	if (root) {
		check_version(l, s, root);
		l->chain[l->depth++] = s;
		load_parent(l, s, root);
		l->depth--;
		root = merge_maps(&l->t->arena, l->top, l->sum, root, l->d);
		if (root)
			l->sum = root;
	}
	l->holes |= holes | own;
}

/* ---- the whole ---- */
static const char *base_name(struct arena *a, const char *file)
{
	const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;

	return arena_copy(a, name, strcspn(name, "."));
}

/* extends has done its work, and what was wrong with it is said. */
static void drop_extends(struct policy_node *root)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < root->n; i++)
		if (strcmp(root->child[i]->key, "extends"))
			root->child[kept++] = root->child[i];
	root->n = kept;
}

/* The members of the policy, from its root. */
static int finish(struct load *l, const char *file)
{
	struct policy *p = &l->t->policy;
	const char *slash = strrchr(file, '/');

	p->root = l->sum;
	p->file = arena_copy(&l->t->arena, file, strlen(file));
	p->dir = slash ? arena_copy(&l->t->arena, file, slash == file ? 1 : (size_t)(slash - file))
		       : ".";
	p->name = policy_text(p->root, "name", NULL);
	if (!p->name)
		p->name = base_name(&l->t->arena, file);
	p->mode = policy_mode(p->root, KMN_DETECT);
	return p->file && p->dir && p->name ? 0 : -ENOMEM;
}

static struct tree *begin(struct load *l, const struct kmn_module *const *modules,
			  struct policy_diag *d)
{
	struct tree *t = calloc(1, sizeof(*t));

	memset(l, 0, sizeof(*l));
	l->d = d;
	l->t = t;
	l->top = t ? schema_top(&t->arena, modules) : NULL;
	if (!l->top)
		diag_no_memory(d);
	return t;
}

static struct policy *end(struct load *l, struct tree **t, const char *file, unsigned before)
{
	if (l->sum)
		drop_extends(l->sum);
	if (l->sum && l->top)
		schema_check(l->top, l->sum, l->holes, l->d);
	if (policy_errors(l->d) != before || !l->sum)
		return NULL;
	if (finish(l, file) < 0) {
		diag_no_memory(l->d);
		return NULL;
	}
	return &(*t)->policy;
}

struct policy *policy_load(const char *const *files, unsigned n,
			   const struct kmn_module *const *modules, struct policy_diag *d)
{
	unsigned before = policy_errors(d);
	struct policy *p;
	struct load l;
	kmn_auto(tree_free) struct tree *t = begin(&l, modules, d);

	if (!n)
		diag_error(d, (struct policy_pos){ NULL, 0, 0 }, NULL, "no policy file is named");
	for (unsigned i = 0; i < n && l.top; i++) {
		kmn_auto(source_drop) struct source *s = NULL;
		const char *why;

		if (source_open(files[i], &s, &why) < 0) {
			diag_error(d, (struct policy_pos){ files[i], 0, 0 }, NULL,
				   "cannot read the policy: %s", why);
			l.holes = true;
		} else {
			load_source(&l, s);
		}
	}
	p = end(&l, &t, n ? files[n - 1] : "", before);
	if (p)
		t = NULL; /* it is the policy's now */
	return p;
}

struct policy *policy_load_text(const char *name, const void *text, size_t len,
				const struct kmn_module *const *modules, struct policy_diag *d)
{
	kmn_auto(source_drop) struct source *s = source_new(name, text, len);
	unsigned before = policy_errors(d);
	struct policy *p;
	struct load l;
	kmn_auto(tree_free) struct tree *t = begin(&l, modules, d);

	if (s && l.top)
		load_source(&l, s);
	else
		diag_no_memory(d);
	p = end(&l, &t, name, before);
	if (p)
		t = NULL;
	return p;
}
