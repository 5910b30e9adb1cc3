#include <string.h>
#include "policy/diag.h"
#include "policy/schema.h"

/* The keys of the top of a policy. */

static const char *const mode_doc = "off, detect (report what prevent would have done) or prevent; "
				    "the lowest of policy, module "
				    "and rule is in force.";

static const struct policy_key label = { .kind = POLICY_K_TEXT, .max = 256 };

static const struct policy_key budget[] = {
	{ .name = "max_mib",
	  .kind = POLICY_K_U64,
	  .min = 16,
	  .max = 1 << 20,
	  .doc = "MiB on disk; the oldest are dropped first.",
	  .example = "1024" },
	{ .name = "max_days",
	  .kind = POLICY_K_U64,
	  .min = 1,
	  .max = 3650,
	  .doc = "Days to keep.",
	  .example = "90" },
	{ .name = NULL },
};

static const struct policy_key events[] = {
	{ .name = "findings",
	  .kind = POLICY_K_OBJECT,
	  .keys = budget,
	  .doc = "Budget of what was found, denied or would have been." },
	{ .name = "telemetry",
	  .kind = POLICY_K_OBJECT,
	  .keys = budget,
	  .doc = "Budget of what only happened: processes and the like." },
	{ .name = NULL },
};

static const struct policy_key limits[] = {
	{ .name = "memory_mib",
	  .kind = POLICY_K_U64,
	  .min = 1,
	  .max = 1 << 16,
	  .doc = "MiB of kernel memory for the maps of the policy in force and of the one that "
		 "takes its place, together (40 without this key); a policy that needs more is "
		 "refused.",
	  .example = "64" },
	{ .name = NULL },
};

static const struct policy_key selector[] = {
	{ .name = "name", .kind = POLICY_K_TEXT, .min = 1, .max = 256, .doc = "Container name." },
	{ .name = "image", .kind = POLICY_K_TEXT, .min = 1, .max = 512, .doc = "Image name." },
	{ .name = "pod", .kind = POLICY_K_TEXT, .min = 1, .max = 256, .doc = "Pod name." },
	{ .name = "namespace", .kind = POLICY_K_TEXT, .min = 1, .max = 256, .doc = "Namespace." },
	{ .name = "labels", .kind = POLICY_K_MAP_OF, .item = &label, .doc = "Labels it has." },
	{ .name = NULL },
};

/* A ceiling that nothing obeys yet must not be mistaken for one that holds. */
static void no_containers(const struct policy_node *n, struct policy_diag *d)
{
	policy_error(d, n, "remove it; modes hold for the host and all containers alike",
		     "containers: not supported by this version: no module narrows its mode by "
		     "container");
}

/* Copies of the tables that hold module keys, for they are known only now. */
struct tables {
	struct policy_key top[12], modules[KMN_PARTS], container[3], container_item;
};

static struct policy_key mode_key(void)
{
	return (struct policy_key){ .name = "mode",
				    .kind = POLICY_K_ENUM,
				    .words = policy_modes,
				    .doc = mode_doc,
				    .example = "detect" };
}

/* The keys of one module: mode, and its own. */
static const struct policy_key *module_keys(struct arena *a, const struct policy_key *own)
{
	struct policy_key *keys;
	size_t n = 0;

	while (own && own[n].name)
		n++;
	keys = arena_get(a, (n + 2) * sizeof(*keys));
	if (!keys)
		return NULL;
	if (n)
		memcpy(keys, own, n * sizeof(*keys));
	if (!schema_key(own, "mode"))
		keys[n] = mode_key();
	return keys;
}

static void fill_top(struct tables *t)
{
	const struct policy_key top[] = {
		{ .name = "version", /* that each file has it is for load.c */
		  .kind = POLICY_K_U64,
		  .min = 1,
		  .max = 1,
		  .doc = "Version of the policy language: 1.",
		  .example = "version: 1" },
		{ .name = "name",
		  .kind = POLICY_K_TEXT,
		  .min = 1,
		  .max = 64,
		  .doc = "How status and events call the policy; the file's name without one.",
		  .example = "web-servers" },
		{ .name = "description",
		  .kind = POLICY_K_TEXT,
		  .max = 1024,
		  .doc = "A sentence for people." },
		{ .name = "extends",
		  .kind = POLICY_K_TEXT,
		  .min = 1,
		  .max = 1024,
		  .doc = "The parent policy, by name or path; this file is laid over it.",
		  .example = "base" },
		mode_key(),
		{ .name = "modules",
		  .kind = POLICY_K_OBJECT,
		  .keys = t->modules,
		  .doc = "The protections; one that is not named is off.",
		  .example = "{firewall: {mode: detect}}" },
		{ .name = "containers",
		  .kind = POLICY_K_LIST,
		  .item = &t->container_item,
		  .check = no_containers,
		  .doc = "Modes by container. Not supported by this version." },
		{ .name = "events",
		  .kind = POLICY_K_OBJECT,
		  .keys = events,
		  .doc = "What the event store may take." },
		{ .name = "limits",
		  .kind = POLICY_K_OBJECT,
		  .keys = limits,
		  .doc = "What the policy may take." },
		{ .name = "labels",
		  .kind = POLICY_K_MAP_OF,
		  .item = &label,
		  .doc = "Words for people and tools; nothing is decided by them." },
	};

	_Static_assert(sizeof(top) + sizeof(*top) <= sizeof(t->top), "room for the end");
	memcpy(t->top, top, sizeof(top));
}

const struct policy_key *schema_top(struct arena *a, const struct kmn_module *const *modules)
{
	struct tables *t = arena_get(a, sizeof(*t));

	if (!t)
		return NULL;
	for (unsigned i = 0; modules[i] && i < KMN_PARTS - 1; i++) {
		t->modules[i] = (struct policy_key){ .name = modules[i]->part.name,
						     .kind = POLICY_K_OBJECT,
						     .keys = module_keys(a, modules[i]->schema),
						     .doc = modules[i]->part.summary };
		if (!t->modules[i].keys)
			return NULL;
	}
	t->container[0] = (struct policy_key){ .name = "select",
					       .kind = POLICY_K_OBJECT,
					       .keys = selector,
					       .required = true,
					       .doc = "Which containers." };
	t->container[1] = (struct policy_key){ .name = "modules",
					       .kind = POLICY_K_OBJECT,
					       .keys = t->modules,
					       .required = true,
					       .doc = "What is narrowed for them." };
	t->container_item = (struct policy_key){ .kind = POLICY_K_OBJECT, .keys = t->container };
	fill_top(t);
	return t->top;
}
