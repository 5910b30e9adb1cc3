#pragma once
#include <stdint.h>
#include "core/module.h"
#include "policy/policy.h"

/* parse -> validate all -> compile all -> stage all -> commit (one store of the generation word).
 * Any error before the commit leaves the old generation in force, whole; after it nothing can fail.
 */

struct policy_diag *policy_diag_new(void);
void policy_diag_free(struct policy_diag *d);
unsigned policy_warnings(const struct policy_diag *d);
/* All diagnostics, in file order, for a person (colour: ANSI) or as objects of the open array:
 * {"severity", "file", "line", "column", "message", "hint", "text"}. */
void policy_diag_text(struct policy_diag *d, bool colour, struct buf *out);
void policy_diag_json(struct policy_diag *d, struct json *j);

/* Parse, merge parents and check against the schemas of the modules (NULL-terminated array). files:
 * one or more; a later one is laid over the earlier. NULL when there are errors (in d). */
struct policy *policy_load(const char *const *files, unsigned n,
			   const struct kmn_module *const *modules, struct policy_diag *d);
void policy_free(struct policy *p);

/* The JSON Schema (draft 2020-12) of a whole policy file. */
void policy_schema(const struct kmn_module *const *modules, struct json *j);
/* The merged policy as YAML, each line with its origin as a comment when origins is set. */
void policy_print(const struct policy *p, bool origins, struct buf *out);
/* The same as JSON: numbers, true, false and null where no quotes were. It reads back as a policy.
 */
void policy_json(const struct policy *p, struct json *j);
/* What differs, one line per key: "- path: old", "+ path: new". Number of differences. */
unsigned policy_diff(const struct policy *a, const struct policy *b, struct buf *out);

/* One transaction's end, kept for status and reload. Zero it before the first and hand in the same
 * one each time: live_bytes stays in it. */
struct policy_outcome {
	int status;   /* 0: committed */
	uint64_t gen; /* in force after it */
	uint64_t took_ns, grace_ns;
	uint64_t live_bytes, new_bytes; /* kernel memory: half in force, half of the last attempt */
	const char *stage;		/* compile memory grace stage commit: how far it came */
};

/* Kernel memory for both halves together of a policy that has no limits.memory_mib. With the
 * sensor's own (docs/run.md has the sum) all of it stays within 128 MiB. */
#define POLICY_MEMORY_DEFAULT (40ULL << 20)
/* limits.memory_mib in bytes, or otherwise. */
uint64_t policy_memory_limit(const struct policy *p, uint64_t otherwise);

/* Compile all, check the memory of both halves, wait until no program can still read the idle half,
 * stage all, commit. selves[i] belongs to modules[i]; a module without one (it could not start) is
 * compiled, for its errors, and goes no further. The generation in force is state->gen; the new one
 * is one more. memory_limit: bytes of kernel memory for both halves together, 0 = none; a policy's
 * own limits.memory_mib goes before it. Connections that are open now and would be cut are warned
 * of. 0; -EINVAL when modules found errors (in d), -ENOSPC above
 * the limit, or what stage() said: then the old generation is in force, whole. */
int policy_apply(const struct kmn_module *const *modules, void *const *selves,
		 struct worker_pool *workers, struct kmn_state *state, uint64_t memory_limit,
		 const struct policy *p, struct policy_diag *d, struct policy_outcome *out);

/* The same in two steps, for a loop that has to go on meanwhile. policy_prepare() does what may
 * take seconds (a list of a million addresses) and may run in a thread, one at a time; all it
 * changes is the idle half, so to leave it at that is no harm. policy_commit() belongs to the loop,
 * is quick, and takes what the first has prepared. out->stage may be read by policy_stage() all the
 * time. */
struct policy_prepared;
int policy_prepare(const struct kmn_module *const *modules, void *const *selves,
		   struct worker_pool *workers, struct kmn_state *state, uint64_t memory_limit,
		   const struct policy *p, struct policy_diag *d, struct policy_outcome *out,
		   struct policy_prepared **ready);
int policy_commit(struct policy_prepared *ready, struct policy_diag *d, struct policy_outcome *out);
/* The first half of policy_prepare() alone, for a dry run: compile all, check the memory, change
 * nothing. selves NULL: without a sensor, as if all modules ran. plans: NULL, or room for one per
 * module, which takes the plans of a policy that is good. out->gen is not touched. */
int policy_check(const struct kmn_module *const *modules, void *const *selves,
		 struct worker_pool *workers, uint64_t memory_limit, const struct policy *p,
		 struct policy_diag *d, struct policy_outcome *out, void **plans);
void policy_prepared_free(struct policy_prepared *ready); /* not committed; NULL is fine */
const char *policy_stage(const struct policy_outcome *out);

/* The sensor ends: what prepares or compiles is to stop at the next occasion. From any thread. */
void policy_cancel(bool on);
bool policy_cancelled(void);
