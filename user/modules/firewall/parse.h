#pragma once
#include "core/worker.h"
#include "modules/firewall/plan.h"
#include "services/net/list.h"

/* Reading the values of a rule. Each function checks all, reports what is wrong at the node where
 * it stands, and stores what is right; out NULL: only check. */

/* Lists that a policy names, each read once for a policy. */
#define FW_LISTS_MAX 64
struct fw_lists {
	struct worker_pool *workers; /* NULL: lists cannot be read */
	uint32_t n;
	struct fw_list {
		char path[1024];
		struct net_list list;
		bool bad;
	} list[FW_LISTS_MAX];
};
void fw_lists_free(struct fw_lists *l);

/* lists NULL: the file is not opened (schema check). */
void fw_parse_addrs(const struct policy_node *n, struct policy_diag *d, struct fw_lists *lists,
		    struct fw_addrs *out);
void fw_parse_ports(const struct policy_node *n, struct policy_diag *d, struct fw_ports_given *out);
void fw_parse_protos(const struct policy_node *n, struct policy_diag *d, uint64_t out[4]);

/* For the schema table. */
void fw_check_addrs(const struct policy_node *n, struct policy_diag *d);
void fw_check_ports(const struct policy_node *n, struct policy_diag *d);
void fw_check_protos(const struct policy_node *n, struct policy_diag *d);
void fw_check_patterns(const struct policy_node *n, struct policy_diag *d);
void fw_check_rule(const struct policy_node *n, struct policy_diag *d);
