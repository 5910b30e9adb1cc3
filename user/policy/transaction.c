#include "policy/transaction.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "base/clock.h"
#include "policy/diag.h"
#include "policy/grace.h"

#define MIB (1024.0 * 1024.0)

/* The plans of one transaction, by the index of their module. */
struct plans {
	const struct kmn_module *const *modules;
	void *const *selves;
	unsigned n;
	void *plan[KMN_PARTS];
};

/* Give back what no module has taken. */
static inline void kmn_auto_plans(struct plans *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->plan[i] && p->modules[i]->plan_free)
			p->modules[i]->plan_free(p->plan[i]);
}

static bool runs(const struct plans *p, unsigned i)
{
	return p->selves[i] && p->modules[i]->compile;
}

/* Every module, whatever the others find: all errors are wanted at once. */
static int compile_all(struct plans *p, const struct policy *policy, struct worker_pool *workers,
		       struct policy_diag *d)
{
	unsigned before = policy_errors(d);
	int r;

	for (unsigned i = 0; i < p->n; i++) {
		const struct kmn_module *m = p->modules[i];
		unsigned own = policy_errors(d);

		if (!m->compile)
			continue;
		r = m->compile(policy, workers, d, &p->plan[i]);
		if (r < 0 && policy_errors(d) == own)
			policy_error(d, policy_module(policy, m->part.name), NULL,
				     "%s: compile: %s", m->part.name, strerror(-r));
	}
	return policy_errors(d) == before ? 0 : -EINVAL;
}

/* Refuse what both halves together would not leave room for. */
static int check_memory(const struct plans *p, const struct policy *policy, uint64_t limit,
			struct policy_diag *d, struct policy_outcome *out)
{
	const struct policy_node *limits = policy_get(policy->root, "limits");
	uint64_t own = policy_u64(limits, "memory_mib", 0), peak;

	out->new_bytes = 0;
	for (unsigned i = 0; i < p->n; i++)
		if (runs(p, i) && p->modules[i]->plan_bytes)
			out->new_bytes += p->modules[i]->plan_bytes(p->plan[i]);
	if (own)
		limit = own << 20;
	/* the half in force stays until the next policy: it is as large as the old one now, and as
	 * this one when the same policy is loaded again */
	peak = out->new_bytes +
	       (out->live_bytes > out->new_bytes ? out->live_bytes : out->new_bytes);
	if (!limit || peak <= limit)
		return 0;
	policy_error(d, policy_get(limits, "memory_mib"),
		     "raise limits.memory_mib, or take rules or lists out",
		     "the policy needs %.1f MiB of kernel memory (%.1f in force or staged again, "
		     "%.1f new), the limit is %.1f MiB",
		     (double)peak / MIB, (double)(peak - out->new_bytes) / MIB,
		     (double)out->new_bytes / MIB, (double)limit / MIB);
	return -ENOSPC;
}

static int stage_all(const struct plans *p, uint64_t gen, struct policy_diag *d)
{
	int r;

	for (unsigned i = 0; i < p->n; i++) {
		if (!runs(p, i) || !p->modules[i]->stage)
			continue;
		r = p->modules[i]->stage(p->selves[i], p->plan[i], gen);
		if (r < 0) {
			policy_error(d, NULL, "the policy in force stays", "%s: stage: %s",
				     p->modules[i]->part.name, strerror(-r));
			return r;
		}
	}
	return 0;
}

/* After the store there is no way back, and nothing here can fail. */
static void commit(struct plans *p, struct kmn_state *state, uint64_t gen)
{
	__atomic_store_n(&state->gen, gen, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < p->n; i++) {
		const struct kmn_module *m = p->modules[i];

		if (runs(p, i) && m->committed)
			m->committed(p->selves[i], KMN_TAKE(p->plan[i]), gen);
	}
}

static int run(struct plans *p, struct worker_pool *workers, struct kmn_state *state,
	       uint64_t limit, const struct policy *policy, struct policy_diag *d,
	       struct policy_outcome *out)
{
	uint64_t gen = state->gen + 1, from;
	int r;

	out->stage = "compile";
	r = compile_all(p, policy, workers, d);
	if (r < 0)
		return r;
	out->stage = "memory";
	r = check_memory(p, policy, limit, d, out);
	if (r < 0)
		return r;
	out->stage = "grace"; /* programs that latched the generation before the one in force */
	from = clock_boot_ns();
	r = grace_wait();
	out->grace_ns = clock_boot_ns() - from;
	if (r < 0) {
		policy_error(d, NULL, "the policy in force stays",
			     "cannot wait for running BPF programs: %s", strerror(-r));
		return r;
	}
	out->stage = "stage";
	r = stage_all(p, gen, d);
	if (r < 0)
		return r;
	out->stage = "commit";
	commit(p, state, gen);
	out->live_bytes = out->new_bytes;
	return 0;
}

int policy_apply(const struct kmn_module *const *modules, void *const *selves,
		 struct worker_pool *workers, struct kmn_state *state, uint64_t memory_limit,
		 const struct policy *policy, struct policy_diag *d, struct policy_outcome *out)
{
	kmn_auto(plans) struct plans p = { .modules = modules, .selves = selves };
	uint64_t from = clock_boot_ns();

	while (modules[p.n] && p.n < KMN_PARTS)
		p.n++;
	diag_know(d, policy);
	out->grace_ns = 0;
	out->status = run(&p, workers, state, memory_limit, policy, d, out);
	out->gen = state->gen;
	out->took_ns = clock_boot_ns() - from;
	return out->status;
}
