#pragma once
#include "modules/firewall/rule.h"
#include "services/net/names.h"

/* The classifier as tables, ready to be put into the maps of one half. Pure: rules in, tables out.
 */

struct fw_prefix {
	struct net_cidr cidr;
	uint32_t set;
};

struct fw_tables {
	struct fw_head head;
	struct fw_rule *rules; /* head.n_rules, by bit */
	uint32_t *spec_of;     /* by bit: index into the specs */
	struct fw_set *sets;
	uint32_t n_sets;
	struct fw_ports *ports; /* 2 * FW_PORT_CELLS; NULL: no rule names a port */
	struct fw_prefix *prefix[FW_ADDRS];
	uint32_t n_prefixes[FW_ADDRS];
};

struct fw_plan {
	struct fw_spec *specs; /* in the order of the policy */
	uint32_t n_specs;
	struct fw_tables t;
	char **interfaces, **pods; /* patterns of the module */
	uint32_t n_interfaces, n_pods;
	struct net_names *names;
};

/* All prefixes of one address key of all rules together; a list of a million counts whole for each
 * rule that names it. Bounds the time and memory of a policy. */
#define FW_PREFIXES_MAX 2000000

/* Build the tables from specs; modes off are left out. 0; -E2BIG: more than FW_RULES_MAX rules in
 * force, FW_SETS_MAX sets or FW_PREFIXES_MAX prefixes, with *why; -ENOMEM. t is empty then. */
int fw_tables_build(struct fw_tables *t, const struct fw_spec *specs, uint32_t n, const char **why);
void fw_tables_free(struct fw_tables *t);

/* The set of an interface by name, for fw_ifs. */
void fw_if_set(const struct fw_plan *plan, const char *name, enum net_direction direction,
	       struct fw_set *out);

/* The tables are in the kernel: keep what interfaces and status need (keys of rules and numbers),
 * not a million addresses. */
void fw_plan_slim(struct fw_plan *plan);
void fw_plan_free(void *plan);

/* Kernel memory of one half, by formula (the kernel's own sizes of map elements). */
uint64_t fw_plan_bytes(const void *plan);
