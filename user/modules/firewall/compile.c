#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "modules/firewall/firewall.h"
#include "policy/transaction.h"

KMN_AUTO_DEFINE(struct fw_plan *, fw_plan_free)

/* Scalars of a list, or the one scalar, as copies. */
static char **copy_texts(const struct policy_node *n, uint32_t *many)
{
	uint32_t all = !n ? 0 : n->type == POLICY_LIST ? n->n : 1;
	char **text = all ? calloc(all, sizeof(*text)) : NULL;

	*many = 0;
	for (uint32_t i = 0; text && i < all; i++) {
		const struct policy_node *at = n->type == POLICY_LIST ? n->child[i] : n;

		text[i] = strdup(at->scalar ? at->scalar : "");
		if (!text[i])
			break;
		*many = i + 1;
	}
	return text;
}

static void default_protos(struct fw_spec *s)
{
	s->proto_given = true;
	for (unsigned i = 0; i < 256; i++)
		if (fw_proto_has_ports(i))
			s->proto[i / 64] |= 1ULL << (i % 64);
}

static void read_rule(const struct policy *policy, const struct policy_node *n,
		      struct policy_diag *d, struct fw_lists *lists, struct fw_spec *s)
{
	const char *direction = policy_text(n, "direction", "");
	const struct policy_node *v;

	s->name = strdup(policy_text(n, "name", ""));
	s->action = strcmp(policy_text(n, "action", "deny"), "allow") ? FW_DENY : FW_ALLOW;
	s->priority = (uint8_t)policy_u64(n, "priority", 0);
	s->directions = !strcmp(direction, "incoming")	 ? FW_IN
			: !strcmp(direction, "outgoing") ? FW_OUT
							 : FW_IN | FW_OUT;
	s->effect = policy_effect(policy, "firewall", n);
	s->mode = (uint8_t)s->effect.mode;
	v = policy_get(n, "protocol");
	s->proto_given = v != NULL;
	if (v)
		fw_parse_protos(v, d, s->proto);
	v = policy_get(n, "source");
	if (v)
		fw_parse_addrs(v, d, lists, &s->source);
	v = policy_get(n, "destination");
	if (v)
		fw_parse_addrs(v, d, lists, &s->destination);
	v = policy_get(n, "source_port");
	if (v)
		fw_parse_ports(v, d, &s->source_port);
	v = policy_get(n, "destination_port");
	if (v)
		fw_parse_ports(v, d, &s->destination_port);
	if (fw_spec_has_ports(s) && !s->proto_given)
		default_protos(s);
	s->interfaces = copy_texts(policy_get(n, "interfaces"), &s->n_interfaces);
}

/* ---- what the schema cannot see ---- */
struct named {
	const char *name;
	const struct policy_node *at;
};

static int by_name(const void *pa, const void *pb)
{
	const struct named *a = pa, *b = pb;
	int r = strcmp(a->name, b->name);

	if (r)
		return r;
	return a->at->pos.line != b->at->pos.line ? (a->at->pos.line < b->at->pos.line ? -1 : 1)
						  : (int)a->at->pos.col - (int)b->at->pos.col;
}

static void check_names(const struct policy_node *rules, struct policy_diag *d)
{
	struct named *all = calloc(rules->n ? rules->n : 1, sizeof(*all));

	if (!all) {
		policy_error(d, rules, NULL, "out of memory");
		return;
	}
	for (uint32_t i = 0; i < rules->n; i++) {
		const struct policy_node *name = policy_get(rules->child[i], "name");

		all[i].at = name ? name : rules->child[i];
		all[i].name = name && name->scalar ? name->scalar : "";
	}
	qsort(all, rules->n, sizeof(*all), by_name);
	for (uint32_t i = 1; i < rules->n; i++)
		if (!strcmp(all[i - 1].name, all[i].name))
			policy_error(d, all[i].at, "give it a name of its own",
				     "a second rule with the name \"%s\" (the first is in line %u)",
				     all[i].name, all[i - 1].at->pos.line);
	free(all);
}

/* An allow exempts from denies below it; where there are none it does nothing at all. */
static void check_allows(const struct fw_plan *plan, const struct policy_node *rules,
			 struct policy_diag *d)
{
	unsigned lowest_deny = 5;

	for (uint32_t i = 0; i < plan->n_specs; i++)
		if (plan->specs[i].action == FW_DENY && plan->specs[i].priority < lowest_deny)
			lowest_deny = plan->specs[i].priority;
	for (uint32_t i = 0; i < plan->n_specs; i++)
		if (plan->specs[i].action == FW_ALLOW && plan->specs[i].priority <= lowest_deny)
			policy_warn(d, rules->child[i],
				    "raise its priority above that of the denies it shall except",
				    "the allow \"%s\" has no effect: no deny has a lower priority",
				    plan->specs[i].name);
}

static int read_rules(const struct policy *policy, const struct policy_node *rules,
		      struct policy_diag *d, struct fw_lists *lists, struct fw_plan *plan)
{
	plan->specs = calloc(rules->n ? rules->n : 1, sizeof(*plan->specs));
	if (!plan->specs)
		return -ENOMEM;
	for (uint32_t i = 0; i < rules->n; i++) {
		struct fw_spec *s = &plan->specs[plan->n_specs++];

		s->id = i + 1;
		read_rule(policy, rules->child[i], d, lists, s);
		if (!s->name)
			return -ENOMEM;
	}
	check_names(rules, d);
	check_allows(plan, rules, d);
	return 0;
}

static int keep_names(struct fw_plan *plan)
{
	const char **names = calloc(plan->n_specs ? plan->n_specs : 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (uint32_t i = 0; i < plan->n_specs; i++)
		names[i] = plan->specs[i].name;
	plan->names = net_names_new(names, plan->n_specs);
	free(names);
	return plan->names ? 0 : -ENOMEM;
}

static int compile_into(struct fw_plan *plan, const struct policy *policy,
			const struct policy_node *module, struct fw_lists *lists,
			struct policy_diag *d)
{
	const struct policy_node *rules = policy_get(module, "rules");
	unsigned before = policy_errors(d);
	const char *why = "";
	int r = 0;

	if (rules)
		r = read_rules(policy, rules, d, lists, plan);
	if (!r && policy_errors(d) != before)
		return -EINVAL;
	if (!r && policy_cancelled())
		return -ECANCELED;
	if (!r)
		r = fw_tables_build(&plan->t, plan->specs, plan->n_specs, &why);
	if (!r)
		r = keep_names(plan);
	if (r < 0)
		policy_error(d, rules ? rules : module, NULL, "the firewall's rules: %s",
			     why[0] ? why : strerror(-r));
	return r;
}

/* Absent: all but lo, which the pattern * does not name. A module that is off hangs on nothing. */
static int read_interfaces(struct fw_plan *plan, const struct policy *policy,
			   const struct policy_node *module)
{
	const struct policy_node *n = policy_get(module, "interfaces");

	if (!module || policy_effect(policy, "firewall", NULL).mode == KMN_OFF)
		return 0;
	plan->pods = copy_texts(policy_get(module, "pod_interfaces"), &plan->n_pods);
	plan->interfaces = copy_texts(n, &plan->n_interfaces);
	if (n)
		return plan->interfaces || !n->n ? 0 : -ENOMEM;
	plan->interfaces = calloc(1, sizeof(*plan->interfaces));
	if (!plan->interfaces)
		return -ENOMEM;
	plan->interfaces[0] = strdup("*");
	if (!plan->interfaces[0])
		return -ENOMEM;
	plan->n_interfaces = 1;
	return 0;
}

int fw_compile(const struct policy *policy, struct worker_pool *workers, struct policy_diag *diag,
	       void **out)
{
	const struct policy_node *module = policy_module(policy, "firewall");
	kmn_auto(fw_plan_free) struct fw_plan *plan = calloc(1, sizeof(*plan));
	struct fw_lists *lists = calloc(1, sizeof(*lists));
	int r = plan && lists ? 0 : -ENOMEM;

	if (!r) {
		lists->workers = workers;
		r = read_interfaces(plan, policy, module);
	}
	if (!r)
		r = compile_into(plan, policy, module, lists, diag);
	if (lists) {
		fw_lists_free(lists);
		free(lists);
	}
	if (r < 0)
		return r;
	*out = KMN_TAKE(plan);
	return 0;
}
