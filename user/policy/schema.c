#include "policy/schema.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/near.h"
#include "policy/diag.h"

#define NAMES_MAX 128 /* keys of one table among which a suggestion is looked for */

/* Where the check is: "modules.firewall.rules[2]", for messages. */
struct where {
	struct policy_diag *d;
	const struct policy_key *top;
	bool holes;
	size_t len;
	char path[200];
};

static void check_node(struct where *w, const struct policy_key *key, const struct policy_node *n);

const struct policy_key *schema_key(const struct policy_key *keys, const char *name)
{
	if (*name == '+')
		name++;
	for (; keys && keys->name; keys++)
		if (!strcmp(keys->name, name))
			return keys;
	return NULL;
}

bool schema_is_list(const struct policy_key *key)
{
	return key->kind == POLICY_K_LIST || key->kind == POLICY_K_VALUE || key->one_or_list;
}

/* ---- the path ---- */
static size_t enter(struct where *w, const char *key, uint32_t index)
{
	size_t was = w->len, left = sizeof(w->path) - w->len;
	int n = key ? snprintf(w->path + was, left, "%s%s", was ? "." : "", key)
		    : snprintf(w->path + was, left, "[%u]", index);

	w->len = n < 0 || (size_t)n >= left ? sizeof(w->path) - 1 : was + (size_t)n;
	return was;
}

static void leave(struct where *w, size_t was)
{
	w->len = was;
	w->path[was] = '\0';
}

static const char *here(const struct where *w)
{
	return w->len ? w->path : "the policy";
}

/* ---- keys that no table has ---- */

/* Our words are small letters and underscores: what differs in that alone is near too. */
static const char *nearest(const char *word, const char *const *names)
{
	char folded[64];
	size_t n = 0;

	for (; *word && n < sizeof(folded) - 1; word++)
		folded[n++] =
			*word == '-' || *word == ' ' ? '_' : (char)tolower((unsigned char)*word);
	folded[n] = '\0';
	word = near_word(folded, names);
	for (; !word && n > 2 && *names; names++) /* the beginning of one */
		if (!strncmp(*names, folded, n))
			word = *names;
	return word;
}

/* The path of a table below keys that has a key of that name: it may only stand at a wrong place.
 * depth: tables of modules could be built in a ring, and are not deep. */
static bool elsewhere(const struct policy_key *keys, const char *name, unsigned depth, char *path,
		      size_t size)
{
	for (; keys && keys->name && depth; keys++) {
		const struct policy_key *sub = keys->kind == POLICY_K_LIST ? keys->item : keys;
		int n = snprintf(path, size, "%s%s", keys->name, sub != keys ? "[]" : "");

		if (n < 0 || (size_t)n + 1 >= size || !sub || sub->kind != POLICY_K_OBJECT)
			continue;
		if (schema_key(sub->keys, name))
			return true;
		path[n] = '.';
		if (elsewhere(sub->keys, name, depth - 1, path + n + 1, size - (size_t)n - 1))
			return true;
	}
	return false;
}

static void unknown_key(struct where *w, const struct policy_key *keys, const struct policy_node *n)
{
	const char *names[NAMES_MAX + 1], *plus = *n->key == '+' ? "+" : "", *near;
	char mem[80], hint[320] = "", path[160];
	unsigned many = 0;

	if (!diag_full(w->d)) {
		for (const struct policy_key *k = keys; k->name && many < NAMES_MAX; k++)
			if (!*plus || schema_is_list(k))
				names[many++] = k->name;
		names[many] = NULL;
		near = nearest(n->key + strlen(plus), names);
		if (near)
			(void)snprintf(hint, sizeof(hint), "did you mean `%s%s`?", plus, near);
		else if (elsewhere(w->top, n->key + strlen(plus), 6, path, sizeof(path)))
			(void)snprintf(hint, sizeof(hint),
				       "it is a key of `%s`: see the indentation", path);
		else if (many && many <= 12) {
			size_t len = (size_t)snprintf(hint, sizeof(hint), "known here:");

			for (unsigned i = 0; i < many && len < sizeof(hint) - 1; i++)
				len += (size_t)snprintf(hint + len, sizeof(hint) - len, "%s %s",
							i ? "," : "", names[i]);
		}
	}
	diag_error(w->d, n->key_pos, *hint ? hint : NULL,
		   strcmp(w->path, "modules") ? "unknown key `%s` in %s"
					      : "unknown module `%s` in %s",
		   tree_quote(n->key, mem, sizeof(mem)), here(w));
}

/* ---- one kind each ---- */
static void wrong_kind(struct where *w, const struct policy_node *n, const char *wanted,
		       const char *hint)
{
	char mem[100];

	policy_error(w->d, n, hint, "%s: expected %s, found %s", here(w), wanted,
		     tree_what(n, mem, sizeof(mem)));
}

static const char *example_hint(const struct policy_key *key, char *mem, size_t size)
{
	if (!key->example)
		return NULL;
	(void)snprintf(mem, size, "for example: %s", key->example);
	return mem;
}

static void check_object(struct where *w, const struct policy_key *key, const struct policy_node *n)
{
	for (uint32_t i = 0; i < n->n; i++) {
		const struct policy_node *child = n->child[i];
		const struct policy_key *k = schema_key(key->keys, child->key);
		size_t was;

		if (!k) {
			unknown_key(w, key->keys, child);
			continue;
		}
		if (*child->key == '+') /* the merge has taken the others off */
			diag_error(w->d, child->key_pos, "write it without the +",
				   "`%s`: nothing can be added to here: %s", child->key,
				   schema_is_list(k) ? "a list inside a list replaces"
						     : "it is no list");
		was = enter(w, k->name, 0);
		check_node(w, k, child);
		leave(w, was);
	}
	for (const struct policy_key *k = key->keys; k && k->name && !w->holes; k++)
		if (k->required && !policy_get(n, k->name)) {
			char mem[200], hint[256];

			(void)snprintf(hint, sizeof(hint), "%s",
				       example_hint(k, mem, sizeof(mem)) ? mem : k->doc);
			policy_error(w->d, n, hint, "the key `%s` is missing in %s", k->name,
				     here(w));
		}
}

static void check_items(struct where *w, const struct policy_key *item, const struct policy_node *n,
			bool keyed)
{
	for (uint32_t i = 0; i < n->n; i++) {
		size_t was = enter(w, keyed ? n->child[i]->key : NULL, i);

		check_node(w, item, n->child[i]);
		leave(w, was);
	}
}

static void check_text(struct where *w, const struct policy_key *key, const struct policy_node *n)
{
	size_t len = strlen(n->scalar);
	char mem[100];

	if (!n->quoted && tree_is_null_like(n->scalar))
		wrong_kind(w, n, "a text", "write it, or remove the key");
	else if (!n->quoted && (tree_is_bool_like(n->scalar) || tree_is_number_like(n->scalar)))
		policy_error(w->d, n, "put it in quotes", "%s: expected a text, found %s", here(w),
			     tree_what(n, mem, sizeof(mem)));
	else if (strchr(n->scalar, '\n'))
		policy_error(w->d, n, "write it in one line", "%s: a text of several lines",
			     here(w));
	else if (!len && key->min)
		policy_error(w->d, n, NULL, "%s: the text is empty", here(w));
	else if (len < key->min || (key->max && len > key->max))
		policy_error(w->d, n, NULL, "%s: a text of %zu bytes, expected %llu to %llu",
			     here(w), len, (unsigned long long)key->min,
			     (unsigned long long)(key->max ? key->max : SOURCE_BYTES_MAX));
}

static void check_bool(struct where *w, const struct policy_node *n)
{
	static const char *const yes[] = { "true", "yes", "on", "y", "1" };
	const char *hint = NULL;
	char mem[100];

	if (!n->quoted && (!strcmp(n->scalar, "true") || !strcmp(n->scalar, "false")))
		return;
	if (tree_is_bool_like(n->scalar))
		hint = "write false";
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		if (!strcasecmp(n->scalar, yes[i]))
			hint = n->quoted && !i ? "write true, without quotes" : "write true";
	if (!strcmp(n->scalar, "0"))
		hint = "write false";
	if (n->quoted && !strcmp(n->scalar, "false"))
		hint = "write false, without quotes";
	policy_error(w->d, n, hint, "%s: expected true or false, found %s", here(w),
		     tree_what(n, mem, sizeof(mem)));
}

static void check_u64(struct where *w, const struct policy_key *key, const struct policy_node *n)
{
	const char *why;
	char mem[100], hint[160];
	uint64_t v, max = key->max ? key->max : UINT64_MAX;

	(void)snprintf(hint, sizeof(hint),
		       key->min == max ? "only %llu is known" : "a whole number from %llu to %llu",
		       (unsigned long long)key->min, (unsigned long long)max);
	if (n->quoted) {
		policy_error(w->d, n, tree_is_number_like(n->scalar) ? "remove the quotes" : hint,
			     "%s: expected a number, found %s", here(w),
			     tree_what(n, mem, sizeof(mem)));
	} else if (tree_is_null_like(n->scalar)) {
		wrong_kind(w, n, "a number", hint);
	} else if (!policy_number(n->scalar, &v, &why)) {
		policy_error(w->d, n, hint, "%s: `%s` %s", here(w),
			     tree_quote(n->scalar, mem, sizeof(mem)), why);
	} else if (v < key->min || v > max) {
		policy_error(w->d, n, hint, "%s: %s is out of range", here(w), n->scalar);
	}
}

static void check_enum(struct where *w, const struct policy_key *key, const struct policy_node *n)
{
	char hint[300], mem[100];
	unsigned many = 0;
	const char *near;
	size_t len;

	for (; key->words[many]; many++)
		if (!strcmp(n->scalar, key->words[many]))
			return;
	near = nearest(n->scalar, key->words);
	len = near ? (size_t)snprintf(hint, sizeof(hint), "did you mean `%s`? ", near) : 0;
	len += (size_t)snprintf(hint + len, sizeof(hint) - len, "one of:");
	for (unsigned i = 0; i < many && len < sizeof(hint) - 1; i++)
		len += (size_t)snprintf(hint + len, sizeof(hint) - len, "%s %s", i ? "," : "",
					key->words[i]);
	policy_error(w->d, n, hint, "%s: %s is not known", here(w), tree_what(n, mem, sizeof(mem)));
}

/* A value's shape: scalar, list of such, or a map of one word (list, not, or one of its own). */
static void check_value(struct where *w, const struct policy_key *key, const struct policy_node *n,
			unsigned depth)
{
	const struct policy_node *in;
	char mem[100], hint[120];

	if (n->type == POLICY_SCALAR) {
		if (!n->quoted && tree_is_null_like(n->scalar))
			wrong_kind(w, n, "a value", example_hint(key, hint, sizeof(hint)));
		return;
	}
	if (n->type == POLICY_LIST && depth != 1) {
		for (uint32_t i = 0; i < n->n; i++)
			check_value(w, key, n->child[i], 1);
		return;
	}
	in = n->type == POLICY_MAP && n->n == 1 ? n->child[0] : NULL;
	if (in && !strcmp(in->key, "list")) {
		if (in->type != POLICY_SCALAR || !*in->scalar)
			wrong_kind(w, in, "the name of a file", "{list: FILE}");
		return;
	}
	if (in && depth == 0) {
		bool word = !strcmp(in->key, "not");

		for (const char *const *o = key->words; o && *o && !word; o++)
			word = !strcmp(in->key, *o);
		if (word) {
			check_value(w, key, in, 2);
			return;
		}
	}
	wrong_kind(w, n,
		   depth ? "a plain value or {list: FILE}"
			 : "a value, a list, {list: FILE} or {not: VALUE}",
		   example_hint(key, mem, sizeof(mem)));
}

/* Is n a list, map or scalar as its kind wants it? Says so when it is not. */
static bool right_type(struct where *w, const struct policy_key *key, const struct policy_node *n)
{
	static const char *const wanted[] = {
		[POLICY_K_TEXT] = "a text",  [POLICY_K_BOOL] = "true or false",
		[POLICY_K_U64] = "a number", [POLICY_K_ENUM] = "a word",
		[POLICY_K_OBJECT] = "a map", [POLICY_K_LIST] = "a list",
		[POLICY_K_MAP_OF] = "a map",
	};
	enum policy_type type = POLICY_SCALAR;
	const char *hint;
	char mem[200];

	if (key->kind == POLICY_K_VALUE)
		return true;
	if (key->kind == POLICY_K_LIST)
		type = POLICY_LIST;
	else if (key->kind == POLICY_K_OBJECT || key->kind == POLICY_K_MAP_OF)
		type = POLICY_MAP;
	if (n->type == type)
		return true;
	if (type == POLICY_LIST && n->type == POLICY_MAP)
		hint = "begin each item with `- `";
	else if (type == POLICY_LIST && n->type == POLICY_SCALAR && !*n->scalar)
		hint = "write [] for none";
	else
		hint = example_hint(key, mem, sizeof(mem));
	wrong_kind(w, n, wanted[key->kind], hint);
	return false;
}

static void check_kind(struct where *w, const struct policy_key *key, const struct policy_node *n)
{
	switch (key->kind) {
	case POLICY_K_TEXT:
		check_text(w, key, n);
		break;
	case POLICY_K_BOOL:
		check_bool(w, n);
		break;
	case POLICY_K_U64:
		check_u64(w, key, n);
		break;
	case POLICY_K_ENUM:
		check_enum(w, key, n);
		break;
	case POLICY_K_OBJECT:
		check_object(w, key, n);
		break;
	case POLICY_K_LIST:
		check_items(w, key->item, n, false);
		break;
	case POLICY_K_MAP_OF:
		check_items(w, key->item, n, true);
		break;
	case POLICY_K_VALUE:
		check_value(w, key, n, 0);
		break;
	}
}

static void check_node(struct where *w, const struct policy_key *key, const struct policy_node *n)
{
	unsigned before = policy_errors(w->d);
	bool outer = key->kind == POLICY_K_LIST || key->kind == POLICY_K_MAP_OF;

	if (key->one_or_list && key->kind == POLICY_K_LIST && n->type != POLICY_LIST) {
		check_node(w, key->item, n);
		if (policy_errors(w->d) != before)
			return;
	} else if (key->one_or_list && key->kind != POLICY_K_LIST && n->type == POLICY_LIST) {
		struct policy_key item = *key;

		item.one_or_list = false;
		check_items(w, &item, n, false);
		return;
	} else {
		if (!right_type(w, key, n))
			return;
		check_kind(w, key, n);
	}
	if (key->check && !w->holes && (outer || policy_errors(w->d) == before))
		key->check(n, w->d);
}

void schema_check(const struct policy_key *top, const struct policy_node *root, bool holes,
		  struct policy_diag *d)
{
	struct where w = { .d = d, .top = top, .holes = holes };
	struct policy_key all = { .kind = POLICY_K_OBJECT, .keys = top };

	check_node(&w, &all, root);
}
