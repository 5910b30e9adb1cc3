#pragma once
#include "policy/arena.h"
#include "policy/policy.h"
#include "policy/source.h"

#define TREE_DEPTH_MAX 32     /* levels of lists and maps in a file, and so in a merged tree */
#define TREE_NODES_MAX 262144 /* values in all files: about 45 MiB while it is read */
#define TREE_FILES_MAX 32     /* files of one policy: given ones, parents, all together */

/* What policy_load() hands out: the policy first, and what it lives in. */
struct tree {
	struct policy policy;
	struct arena arena; /* nodes and texts */
	struct source *source[TREE_FILES_MAX];
	unsigned sources;
	uint32_t nodes;
};

static inline struct tree *tree_of(const struct policy *p)
{
	return (struct tree *)(void *)(uintptr_t)p;
}

void tree_free(struct tree *t);
KMN_AUTO_DEFINE(struct tree *, tree_free)

/* Add child to a list or map; child arrays grow by doubling inside the arena. cap: of the array, by
 * the caller, 0 at first. 0, or -ENOMEM. */
int tree_add(struct arena *a, struct policy_node *to, uint32_t *cap, struct policy_node *child);

/* The children of a map by key, then by place: for lookups in maps of any size. NULL: no memory, or
 * no children. */
struct policy_node **tree_by_key(const struct policy_node *map);
struct policy_node *tree_find(struct policy_node **by_key, uint32_t n, const char *key);

/* What a node is, for messages: "the text \"x\"", "a list", "a map", "nothing". Into mem. */
const char *tree_what(const struct policy_node *n, char *mem, size_t size);
/* A text as it may stand in a message: at most 60 characters of it, then "...". */
const char *tree_quote(const char *text, char *mem, size_t size);

/* Plain words that other readers of YAML take for something else than text. */
bool tree_is_bool_like(const char *text);   /* yes, No, TRUE, on, y ... and true, false */
bool tree_is_null_like(const char *text);   /* empty, ~, null, Null, NULL */
bool tree_is_number_like(const char *text); /* 1, 1.5, 0x1f, 1e3, 1_000, 012, .inf */
