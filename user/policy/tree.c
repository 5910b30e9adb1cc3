#include "policy/tree.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "policy/transaction.h"

const char *const policy_modes[4] = { "off", "detect", "prevent", NULL };

void tree_free(struct tree *t)
{
	for (unsigned i = 0; i < t->sources; i++)
		source_drop(t->source[i]);
	arena_free(&t->arena);
	free(t);
}

void policy_free(struct policy *p)
{
	if (p)
		tree_free(tree_of(p));
}

int tree_add(struct arena *a, struct policy_node *to, uint32_t *cap, struct policy_node *child)
{
	if (to->n == *cap) {
		uint32_t more = *cap ? *cap * 2 : 4;
		struct policy_node **array = arena_get(a, more * sizeof(*array));

		if (!array)
			return -ENOMEM;
		if (to->n)
			memcpy(array, to->child, to->n * sizeof(*array));
		to->child = array;
		*cap = more;
	}
	to->child[to->n++] = child;
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct policy_node *x = *(struct policy_node *const *)a;
	const struct policy_node *y = *(struct policy_node *const *)b;
	int r = strcmp(x->key, y->key);

	if (r)
		return r;
	if (x->key_pos.line != y->key_pos.line)
		return x->key_pos.line < y->key_pos.line ? -1 : 1;
	return x->key_pos.col < y->key_pos.col ? -1 : x->key_pos.col > y->key_pos.col;
}

struct policy_node **tree_by_key(const struct policy_node *map)
{
	struct policy_node **sorted;

	if (!map->n)
		return NULL;
	sorted = malloc(map->n * sizeof(*sorted));
	if (!sorted)
		return NULL;
	memcpy(sorted, map->child, map->n * sizeof(*sorted));
	qsort(sorted, map->n, sizeof(*sorted), by_key);
	return sorted;
}

struct policy_node *tree_find(struct policy_node **sorted, uint32_t n, const char *key)
{
	uint32_t low = 0, high = n, mid;
	int r;

	while (sorted && low < high) {
		mid = low + (high - low) / 2;
		r = strcmp(key, sorted[mid]->key);
		if (!r)
			return sorted[mid];
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* ---- words that mean something else to others ---- */
static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strcasecmp(text, *words))
			return true;
	return false;
}

bool tree_is_bool_like(const char *text)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on",
					     "off",  "y",     "n",   NULL };

	return one_of(text, words);
}

bool tree_is_null_like(const char *text)
{
	return !*text || !strcmp(text, "~") || !strcasecmp(text, "null");
}

bool tree_is_number_like(const char *text)
{
	static const char *const words[] = { ".inf", "-.inf", "+.inf", ".nan", NULL };
	bool digit = false;

	if (one_of(text, words))
		return true;
	if (*text == '-' || *text == '+')
		text++;
	if (!strncasecmp(text, "0x", 2) && text[2])
		return !text[2 + strspn(text + 2, "0123456789abcdefABCDEF_")];
	if (!strncmp(text, "0o", 2) && text[2])
		return !text[2 + strspn(text + 2, "01234567_")];
	for (; *text; text++) {
		if (*text >= '0' && *text <= '9')
			digit = true;
		else if (!digit || !strchr("._eE+-", *text))
			return false;
		else if ((*text == '+' || *text == '-') && text[-1] != 'e' && text[-1] != 'E')
			return false; /* 80-90 is a range, 2026-01-01 a date */
	}
	return digit;
}

/* ---- words for messages ---- */
const char *tree_quote(const char *text, char *mem, size_t size)
{
	size_t n = strlen(text), max = size - 4 < 60 ? size - 4 : 60;

	if (n > max) {
		n = max;
		while (n && ((unsigned char)text[n] & 0xc0) == 0x80) /* no half character */
			n--;
		(void)snprintf(mem, size, "%.*s...", (int)n, text);
	} else {
		(void)snprintf(mem, size, "%s", text);
	}
	return mem;
}

const char *tree_what(const struct policy_node *n, char *mem, size_t size)
{
	char text[80];

	if (n->type == POLICY_LIST)
		return n->n ? "a list" : "an empty list";
	if (n->type == POLICY_MAP)
		return n->n ? "a map" : "an empty map";
	if (!n->quoted && tree_is_null_like(n->scalar))
		return *n->scalar ? "null" : "nothing";
	tree_quote(n->scalar, text, sizeof(text));
	if (n->quoted)
		(void)snprintf(mem, size, "the text \"%s\"", text);
	else if (tree_is_number_like(n->scalar))
		(void)snprintf(mem, size, "the number %s", text);
	else
		(void)snprintf(mem, size, "`%s`", text);
	return mem;
}
