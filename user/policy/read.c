#include "policy/policy.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

const struct policy_node *policy_get(const struct policy_node *map, const char *key)
{
	if (!map || map->type != POLICY_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->n; i++)
		if (!strcmp(map->child[i]->key, key))
			return map->child[i];
	return NULL;
}

const struct policy_node *policy_at(const struct policy_node *map, const char *path)
{
	char key[64];
	size_t n;

	for (; map && *path; path += n + (path[n] == '.')) {
		n = strcspn(path, ".");
		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		map = policy_get(map, key);
	}
	return map;
}

const struct policy_node *policy_module(const struct policy *p, const char *name)
{
	return policy_get(policy_get(p->root, "modules"), name);
}

static const char *scalar_of(const struct policy_node *map, const char *key)
{
	const struct policy_node *n = policy_get(map, key);

	return n && n->type == POLICY_SCALAR ? n->scalar : NULL;
}

const char *policy_text(const struct policy_node *map, const char *key, const char *otherwise)
{
	const char *text = scalar_of(map, key);

	return text ? text : otherwise;
}

uint64_t policy_u64(const struct policy_node *map, const char *key, uint64_t otherwise)
{
	const char *text = scalar_of(map, key), *why;
	uint64_t v;

	return text && policy_number(text, &v, &why) ? v : otherwise;
}

bool policy_bool(const struct policy_node *map, const char *key, bool otherwise)
{
	const char *text = scalar_of(map, key);

	if (text && !strcmp(text, "true"))
		return true;
	return text && !strcmp(text, "false") ? false : otherwise;
}

enum kmn_mode policy_mode(const struct policy_node *map, enum kmn_mode otherwise)
{
	const char *text = scalar_of(map, "mode");

	for (int i = KMN_OFF; text && i <= KMN_PREVENT; i++)
		if (!strcmp(text, policy_modes[i]))
			return (enum kmn_mode)i;
	return otherwise;
}

static bool all_of(const char *text, const char *set)
{
	return *text && !text[strspn(text, set)];
}

/* Why text, which is no plain row of digits, is no number. */
static const char *not_a_number(const char *text)
{
	if (!*text)
		return "is empty";
	if (*text == '-' && all_of(text + 1, "0123456789_"))
		return "is negative";
	if (*text == '+' && all_of(text + 1, "0123456789_"))
		return "has a sign: write the digits alone";
	if (!strncmp(text, "0x", 2) || !strncmp(text, "0X", 2))
		return "is hexadecimal: write it in decimal";
	if (!strncmp(text, "0o", 2) || !strncmp(text, "0b", 2))
		return "is octal or binary: write it in decimal";
	if (all_of(text, "0123456789_"))
		return "has an underscore: write the digits alone";
	if (all_of(text, "0123456789,") || all_of(text, "0123456789 "))
		return "has separators: write the digits alone";
	if (all_of(text, "0123456789.eE+-") && text[strcspn(text, ".eE")] && *text != '.')
		return "is not a whole number";
	return "is not a number";
}

bool policy_number(const char *text, uint64_t *v, const char **why)
{
	uint64_t sum = 0;

	*why = NULL;
	if (!all_of(text, "0123456789"))
		*why = not_a_number(text);
	else if (*text == '0' && text[1])
		*why = "begins with 0, which some read as octal: write it without";
	for (; !*why && *text; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (sum > (UINT64_MAX - digit) / 10)
			*why = "is too large";
		sum = sum * 10 + digit;
	}
	if (!*why)
		*v = sum;
	return !*why;
}

int policy_path(const struct policy_node *at, char *out, size_t size)
{
	const char *slash;
	int n;

	if (!at || at->type != POLICY_SCALAR || !*at->scalar)
		return -EINVAL;
	slash = at->pos.file ? strrchr(at->pos.file, '/') : NULL;
	if (*at->scalar == '/' || !slash)
		n = snprintf(out, size, "%s", at->scalar);
	else
		n = snprintf(out, size, "%.*s/%s", (int)(slash - at->pos.file), at->pos.file,
			     at->scalar);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* ---- modes ---- */
struct policy_effect policy_effect(const struct policy *p, const char *module,
				   const struct policy_node *rule)
{
	const struct policy_node *m = policy_module(p, module);
	struct policy_effect e = { .policy = p->mode, .level = "policy" };

	e.module = policy_mode(m, m ? e.policy : KMN_OFF);
	e.rule = policy_mode(rule, e.module);
	e.mode = e.policy;
	e.from = policy_get(p->root, "mode");
	if (e.module < e.mode) {
		e.mode = e.module;
		e.level = "module";
		e.from = policy_get(m, "mode");
	}
	if (e.rule < e.mode) {
		e.mode = e.rule;
		e.level = "rule";
		e.from = policy_get(rule, "mode");
	}
	return e;
}

void policy_effect_json(struct json *j, const struct policy_effect *e)
{
	json_str(j, "mode", policy_modes[e->mode]);
	json_str(j, "decided_by", e->level);
	if (e->from)
		json_printf(j, "from", "%s:%u", e->from->pos.file, e->from->pos.line);
	else
		json_str(j, "from", "default");
}
