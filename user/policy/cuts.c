#include "policy/cuts.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "core/connections.h"
#include "policy/transaction.h"

#define RULES_MAX 8 /* rules of one module that are named */

struct cut {
	const char *rule;
	const struct kmn_connection *first;
	unsigned n;
};

static void say(const struct policy_node *at, const struct cut *cut, struct policy_diag *d)
{
	const struct kmn_connection *c = cut->first;
	bool v4 = !memcmp(c->peer, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	char peer[INET6_ADDRSTRLEN] = "?", more[40] = "";

	(void)inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? c->peer + 12 : c->peer, peer, sizeof(peer));
	if (cut->n > 1)
		(void)snprintf(more, sizeof(more), ", and of %u more", cut->n - 1);
	policy_warn(
		d, at, "allow them above it, or see in mode detect what it denies",
		"rule \"%s\" denies packets of a connection that is open on this host, of %s to "
		"port %u%s",
		cut->rule, peer, c->local_port, more);
}

static void warn_of_module(const struct kmn_module *m, const void *plan,
			   const struct kmn_connection *open, unsigned n,
			   const struct policy *policy, struct policy_diag *d)
{
	struct cut cut[RULES_MAX] = { 0 };
	unsigned cuts = 0;

	for (unsigned i = 0; i < n && !policy_cancelled(); i++) {
		const char *rule = m->cuts(plan, &open[i]);
		unsigned k = 0;

		if (!rule)
			continue;
		while (k < cuts && cut[k].rule != rule)
			k++;
		if (k == RULES_MAX)
			continue; /* enough is said */
		if (k == cuts)
			cut[cuts++] = (struct cut){ .rule = rule, .first = &open[i] };
		cut[k].n++;
	}
	for (unsigned k = 0; k < cuts; k++)
		say(policy_module(policy, m->part.name), &cut[k], d);
}

void policy_warn_of_cuts(const struct kmn_module *const *modules, void *const *plan, unsigned n,
			 const struct policy *policy, const char *proc_net, struct policy_diag *d)
{
	struct kmn_connection open[CONNECTIONS_MAX];
	unsigned n_open = 0;
	bool asked = false;

	for (unsigned i = 0; i < n; i++) {
		if (!plan[i] || !modules[i]->cuts)
			continue;
		if (!asked)
			n_open = connections_read(proc_net, open);
		asked = true;
		warn_of_module(modules[i], plan[i], open, n_open, policy, d);
	}
}
