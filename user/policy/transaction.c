#include "policy/transaction.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "base/clock.h"
#include "policy/cuts.h"
#include "policy/diag.h"
#include "policy/grace.h"

#define MIB (1024.0 * 1024.0)

/* The plans of one transaction, by the index of their module. */
struct policy_prepared {
	const struct kmn_module *const *modules;
	void *selves[KMN_PARTS];
	bool no_sensor; /* nothing but a check: all modules count as running */
	unsigned n;
	void *plan[KMN_PARTS];
	struct kmn_state *state;
	uint64_t gen;
};

/* One sensor to a process, one transaction at a time. */
static _Atomic bool cancelled;

void policy_cancel(bool on)
{
	atomic_store(&cancelled, on);
}

bool policy_cancelled(void)
{
	return atomic_load_explicit(&cancelled, memory_order_relaxed);
}

/* Another thread may be looking. */
static void enter(struct policy_outcome *out, const char *stage)
{
	__atomic_store_n(&out->stage, stage, __ATOMIC_RELAXED);
}

const char *policy_stage(const struct policy_outcome *out)
{
	return __atomic_load_n(&out->stage, __ATOMIC_RELAXED);
}

void policy_prepared_free(struct policy_prepared *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n; i++) /* what no module has taken */
		if (p->plan[i] && p->modules[i]->plan_free)
			p->modules[i]->plan_free(p->plan[i]);
	free(p);
}
KMN_AUTO_DEFINE(struct policy_prepared *, policy_prepared_free)

/* selves NULL: there is no sensor. */
static struct policy_prepared *prepared_new(const struct kmn_module *const *modules,
					    void *const *selves)
{
	struct policy_prepared *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->modules = modules;
	p->no_sensor = !selves;
	for (; modules[p->n] && p->n < KMN_PARTS; p->n++)
		p->selves[p->n] = selves ? selves[p->n] : NULL;
	return p;
}

static bool runs(const struct policy_prepared *p, unsigned i)
{
	return (p->no_sensor || p->selves[i]) && p->modules[i]->compile;
}

/* Every module, whatever the others find: all errors are wanted at once. */
static int compile_all(struct policy_prepared *p, const struct policy *policy,
		       struct worker_pool *workers, struct policy_diag *d)
{
	unsigned before = policy_errors(d);
	int r;

	for (unsigned i = 0; i < p->n; i++) {
		const struct kmn_module *m = p->modules[i];
		unsigned own = policy_errors(d);

		if (!m->compile)
			continue;
		if (policy_cancelled())
			return -ECANCELED;
		r = m->compile(policy, workers, d, &p->plan[i]);
		if (r < 0 && policy_errors(d) == own)
			policy_error(d, policy_module(policy, m->part.name), NULL,
				     "%s: compile: %s", m->part.name, strerror(-r));
	}
	return policy_errors(d) == before ? 0 : -EINVAL;
}

uint64_t policy_memory_limit(const struct policy *p, uint64_t otherwise)
{
	uint64_t mib = policy_u64(policy_get(p->root, "limits"), "memory_mib", 0);

	return mib ? mib << 20 : otherwise;
}

/* Refuse what both halves together would not leave room for. */
static int check_memory(const struct policy_prepared *p, const struct policy *policy,
			uint64_t limit, struct policy_diag *d, struct policy_outcome *out)
{
	const struct policy_node *own =
		policy_get(policy_get(policy->root, "limits"), "memory_mib");
	uint64_t peak;

	limit = policy_memory_limit(policy, limit);
	out->new_bytes = 0;
	for (unsigned i = 0; i < p->n; i++)
		if (runs(p, i) && p->modules[i]->plan_bytes)
			out->new_bytes += p->modules[i]->plan_bytes(p->plan[i]);
	/* the half in force stays until the next policy: it is as large as the old one now, and as
	 * this one when the same policy is loaded again */
	peak = out->new_bytes +
	       (out->live_bytes > out->new_bytes ? out->live_bytes : out->new_bytes);
	if (!limit || peak <= limit)
		return 0;
	policy_error(d, own,
		     own ? "raise limits.memory_mib, or take rules or lists out"
			 : "set limits.memory_mib, or take rules or lists out",
		     "the policy needs %.1f MiB of kernel memory (%.1f in force or staged again, "
		     "%.1f new), the limit is %.1f MiB%s",
		     (double)peak / MIB, (double)(peak - out->new_bytes) / MIB,
		     (double)out->new_bytes / MIB, (double)limit / MIB,
		     own ? "" : ", for the policy names none");
	return -ENOSPC;
}

static int failed(const struct policy_prepared *p, unsigned i, const char *what, int err,
		  struct policy_diag *d)
{
	policy_error(d, NULL, "the policy in force stays", "%s: %s: %s", p->modules[i]->part.name,
		     what, strerror(-err));
	return err;
}

static int stage_all(const struct policy_prepared *p, struct policy_diag *d)
{
	int r;

	for (unsigned i = 0; i < p->n; i++) {
		if (!runs(p, i) || !p->modules[i]->stage)
			continue;
		r = policy_cancelled() ? -ECANCELED
				       : p->modules[i]->stage(p->selves[i], p->plan[i], p->gen);
		if (r < 0)
			return failed(p, i, "stage", r, d);
	}
	return 0;
}

static int refresh_all(const struct policy_prepared *p, struct policy_diag *d)
{
	int r;

	for (unsigned i = 0; i < p->n; i++) {
		if (!runs(p, i) || !p->modules[i]->refresh)
			continue;
		r = p->modules[i]->refresh(p->selves[i], p->plan[i], p->gen);
		if (r < 0)
			return failed(p, i, "refresh", r, d);
	}
	return 0;
}

/* After the store there is no way back, and nothing here can fail. */
static void commit(struct policy_prepared *p)
{
	__atomic_store_n(&p->state->gen, p->gen, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < p->n; i++) {
		const struct kmn_module *m = p->modules[i];

		if (runs(p, i) && m->committed)
			m->committed(p->selves[i], KMN_TAKE(p->plan[i]), p->gen);
	}
}

/* The first half, which changes nothing. */
static int look(struct policy_prepared *p, struct worker_pool *workers, uint64_t limit,
		const struct policy *policy, struct policy_diag *d, struct policy_outcome *out)
{
	int r;

	enter(out, "compile");
	r = compile_all(p, policy, workers, d);
	if (r < 0)
		return r;
	enter(out, "memory");
	r = check_memory(p, policy, limit, d, out);
	if (!r)
		policy_warn_of_cuts(p->modules, p->plan, p->n, policy, "/proc/thread-self/net", d);
	return r;
}

static int prepare(struct policy_prepared *p, struct worker_pool *workers, uint64_t limit,
		   const struct policy *policy, struct policy_diag *d, struct policy_outcome *out)
{
	int r = look(p, workers, limit, policy, d, out);
	uint64_t from;

	if (r < 0)
		return r;
	enter(out, "grace"); /* programs that latched the generation before the one in force */
	from = clock_boot_ns();
	r = grace_wait();
	out->grace_ns = clock_boot_ns() - from;
	if (r < 0) {
		policy_error(d, NULL, "the policy in force stays",
			     "cannot wait for running BPF programs: %s", strerror(-r));
		return r;
	}
	enter(out, "stage");
	return stage_all(p, d);
}

int policy_prepare(const struct kmn_module *const *modules, void *const *selves,
		   struct worker_pool *workers, struct kmn_state *state, uint64_t memory_limit,
		   const struct policy *policy, struct policy_diag *d, struct policy_outcome *out,
		   struct policy_prepared **ready)
{
	kmn_auto(policy_prepared_free) struct policy_prepared *p = prepared_new(modules, selves);
	uint64_t from = clock_boot_ns();

	diag_know(d, policy);
	out->grace_ns = 0;
	out->gen = state->gen;
	if (p) {
		p->state = state;
		p->gen = state->gen + 1;
		out->status = prepare(p, workers, memory_limit, policy, d, out);
	} else {
		diag_no_memory(d);
		out->status = -ENOMEM;
	}
	out->took_ns = clock_boot_ns() - from;
	if (!out->status)
		*ready = KMN_TAKE(p);
	return out->status;
}

int policy_commit(struct policy_prepared *ready, struct policy_diag *d, struct policy_outcome *out)
{
	kmn_auto(policy_prepared_free) struct policy_prepared *p = ready;
	uint64_t from = clock_boot_ns();

	out->status = refresh_all(p, d);
	if (!out->status) {
		enter(out, "commit");
		commit(p);
		out->live_bytes = out->new_bytes;
	}
	out->gen = p->state->gen;
	out->took_ns += clock_boot_ns() - from;
	return out->status;
}

int policy_check(const struct kmn_module *const *modules, void *const *selves,
		 struct worker_pool *workers, uint64_t memory_limit, const struct policy *policy,
		 struct policy_diag *d, struct policy_outcome *out, void **plans)
{
	kmn_auto(policy_prepared_free) struct policy_prepared *p = prepared_new(modules, selves);
	uint64_t from = clock_boot_ns();

	diag_know(d, policy);
	out->grace_ns = 0;
	if (p) {
		out->status = look(p, workers, memory_limit, policy, d, out);
	} else {
		diag_no_memory(d);
		out->status = -ENOMEM;
	}
	out->took_ns = clock_boot_ns() - from;
	for (unsigned i = 0; plans && !out->status && i < p->n; i++)
		plans[i] = KMN_TAKE(p->plan[i]);
	return out->status;
}

int policy_apply(const struct kmn_module *const *modules, void *const *selves,
		 struct worker_pool *workers, struct kmn_state *state, uint64_t memory_limit,
		 const struct policy *policy, struct policy_diag *d, struct policy_outcome *out)
{
	struct policy_prepared *ready = NULL;
	int r = policy_prepare(modules, selves, workers, state, memory_limit, policy, d, out,
			       &ready);

	return r < 0 ? r : policy_commit(ready, d, out);
}
