#pragma once
#include "core/module.h"
#include "policy/policy.h"

/* Warn of connections that are open on this host and that a policy would end: whoever puts it in
 * force may sit at the other end of one. plan[i] is of modules[i]. proc_net: see
 * core/connections.h. */
void policy_warn_of_cuts(const struct kmn_module *const *modules, void *const *plan, unsigned n,
			 const struct policy *policy, const char *proc_net, struct policy_diag *d);
