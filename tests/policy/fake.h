#pragma once
#include "policy/transaction.h"

/* A module with a key of each kind, so that the tests of the language do not hang on a protection.
 * It is called by the name of one. */
static const char *const fake_actions[] = { "allow", "deny", NULL };
static const char *const fake_directions[] = { "incoming", "outgoing", NULL };
static const char *const fake_words[] = { "only", NULL };

static inline void fake_no_port_of_icmp(const struct policy_node *rule, struct policy_diag *d)
{
	if (!strcmp(policy_text(rule, "protocol", ""), "icmp") &&
	    policy_get(rule, "destination_port"))
		policy_error(d, policy_get(rule, "destination_port"), "remove it",
			     "icmp has no ports");
}

static const struct policy_key fake_rule[] = {
	{ .name = "name",
	  .kind = POLICY_K_TEXT,
	  .required = true,
	  .min = 1,
	  .max = 64,
	  .doc = "Names the rule.",
	  .example = "web" },
	{ .name = "action",
	  .kind = POLICY_K_ENUM,
	  .words = fake_actions,
	  .required = true,
	  .doc = "What to do.",
	  .example = "deny" },
	{ .name = "direction",
	  .kind = POLICY_K_ENUM,
	  .words = fake_directions,
	  .doc = "Seen from the host.",
	  .example = "incoming" },
	{ .name = "priority",
	  .kind = POLICY_K_U64,
	  .max = 4,
	  .doc = "4 comes first.",
	  .example = "2" },
	{ .name = "protocol",
	  .kind = POLICY_K_VALUE,
	  .doc = "By name or number.",
	  .example = "tcp" },
	{ .name = "source",
	  .kind = POLICY_K_VALUE,
	  .doc = "Addresses.",
	  .example = "192.0.2.0/24" },
	{ .name = "destination",
	  .kind = POLICY_K_VALUE,
	  .doc = "Addresses.",
	  .example = "192.0.2.0/24" },
	{ .name = "destination_port",
	  .kind = POLICY_K_VALUE,
	  .doc = "Ports.",
	  .example = "[80, 443]" },
	{ .name = "tcp_flags",
	  .kind = POLICY_K_VALUE,
	  .words = fake_words,
	  .doc = "Flags.",
	  .example = "{only: [syn]}" },
	{ .name = "mode",
	  .kind = POLICY_K_ENUM,
	  .words = policy_modes,
	  .doc = "Mode.",
	  .example = "detect" },
	{ .name = "log", .kind = POLICY_K_BOOL, .doc = "Send events.", .example = "true" },
	{ .name = NULL },
};
static const struct policy_key fake_rule_item = { .kind = POLICY_K_OBJECT,
						  .keys = fake_rule,
						  .check = fake_no_port_of_icmp };
static const struct policy_key fake_interface = { .kind = POLICY_K_TEXT, .min = 1, .max = 32 };
static const struct policy_key fake_stateful[] = {
	{ .name = "tcp", .kind = POLICY_K_BOOL, .doc = "Follow connections.", .example = "true" },
	{ .name = "max_half_open",
	  .kind = POLICY_K_U64,
	  .min = 1,
	  .max = 65536,
	  .doc = "Connections.",
	  .example = "1024" },
	{ .name = NULL },
};
static const struct policy_key fake_schema[] = {
	{ .name = "interfaces",
	  .kind = POLICY_K_LIST,
	  .item = &fake_interface,
	  .one_or_list = true,
	  .doc = "Patterns.",
	  .example = "[eth*]" },
	{ .name = "rules", .kind = POLICY_K_LIST, .item = &fake_rule_item, .doc = "The rules." },
	{ .name = "stateful", .kind = POLICY_K_OBJECT, .keys = fake_stateful, .doc = "State." },
	{ .name = NULL },
};
static const struct kmn_module fake_module = {
	.part = { .name = "firewall", .summary = "Judges packets.", .id = 1 },
	.schema = fake_schema,
};
static const struct kmn_module *const fake_modules[] = { &fake_module, NULL };
