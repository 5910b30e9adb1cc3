#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core/bpfobj.h"
#include "core/hook.h"
#include "core/kernel.h"
#include "core/loop.h"
#include "core/worker.h"

/* Everything that the sensor asks of a part of itself. Modules (protections), services (what
 * several modules use) and outputs are parts; registry.c lists them. A member that a part has no
 * use for stays NULL. Upper floors' types are only named here. */

struct buf;
struct event_sink;
struct json;
struct kmn_event_kind;
struct policy;
struct policy_diag;
struct policy_key;
struct process_table;
struct container_table;
struct kmn_connection;

/* What the roof hands down. All borrowed, all alive from start to stop. */
struct kmn_core {
	struct loop *loop;
	struct bpfobj *bpf;
	struct hook_table *hooks;
	const struct kernel *kernel;
	struct worker_pool *workers;
	struct event_sink *events;
	struct process_table *processes;
	struct container_table *containers;
	const char *state_dir; /* /var/lib/komainu */
	const char *run_dir;   /* /run/komainu */
};

/* What a part says of itself; the worst of it and of its hooks is its state. */
enum kmn_level { KMN_ACTIVE, KMN_DEGRADED, KMN_INACTIVE };
#define KMN_WHY_MAX 256 /* a hook's name and its reason fit */
struct kmn_health {
	enum kmn_level level;
	char why[KMN_WHY_MAX]; /* of degraded or inactive, one sentence with the remedy */
};

/* One line of `komainu probe`: what this kernel can do for the part. */
struct kmn_ability {
	const char *what; /* "credential changes at once" */
	bool can;
	char why[200]; /* of a no */
};
#define KMN_ABILITIES_MAX 16

/* A command of the command line: komainu NAME ARGS. Needs no running sensor unless it asks for it.
 */
struct kmn_command {
	const char *name;    /* "firewall explain": words separated by one blank */
	const char *args;    /* "[--json] FILE" */
	const char *summary; /* one line, for komainu help */
	const char *help;    /* whole --help text below the usage line, examples included */
	int (*run)(
		int argc,
		char **argv); /* argv[0] is the last word; returns an exit code, core/command.h */
};

/* A metric family in Prometheus terms; write samples by metrics_*() of base/metrics.h. */
struct kmn_metrics;

struct kmn_part {
	const char *name;		    /* folder name */
	const char *summary;		    /* one line */
	uint8_t id;			    /* enum kmn_part_id */
	const struct kmn_event_kind *kinds; /* ends with kind 0 */
	const struct kmn_command *commands; /* ends with name NULL */

	/* Open and load; hang nothing in the kernel yet. A refusal by the kernel is not an error of
	 * the sensor: mark the hooks failed with the reason and return 0 with *self set. */
	int (*start)(struct kmn_core *core, void **self);
	/* The first policy is committed: hang the programs, taking over from a previous instance.
	 */
	int (*attach)(void *self);
	/* Fire the canary of each hook. It calls hook_proven() or hook_failed(), at once or from
	 * the loop within five seconds. */
	void (*canary)(void *self);
	void (*tick)(void *self, uint64_t now_ns); /* once a second, boot clock; bounded work */
	/* End. Pinned programs stay in force; the sensor unloads them by bpfobj_unload_all(). */
	void (*stop)(void *self);

	unsigned (*probe)(const struct kernel *k, struct kmn_ability *out); /* number filled */
	void (*health)(void *self, struct kmn_health *h);
	void (*status)(void *self, struct json *j); /* own members, inside its object */
	void (*metrics)(void *self, struct kmn_metrics *m);
	uint64_t (*memory_max)(
		void *self); /* bytes, user space, by formula; maps are counted by core */
	/* A harmless act that must be seen or stopped; one line into why. 0 pass, 1 fail, 2 cannot.
	 */
	int (*selftest)(void *self, struct buf *why);
};

/* A protection: a part that a policy configures and that has a mode. */
struct kmn_module {
	struct kmn_part part;
	const struct policy_key *schema; /* keys of modules.NAME; "mode" is understood without it */
	/* compile() and stage() of a reload run in a thread of their own while the loop goes on:
	 * they touch their arguments, and of self only what belongs to the half that they fill.
	 * Both look at policy_cancelled() where they take long, and return -ECANCELED. */
	/* Pure: policy -> plan, or policy_error()s. workers: for lists that the policy names. */
	int (*compile)(const struct policy *policy, struct worker_pool *workers,
		       struct policy_diag *diag, void **plan);
	/* Fill the half of generation gen, which nothing reads before the commit. Idempotent. */
	int (*stage)(void *self, const void *plan, uint64_t gen);
	/* In the loop again, right before the commit: bring what changes by itself (interfaces) up
	 * to date in that half. Quick; an error leaves the old policy in force. */
	int (*refresh)(void *self, const void *plan, uint64_t gen);
	/* gen is in force: remember what status and events need. Cannot fail. Takes plan. */
	void (*committed)(void *self, void *plan, uint64_t gen);
	void (*plan_free)(void *plan);
	uint64_t (*plan_bytes)(const void *plan); /* kernel memory of one half, before staging */
	/* Pure: the name of the rule by which plan would deny, in prevent mode, packets of a
	 * connection that is open now; NULL: none. It lives as long as the plan. */
	const char *(*cuts)(const void *plan, const struct kmn_connection *c);
	/* policy explain: each rule, its effective mode and why; every implicit rule. */
	void (*explain)(const struct policy *policy, const void *plan, struct json *j);
};

/* What the binary is made of, in the order in which parts start: services, then modules. Each array
 * ends with NULL. registry.c has the one instance; main() hands it down. */
struct kmn_roof {
	const struct kmn_part *const *services;
	const struct kmn_module *const *modules;
	const struct worker_job *const *jobs; /* what workers can do */
};
