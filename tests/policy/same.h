#pragma once
#include "policy/policy.h"
#include "policy/print.h"

/* The same tree: types, texts, keys and their order, and what was quoted where it can show. */
static inline bool same_tree(const struct policy_node *a, const struct policy_node *b)
{
	if (a->type != b->type || a->n != b->n)
		return false;
	if (a->type == POLICY_SCALAR)
		return !strcmp(a->scalar, b->scalar) &&
		       (a->quoted == b->quoted || !print_is_plain(a->scalar));
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->type == POLICY_MAP && strcmp(a->child[i]->key, b->child[i]->key))
			return false;
		if (!same_tree(a->child[i], b->child[i]))
			return false;
	}
	return true;
}
