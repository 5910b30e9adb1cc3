#pragma once
#include "base/clock.h"
#include "context/container.h"
#include "context/process.h"
#include "event/event.h"
#include "services/tasks/canary.h"
#include "services/tasks/join.h"
#include "services/tasks/tasks.h"
#include "task/task_abi.h"

/* The hooks, in the order in which they are hung: a start is told before what it does. */
enum tasks_hook {
	TASKS_FORK,
	TASKS_EXEC,
	TASKS_EXIT,
	TASKS_CGROUP_MKDIR,
	TASKS_CGROUP_RMDIR,
	TASKS_CGROUP_ATTACH,
	TASKS_CRED,
	TASKS_HOOKS,
};

struct tasks_stats {
	uint64_t execs, forks, exits, creds, late_creds, cgroups; /* taken into the tables */
	uint64_t doubles;					  /* told by another instance too */
	uint64_t canaries;					  /* records of our own canary */
	uint64_t joined;      /* execs put together from several records */
	uint64_t joined_cut;  /* of them, those of which a part never came */
	uint64_t stray_parts; /* parts whose start was not seen */
	uint64_t resolved;    /* paths completed from /proc */
	uint64_t unresolved;  /* paths that stay cut */
	uint64_t bad_reads;   /* arguments that the kernel side could not read, as of status */
};

struct tasks_self {
	struct kmn_core *core;
	struct task_bpf *skel; /* NULL: refused, why says the reason */
	struct cred_bpf *cred; /* NULL: credential changes are noticed late */
	char why[320], cred_why[320];
	char running_why[160]; /* why the kernel did not tell of what ran before; "": it did */
	unsigned n_running, n_known; /* processes taken in at the start; told of by the kernel */
	bool own_pids; /* we run in a pid namespace of our own: our pids are not the records' */
	struct hook *hook[TASKS_HOOKS];
	unsigned misses[TASKS_HOOKS]; /* canaries in a row that a hook did not tell of */
	struct tasks_canary canary;
	struct tasks_join *joins;
	int join_timer, container_timer;
	uint32_t joining_ms, looking_ms; /* periods of these timers, 0: they stand */
	unsigned cpus;
	uint64_t cost_ns;
	struct tasks_stats stats;
	char exe[TASKS_PATH_ROOM], cwd[TASKS_PATH_ROOM];
	struct event extra; /* an event besides the one in hand */
};

/* records.c: what kinds do with their records */
extern const struct kmn_event_kind tasks_kinds[];
int tasks_on_exec(void *self, const struct kmn_event *rec, struct event *ev);
int tasks_on_fork(void *self, const struct kmn_event *rec, struct event *ev);
int tasks_on_exit(void *self, const struct kmn_event *rec, struct event *ev);
int tasks_on_cred(void *self, const struct kmn_event *rec, struct event *ev);
int tasks_on_part(void *self, const struct kmn_event *rec, struct event *ev);
int tasks_on_cgroup(void *self, const struct kmn_event *rec, struct event *ev);
void tasks_join_look(void *self); /* callback of join_timer */

/* tasks.c: start looking when the container table wants to */
void tasks_containers_wanted(struct tasks_self *s);
/* Let a timer of ours run, or stop it (period 0); now_ms: its period so far, and then. */
void tasks_timer(struct tasks_self *s, int timer, uint32_t *now_ms, uint32_t period_ms);

/* check.c: is a record of the right size sound? Pure. */
bool tasks_check_exec(const struct kmn_event *rec);
bool tasks_check_part(const struct kmn_event *rec);
bool tasks_check_cgroup(const struct kmn_event *rec);
bool tasks_check_process(const struct kmn_event *rec); /* fork, exit, cred */

/* show.c: how events read */
void tasks_exec_text(const struct event *ev, struct buf *out);
void tasks_fork_text(const struct event *ev, struct buf *out);
void tasks_exit_text(const struct event *ev, struct buf *out);
void tasks_cred_text(const struct event *ev, struct buf *out);
void tasks_exec_ocsf(const struct event *ev, struct json *j);
void tasks_fork_ocsf(const struct event *ev, struct json *j);
void tasks_exit_ocsf(const struct event *ev, struct json *j);
void tasks_cred_ocsf(const struct event *ev, struct json *j);

/* tasks_status.c */
unsigned tasks_probe(const struct kernel *k, struct kmn_ability *out);
void tasks_health(void *self, struct kmn_health *h);
void tasks_status(void *self, struct json *j);
void tasks_metrics(void *self, struct kmn_metrics *m);
uint64_t tasks_memory_max(void *self);
int tasks_selftest(void *self, struct buf *why);
