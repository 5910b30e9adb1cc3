#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "base/log.h"
#include "services/tasks/proc.h"
#include "services/tasks/running.h"
#include "services/tasks/tasks_self.h"
#include "task/cred.skel.h"
#include "task/task.skel.h"

KMN_AUTO_DEFINE(struct task_bpf *, task_bpf__destroy)
KMN_AUTO_DEFINE(struct cred_bpf *, cred_bpf__destroy)

static const struct {
	const char *name;
	uint32_t proof; /* of the canary; 0: nothing proves it on purpose */
	bool required;
} hooks[TASKS_HOOKS] = {
	[TASKS_FORK] = { "tp_btf/sched_process_fork", TASKS_PROOF_FORK, true },
	[TASKS_EXEC] = { "tp_btf/sched_process_exec", TASKS_PROOF_EXEC, true },
	[TASKS_EXIT] = { "tp_btf/sched_process_exit", TASKS_PROOF_EXIT, true },
	[TASKS_CGROUP_MKDIR] = { "tp_btf/cgroup_mkdir", TASKS_PROOF_MKDIR, false },
	[TASKS_CGROUP_RMDIR] = { "tp_btf/cgroup_rmdir", TASKS_PROOF_RMDIR, false },
	[TASKS_CGROUP_ATTACH] = { "tp_btf/cgroup_attach_task", TASKS_PROOF_ATTACH, false },
	[TASKS_CRED] = { "fentry/commit_creds", 0, false },
};

/* Containers are looked up a moment after their cgroup came, and again as long as one is awaited.
 */
#define CONTAINER_LOOK_MS 50
#define CONTAINER_HOT_MS 2 /* while a cgroup was just made: its container may be gone in 50 ms */

static struct bpf_program *program(struct tasks_self *s, enum tasks_hook i)
{
	if (i == TASKS_CRED)
		return s->cred ? s->cred->progs.task_cred : NULL;
	if (!s->skel)
		return NULL;
	switch (i) {
	case TASKS_FORK:
		return s->skel->progs.task_fork;
	case TASKS_EXEC:
		return s->skel->progs.task_exec;
	case TASKS_EXIT:
		return s->skel->progs.task_exit;
	case TASKS_CGROUP_MKDIR:
		return s->skel->progs.task_cgroup_mkdir;
	case TASKS_CGROUP_RMDIR:
		return s->skel->progs.task_cgroup_rmdir;
	default:
		return s->skel->progs.task_cgroup_attach;
	}
}

/* ---- load ---- */

/* What a record costs: each CPU has a share of a cgroup's rate, but no less than a quarter of it,
 * or a cgroup that runs on one CPU of many would be throttled while it does little. */
static uint64_t cost_ns(unsigned cpus)
{
	unsigned shares = cpus < TASKS_SHARES ? cpus : TASKS_SHARES;

	return NS_PER_S * (shares ? shares : 1) / TASKS_RATE;
}

static int load_task(struct tasks_self *s)
{
	static const char *const adopt[] = { "task_budgets", "task_unsent", NULL };
	kmn_auto(task_bpf__destroy) struct task_bpf *skel = task_bpf__open();
	int r;

	if (!skel)
		return kmn_err(-errno, "tasks: open BPF object");
	skel->rodata->task_cost_ns = s->cost_ns;
	skel->rodata->task_burst_ns = TASKS_BURST_NS;
	r = bpfobj_load(s->core->bpf, skel->skeleton, adopt); /* logged */
	if (!r)
		s->skel = KMN_TAKE(skel);
	return r;
}

static int load_cred(struct tasks_self *s)
{
	const struct kernel *k = s->core->kernel;
	kmn_auto(cred_bpf__destroy) struct cred_bpf *skel = NULL;
	int r;

	if (!k->has[KERNEL_FENTRY]) { /* known before: no need to alarm anybody with a refusal */
		(void)snprintf(s->cred_why, sizeof(s->cred_why), "%s", k->why[KERNEL_FENTRY]);
		return -ENOTSUP;
	}
	skel = cred_bpf__open();
	if (!skel)
		return kmn_err(-errno, "tasks: open BPF object of credentials");
	skel->rodata->task_cost_ns = s->cost_ns;
	skel->rodata->task_burst_ns = TASKS_BURST_NS;
	r = bpfobj_load(s->core->bpf, skel->skeleton, NULL); /* logged */
	if (r < 0) {
		(void)snprintf(s->cred_why, sizeof(s->cred_why),
			       "the kernel refuses the program: %s", strerror(-r));
		return r;
	}
	s->cred = KMN_TAKE(skel);
	return 0;
}

static void make_hooks(struct tasks_self *s)
{
	for (int i = 0; i < TASKS_HOOKS; i++) {
		struct hook *h = hook_get(s->core->hooks, KMN_SVC_tasks, hooks[i].name);

		s->hook[i] = h;
		if (!h)
			continue;
		/* what nothing can prove here is told by health() */
		h->required = hooks[i].required && (!s->own_pids || i == TASKS_EXEC);
		if (!program(s, (enum tasks_hook)i))
			hook_failed(h, "%s", i == TASKS_CRED && s->skel ? s->cred_why : s->why);
	}
}

static void look_for_containers(void *self);
static void tasks_stop(void *self);

/* Both stand still until there is something to look at. */
static int make_timers(struct tasks_self *s)
{
	struct loop *l = s->core->loop;

	if (!l) /* a test without a loop */
		return 0;
	s->join_timer = loop_every(l, TASKS_JOIN_LOOK_MS, tasks_join_look, s);
	if (s->join_timer < 0)
		return s->join_timer;
	s->container_timer = loop_every(l, CONTAINER_LOOK_MS, look_for_containers, s);
	if (s->container_timer < 0)
		return s->container_timer;
	(void)loop_timer_set(l, s->join_timer, 0);
	(void)loop_timer_set(l, s->container_timer, 0);
	return 0;
}

static int tasks_start(struct kmn_core *core, void **out)
{
	struct tasks_self *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return kmn_err(-ENOMEM, "tasks");
	s->core = core;
	s->join_timer = s->container_timer = -1;
	s->canary.exe = -1;
	s->own_pids = tasks_own_pids();
	s->joins = calloc(TASKS_JOINS, sizeof(*s->joins));
	if (!s->joins) {
		free(s);
		return kmn_err(-ENOMEM, "tasks");
	}
	s->cpus = (unsigned)bpfobj_cpus(core->bpf);
	s->cost_ns = cost_ns(s->cpus);
	r = load_task(s);
	if (r < 0)
		(void)snprintf(s->why, sizeof(s->why),
			       "processes are not seen: the kernel refuses the programs: %s",
			       core->kernel->has[KERNEL_TP_BTF] ? strerror(-r)
								: core->kernel->why[KERNEL_TP_BTF]);
	else
		(void)load_cred(s); /* cred_why says the reason; status shows it */
	make_hooks(s);
	r = make_timers(s);
	if (r < 0) {
		tasks_stop(s);
		return kmn_err(r, "tasks: timer");
	}
	r = tasks_canary_open(&s->canary, bpfobj_instance(core->bpf), s->own_pids);
	if (r < 0)
		(void)kmn_err(r, "tasks: canary: /proc/self/exe"); /* hooks stay unproven */
	*out = s;
	return 0;
}

/* ---- run ---- */

/* How often to look, and whether starts of programs are to wake us. */
static uint32_t look_period_ms(const struct tasks_self *s)
{
	const struct container_table *c = s->core->containers;
	bool hot = container_is_hot(c);

	if (s->skel && s->skel->bss)
		s->skel->bss->task_awaited = hot;
	if (hot)
		return CONTAINER_HOT_MS;
	return container_wants_tick(c) ? CONTAINER_LOOK_MS : 0;
}

static void look_for_containers(void *self)
{
	struct tasks_self *s = self;

	container_tick(s->core->containers, clock_boot_ns());
	tasks_timer(s, s->container_timer, &s->looking_ms, look_period_ms(s));
}

void tasks_containers_wanted(struct tasks_self *s)
{
	uint32_t period = look_period_ms(s);

	if (period)
		tasks_timer(s, s->container_timer, &s->looking_ms, period);
}

/* A timer that runs is left alone: who set it anew with every record would put it off for ever. */
void tasks_timer(struct tasks_self *s, int timer, uint32_t *now_ms, uint32_t period_ms)
{
	if (timer < 0 || *now_ms == period_ms)
		return;
	*now_ms = period_ms;
	(void)loop_timer_set(s->core->loop, timer, period_ms); /* ours, so it can be set */
}

/* What runs already. After the hooks hang, so that nothing is missed in between: what a record has
 * told before stays. */
static void take_in(struct tasks_self *s)
{
	const struct kernel *k = s->core->kernel;
	struct process_host host = { .proc_root = "/proc",
				     .cgroup_root = k->cgroup_root,
				     .cgroup_name = k->cgroup_subsys < 0 ? "" : k->cgroup_name };
	struct process_running *known = NULL;
	int cgroups, processes;

	tasks_canary_sweep(k->cgroup_root);
	process_table_containers(s->core->processes, s->core->containers);
	cgroups = container_walk(s->core->containers, k->cgroup_root, clock_boot_ns());
	tasks_containers_wanted(s);
	if (s->own_pids) { /* what /proc shows is not what records will tell of */
		process_pids_are_foreign(s->core->processes);
		return;
	}
	(void)tasks_running(s->core, &known, &host.n_known, s->running_why,
			    sizeof(s->running_why)); /* status says it */
	host.known = known;
	s->n_known = host.n_known;
	processes = process_snapshot(s->core->processes, &host);
	free(known);
	s->n_running = processes < 0 ? 0 : (unsigned)processes;
	if (processes >= 0)
		log_debug("tasks: %d processes run already, in %d cgroups", processes, cgroups);
	else
		(void)kmn_err(processes, "tasks: /proc");
}

static int tasks_attach(void *self)
{
	struct tasks_self *s = self;
	int worst = 0, r;

	for (int i = 0; i < TASKS_HOOKS; i++) {
		struct bpf_program *prog = program(s, (enum tasks_hook)i);

		if (!prog || !s->hook[i])
			continue;
		r = bpfobj_attach_trace(s->core->bpf, s->hook[i], prog); /* the reason is in it */
		if (r < 0 && hooks[i].required)
			worst = r;
	}
	take_in(s);
	return worst;
}

static void tasks_canary_fire(void *self)
{
	struct tasks_self *s = self;
	struct kmn_state *state = bpfobj_state(s->core->bpf);
	int r;

	if (!s->skel)
		return;
	r = tasks_canary_send(&s->canary, s->core->kernel->cgroup_root, state ? state->gen : 0,
			      clock_boot_ns());
	if (r < 0 && r != -EBUSY)
		(void)kmn_err(r, "tasks: canary");
}

/* What the canary in flight has proven so far, and, when its time is up, what it has not. */
static void judge(struct tasks_self *s, uint64_t now_ns)
{
	struct tasks_canary *c = &s->canary;
	bool over = tasks_canary_over(c, now_ns);

	for (int i = 0; i < TASKS_HOOKS; i++) {
		struct hook *h = s->hook[i];

		if (!h || !hooks[i].proof || !program(s, (enum tasks_hook)i) || !c->wanted)
			continue;
		if (c->seen & hooks[i].proof) {
			s->misses[i] = 0;
			hook_proven(h, c->gen);
		} else if (over && c->wanted & hooks[i].proof &&
			   ++s->misses[i] >= TASKS_CANARY_MISSES) {
			hook_failed(h, "its canary was not seen %u times in a row", s->misses[i]);
		}
	}
	if (over)
		c->wanted = 0;
}

static void tasks_tick(void *self, uint64_t now_ns)
{
	struct tasks_self *s = self;

	judge(s, now_ns);
	process_table_tick(s->core->processes, now_ns);
	container_tick(s->core->containers, now_ns);
	tasks_containers_wanted(s);
}

static void tasks_stop(void *self)
{
	struct tasks_self *s = self;

	if (s->join_timer >= 0)
		loop_timer_drop(s->core->loop, s->join_timer);
	if (s->container_timer >= 0)
		loop_timer_drop(s->core->loop, s->container_timer);
	tasks_canary_close(&s->canary);
	if (s->cred)
		cred_bpf__destroy(s->cred);
	if (s->skel)
		task_bpf__destroy(s->skel);
	free(s->joins);
	free(s);
}

const struct kmn_event_kind tasks_kinds[] = {
	{ .kind = TASK_EV_EXEC,
	  .name = "exec",
	  .doc = "A process started a program.",
	  .size_min = sizeof(struct task_exec),
	  .size_max = sizeof(struct task_exec),
	  .stream = EVENT_TELEMETRY,
	  .check = tasks_check_exec,
	  .enrich = tasks_on_exec,
	  .text = tasks_exec_text,
	  .ocsf_class = 1007,
	  .ocsf_activity = 1,
	  .ocsf = tasks_exec_ocsf },
	{ .kind = TASK_EV_FORK,
	  .name = "fork",
	  .doc = "A process made another one, which runs the same program at first.",
	  .size_min = sizeof(struct task_fork),
	  .size_max = sizeof(struct task_fork),
	  .stream = EVENT_TELEMETRY,
	  .check = tasks_check_process,
	  .enrich = tasks_on_fork,
	  .text = tasks_fork_text,
	  .ocsf_class = 1007,
	  .ocsf_activity = 1,
	  .ocsf = tasks_fork_ocsf },
	{ .kind = TASK_EV_EXIT,
	  .name = "exit",
	  .doc = "A process ended, with all its threads.",
	  .size_min = sizeof(struct task_exit),
	  .size_max = sizeof(struct task_exit),
	  .stream = EVENT_TELEMETRY,
	  .check = tasks_check_process,
	  .enrich = tasks_on_exit,
	  .text = tasks_exit_text,
	  .ocsf_class = 1007,
	  .ocsf_activity = 2,
	  .ocsf = tasks_exit_ocsf },
	{ .kind = TASK_EV_CRED,
	  .name = "cred",
	  .doc = "A process got other user or group ids, or other capabilities.",
	  .size_min = sizeof(struct task_cred),
	  .size_max = sizeof(struct task_cred),
	  .stream = EVENT_TELEMETRY,
	  .check = tasks_check_process,
	  .enrich = tasks_on_cred,
	  .text = tasks_cred_text,
	  .ocsf_class = 1007,
	  .ocsf_activity = 5,
	  .ocsf = tasks_cred_ocsf },
	{ .kind = TASK_EV_PART,
	  .name = "part",
	  .doc = "More of an exec that one record could not tell whole; never an event.",
	  .size_min = sizeof(struct task_part),
	  .size_max = sizeof(struct task_part),
	  .stream = EVENT_TELEMETRY,
	  .check = tasks_check_part,
	  .enrich = tasks_on_part },
	{ .kind = TASK_EV_CGROUP,
	  .name = "cgroup",
	  .doc = "A cgroup came, went or got a process: for the container table; never an event.",
	  .size_min = sizeof(struct task_cgroup),
	  .size_max = sizeof(struct task_cgroup),
	  .stream = EVENT_TELEMETRY,
	  .check = tasks_check_cgroup,
	  .enrich = tasks_on_cgroup },
	{ .kind = 0 },
};

const struct kmn_part tasks_service = {
	.name = "tasks",
	.summary = "process hooks: starts, ends, credentials, containers",
	.id = KMN_SVC_tasks,
	.kinds = tasks_kinds,
	.start = tasks_start,
	.attach = tasks_attach,
	.canary = tasks_canary_fire,
	.tick = tasks_tick,
	.stop = tasks_stop,
	.probe = tasks_probe,
	.health = tasks_health,
	.status = tasks_status,
	.metrics = tasks_metrics,
	.memory_max = tasks_memory_max,
	.selftest = tasks_selftest,
};
