#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/text.h"
#include "core/module.h"
#include "task/task_abi.h"

/* A harmless act that every hook must tell of: a child of ours moves into a cgroup made for it,
 * executes our own binary by an argument that nobody else uses, and ends. Each record that comes
 * back proves the hook that sent it. Nothing of it becomes an event. */
#define TASKS_CANARY_NS 5000000000ULL	     /* a record that has not come by then is missing ... */
#define TASKS_CANARY_TIMES 8		     /* ... if others did not take an eighth of it */
#define TASKS_CANARY_FIRST_NS 30000000000ULL /* while none has come ever */
#define TASKS_CANARY_MAX_NS 60000000000ULL
#define TASKS_CANARY_MISSES 2 /* so many canaries unseen: the hook has failed */

enum tasks_proof { /* one bit for each hook */
		   TASKS_PROOF_FORK = 1,
		   TASKS_PROOF_EXEC = 2,
		   TASKS_PROOF_EXIT = 4,
		   TASKS_PROOF_MKDIR = 8,
		   TASKS_PROOF_RMDIR = 16,
		   TASKS_PROOF_ATTACH = 32,
		   TASKS_PROOF_PROCESS = TASKS_PROOF_FORK | TASKS_PROOF_EXEC | TASKS_PROOF_EXIT,
		   TASKS_PROOF_CGROUP = TASKS_PROOF_MKDIR | TASKS_PROOF_RMDIR | TASKS_PROOF_ATTACH,
};

struct tasks_canary {
	int exe;	    /* our own binary, opened at the start; -1: none */
	pid_t pid;	    /* of the child in flight or of the last one; 0: none yet */
	uint32_t wanted;    /* proofs that the one in flight is to bring; 0: none in flight */
	uint32_t seen;	    /* of them */
	uint32_t instance;  /* of this sensor: records of the one before us prove nothing */
	uint64_t sent_ns;   /* boot clock */
	uint64_t nonce;	    /* in the argument and in the cgroup's name */
	uint64_t gen;	    /* policy generation when it was sent */
	uint64_t cgroup_id; /* of the cgroup made for it, as its record says; 0: not seen */
	uint64_t sent, brought, missed; /* canaries: all, wholly seen, given up */
	uint64_t slowest_ns; /* of the records of late: from the act until it was read; 0: none */
	bool own_pids; /* our pids are not those of the records: only the argument tells its exec */
	bool reaped;
	char dir[160]; /* that cgroup; "": none could be made, why says the reason */
	char why[120];
};

/* own_pids: we run in a pid namespace of our own. 0, or -errno: without our own binary no canary
 * can be sent. */
int tasks_canary_open(struct tasks_canary *c, uint32_t instance, bool own_pids);
/* Remove the cgroups that canaries of sensors which were killed left behind. */
void tasks_canary_sweep(const char *cgroup_root);
void tasks_canary_close(struct tasks_canary *c);

/* Send one, unless one is in flight. cgroup_root: "" = only the process. 0, -EBUSY, or -errno. */
int tasks_canary_send(struct tasks_canary *c, const char *cgroup_root, uint64_t gen,
		      uint64_t now_ns);
/* How long its records are waited for: by how long others took, as an emulated or overloaded
 * machine takes seconds. */
uint64_t tasks_canary_limit_ns(const struct tasks_canary *c);
/* Collect the child and its cgroup; true when it is over: all seen, or its time is up. Then
 * wanted & ~seen is what did not come, and the next one may be sent. */
bool tasks_canary_over(struct tasks_canary *c, uint64_t now_ns);

/* Is this record the canary's (whichever instance sent it)? */
bool tasks_canary_exec(struct tasks_canary *c, const struct kmn_event *rec, struct text args);
bool tasks_canary_fork(struct tasks_canary *c, const struct kmn_event *rec);
bool tasks_canary_exit(struct tasks_canary *c, const struct kmn_event *rec);
bool tasks_canary_cgroup(struct tasks_canary *c, const struct task_cgroup *rec);
