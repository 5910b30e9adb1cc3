#include <stdio.h>
#include <string.h>
#include "policy/diag.h"
#include "policy/schema.h"

/* JSON Schema from the same tables that check. source: JSON Schema draft 2020-12 */

static void kind_members(struct json *j, const struct policy_key *key, bool in_list);

static void one(struct json *j, const char *name, const struct policy_key *key, bool in_list)
{
	json_object(j, name);
	if (key->doc)
		json_str(j, "description", key->doc);
	if (key->one_or_list && key->kind != POLICY_K_VALUE) {
		const struct policy_key *item = key->kind == POLICY_K_LIST ? key->item : key;

		json_array(j, "anyOf");
		json_object(j, NULL);
		kind_members(j, item, in_list);
		json_end(j);
		json_object(j, NULL);
		json_str(j, "type", "array");
		json_object(j, "items");
		kind_members(j, item, true);
		json_end(j);
		json_end(j);
		json_end(j);
	} else {
		kind_members(j, key, in_list);
	}
	json_end(j);
}

/* in_list: inside a list item, which is whole: there + means nothing and required holds; elsewhere
 * a parent may have the key. */
static void object(struct json *j, const struct policy_key *keys, bool in_list)
{
	bool required = false;

	json_str(j, "type", "object");
	json_bool(j, "additionalProperties", false);
	json_object(j, "properties");
	for (const struct policy_key *k = keys; k && k->name; k++) {
		char plus[80];

		one(j, k->name, k, in_list);
		required |= k->required && in_list;
		if (in_list || !schema_is_list(k))
			continue;
		(void)snprintf(plus, sizeof(plus), "+%s", k->name);
		json_object(j, plus);
		json_printf(j, "description", "Added to `%s` of the parent.", k->name);
		json_str(j, "type", "array");
		if (k->kind == POLICY_K_LIST)
			one(j, "items", k->item, true);
		json_end(j);
	}
	json_end(j);
	if (!required)
		return;
	json_array(j, "required");
	for (const struct policy_key *k = keys; k->name; k++)
		if (k->required)
			json_str(j, NULL, k->name);
	json_end(j);
}

static void words(struct json *j, const char *const *list)
{
	json_array(j, "enum");
	for (; *list; list++)
		json_str(j, NULL, *list);
	json_end(j);
}

static void ref(struct json *j, const char *to)
{
	json_object(j, NULL);
	json_printf(j, "$ref", "#/$defs/%s", to);
	json_end(j);
}

static void value(struct json *j, const struct policy_key *key)
{
	if (!key->words) {
		json_str(j, "$ref", "#/$defs/value");
		return;
	}
	json_array(j, "anyOf");
	ref(j, "value");
	for (const char *const *w = key->words; *w; w++) {
		json_object(j, NULL);
		json_str(j, "type", "object");
		json_bool(j, "additionalProperties", false);
		json_object(j, "properties");
		json_object(j, *w);
		json_str(j, "$ref", "#/$defs/plain");
		json_end(j);
		json_end(j);
		json_array(j, "required");
		json_str(j, NULL, *w);
		json_end(j);
		json_end(j);
	}
	json_end(j);
}

static void kind_members(struct json *j, const struct policy_key *key, bool in_list)
{
	switch (key->kind) {
	case POLICY_K_TEXT:
		json_str(j, "type", "string");
		if (key->min)
			json_u64(j, "minLength", 1); /* ours are bytes, theirs characters */
		if (key->max)
			json_u64(j, "maxLength", key->max);
		break;
	case POLICY_K_BOOL:
		json_str(j, "type", "boolean");
		break;
	case POLICY_K_U64:
		json_str(j, "type", "integer");
		json_u64(j, "minimum", key->min);
		if (key->max)
			json_u64(j, "maximum", key->max);
		break;
	case POLICY_K_ENUM:
		words(j, key->words);
		break;
	case POLICY_K_OBJECT:
		object(j, key->keys, in_list);
		break;
	case POLICY_K_LIST:
		json_str(j, "type", "array");
		one(j, "items", key->item, true);
		break;
	case POLICY_K_MAP_OF:
		json_str(j, "type", "object");
		one(j, "additionalProperties", key->item, in_list);
		break;
	case POLICY_K_VALUE:
		value(j, key);
		break;
	}
}

/* {"type":"object","properties":{name:{...}},...} with one key that must be there. */
static void only_key(struct json *j, const char *name, const char *to)
{
	json_object(j, NULL);
	json_str(j, "type", "object");
	json_bool(j, "additionalProperties", false);
	json_object(j, "properties");
	json_object(j, name);
	if (to)
		json_printf(j, "$ref", "#/$defs/%s", to);
	else
		json_str(j, "type", "string");
	json_end(j);
	json_end(j);
	json_array(j, "required");
	json_str(j, NULL, name);
	json_end(j);
	json_end(j);
}

/* The values of POLICY_K_VALUE: see check_value() of schema.c. */
static void definitions(struct json *j)
{
	json_object(j, "$defs");
	json_object(j, "scalar");
	json_array(j, "type");
	json_str(j, NULL, "string");
	json_str(j, NULL, "number");
	json_str(j, NULL, "boolean");
	json_end(j);
	json_end(j);
	json_object(j, "plain");
	json_str(j, "description", "A value, {list: FILE}, or a list of them.");
	json_array(j, "anyOf");
	ref(j, "scalar");
	only_key(j, "list", NULL);
	json_object(j, NULL);
	json_str(j, "type", "array");
	json_object(j, "items");
	json_array(j, "anyOf");
	ref(j, "scalar");
	only_key(j, "list", NULL);
	json_end(j);
	json_end(j);
	json_end(j);
	json_end(j);
	json_end(j);
	json_object(j, "value");
	json_array(j, "anyOf");
	ref(j, "plain");
	only_key(j, "not", "plain");
	json_end(j);
	json_end(j);
	json_end(j);
}

void policy_schema(const struct kmn_module *const *modules, struct json *j)
{
	struct arena a = { NULL };
	const struct policy_key *top = schema_top(&a, modules);

	json_object(j, NULL);
	json_str(j, "$schema", "https://json-schema.org/draft/2020-12/schema");
	json_str(j, "title", "komainu policy");
	if (top)
		object(j, top, false);
	json_array(j, "required");
	json_str(j, NULL, "version");
	json_end(j);
	definitions(j);
	json_end(j);
	arena_free(&a);
}
