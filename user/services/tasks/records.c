#include <string.h>
#include "core/loop.h"
#include "services/tasks/proc.h"
#include "services/tasks/tasks_self.h"

static struct process_creds creds_of(const struct task_creds *c)
{
	return (struct process_creds){ c->cap_effective, c->cap_permitted, c->uid,  c->euid,
				       c->suid,		 c->gid,	   c->egid, c->login_uid };
}

static struct process_who who_of(const struct kmn_event *head, const struct task_who *w)
{
	return (struct process_who){ .pid = head->pid,
				     .ppid = w->ppid,
				     .start_ns = head->start_ns,
				     .parent_start_ns = w->parent_start_ns,
				     .exec_id = w->exec_id,
				     .cgroup_id = head->cgroup_id,
				     .time_ns = head->time_ns,
				     .creds = creds_of(&w->creds) };
}

/* ---- credentials ---- */
static void fill_cred(struct event *ev, const struct process_creds *old,
		      const struct process_creds *now, const char *detail)
{
	ev->via = EVENT_VIA_OWNER;
	ev->severity = EVENT_INFO;
	event_u64(ev, EVENT_F_old_uid, old->uid);
	event_u64(ev, EVENT_F_new_uid, now->uid);
	event_u64(ev, EVENT_F_old_euid, old->euid);
	event_u64(ev, EVENT_F_new_euid, now->euid);
	event_u64(ev, EVENT_F_old_gid, old->gid);
	event_u64(ev, EVENT_F_new_gid, now->gid);
	event_u64(ev, EVENT_F_old_caps, old->cap_effective);
	event_u64(ev, EVENT_F_new_caps, now->cap_effective);
	event_text(ev, EVENT_F_detail, text_of(detail));
}

/* A change that no record of its own told of: seen now, at what the process did next. */
static void tell_late(struct tasks_self *s, const struct kmn_event *rec,
		      const struct process_late *late, const char *detail)
{
	struct event *ev = &s->extra;

	if (!late->creds)
		return;
	s->stats.late_creds++;
	event_init(ev, KMN_SVC_tasks, TASK_EV_CRED, EVENT_TELEMETRY);
	ev->boot_ns = rec->time_ns;
	ev->pid = late->pid;
	ev->start_ns = late->start_ns;
	ev->cgroup_id = rec->cgroup_id;
	fill_cred(ev, &late->old, &late->now, detail);
	event_emit(s->core->events, ev);
}

int tasks_on_cred(void *self, const struct kmn_event *rec, struct event *ev)
{
	const struct task_cred *r = (const struct task_cred *)rec;
	struct process_who who = who_of(rec, &r->who);
	struct process_creds old = creds_of(&r->old);
	struct tasks_self *s = self;

	if (!process_cred(s->core->processes, &who)) {
		s->stats.doubles++;
		return 0;
	}
	s->stats.creds++;
	fill_cred(ev, &old, &who.creds, "at once");
	return 1;
}

/* ---- starts ---- */
static uint32_t flags_of(const struct task_exec *r)
{
	uint32_t flags = 0;

	if (r->flags & KMN_FILE_MEMFD)
		flags |= PROCESS_MEMFD;
	if (r->flags & KMN_FILE_DELETED)
		flags |= PROCESS_DELETED;
	if (r->flags & KMN_FILE_UPPER)
		flags |= PROCESS_UPPER;
	if (r->flags & (TASK_EXEC_ARGS_CUT | TASK_EXEC_ARGS_BAD))
		flags |= PROCESS_ARGS_CUT;
	return flags;
}

static struct process_exec exec_of(struct tasks_self *s, const struct task_exec *r)
{
	const struct text none = { NULL, 0 };
	uint32_t lack = tasks_lacks(r);

	return (struct process_exec){
		.who = who_of(&r->head, &r->who),
		.exe_id = r->exe_id,
		.flags = flags_of(r),
		.exe = lack & (TASKS_LACK_EXE | TASKS_LACK_EXE_PROC)
			       ? none
			       : tasks_path(r->text, r->exe_len, false, s->exe),
		.cwd = lack & (TASKS_LACK_CWD | TASKS_LACK_CWD_PROC)
			       ? none
			       : tasks_path(r->text + r->exe_len, r->cwd_len, false, s->cwd),
		.args = r->args_len ? (struct text){ r->text + r->names_len, r->args_len } : none,
	};
}

/* The event tells the start as its records did, whole, whatever the table keeps of it. */
static void fill_exec(struct tasks_self *s, const struct process_exec *x, struct event *ev)
{
	struct process_view *p = &ev->who.p[0];

	ev->via = EVENT_VIA_OWNER;
	ev->pid = x->who.pid;
	ev->start_ns = x->who.start_ns;
	ev->cgroup_id = x->who.cgroup_id;
	(void)process_describe(s->core->processes, x->who.pid, x->who.start_ns, x->who.time_ns,
			       &ev->who);
	ev->who.n = ev->who.n ? ev->who.n : 1;
	p->pid = x->who.pid;
	p->start_ns = x->who.start_ns;
	p->flags = x->flags | (p->flags & PROCESS_EXITED);
	p->exe_id = x->exe_id;
	p->exe = x->exe;
	p->cwd = x->cwd;
	p->args = x->args;
}

/* All has come, or nothing more will: tell, and free the slot. */
static void finish(struct tasks_self *s, struct tasks_join *slot)
{
	struct event *ev = &s->extra;

	if (slot->lack) {
		tasks_join_give_up(slot);
		s->stats.joined_cut++;
	}
	s->stats.joined++;
	(void)process_exec_more(s->core->processes, &slot->exec); /* or another exec came */
	event_init(ev, KMN_SVC_tasks, TASK_EV_EXEC, EVENT_TELEMETRY);
	ev->boot_ns = slot->exec.who.time_ns;
	fill_exec(s, &slot->exec, ev);
	event_emit(s->core->events, ev);
	slot->used = false;
}

static void keep_open(struct tasks_self *s, const struct task_exec *r, const struct process_exec *x)
{
	uint64_t now = clock_boot_ns();

	if (!tasks_join_keep(s->joins, r, x, now)) {
		finish(s, tasks_join_oldest(s->joins));
		(void)tasks_join_keep(s->joins, r, x, now); /* there is room now */
	}
	tasks_timer(s, s->join_timer, &s->joining_ms, TASKS_JOIN_LOOK_MS);
}

int tasks_on_exec(void *self, const struct kmn_event *rec, struct event *ev)
{
	const struct task_exec *r = (const struct task_exec *)rec;
	struct tasks_self *s = self;
	struct process_exec x = exec_of(s, r);
	struct process_late late = {};
	bool fresh = process_exec(s->core->processes, &x, &late);

	if (tasks_canary_exec(&s->canary, rec, x.args)) {
		s->stats.canaries++;
		return 0;
	}
	if (!fresh) {
		s->stats.doubles++;
		return 0;
	}
	s->stats.execs++;
	(void)container_look_now(s->core->containers, rec->cgroup_id, rec->time_ns);
	tell_late(s, rec, &late, "noticed at an exec, which may have caused it");
	if (tasks_lacks(r)) {
		keep_open(s, r, &x);
		return 0;
	}
	fill_exec(s, &x, ev);
	return 1;
}

int tasks_on_part(void *self, const struct kmn_event *rec, struct event *ev)
{
	struct tasks_self *s = self;
	struct tasks_join *slot = tasks_join_part(s->joins, (const struct task_part *)rec);

	(void)ev;
	if (!slot)
		s->stats.stray_parts++;
	else if (!slot->lack)
		finish(s, slot);
	return 0;
}

/* A path that the kernel side could not tell whole, from /proc: outside of the record path, some
 * milliseconds later, and only as long as the process still runs the same program. */
static void resolve(struct tasks_self *s, struct tasks_join *slot, uint32_t which)
{
	bool exe = which == TASKS_LACK_EXE_PROC;
	static char path[TASKS_PATH_ROOM];
	struct text found = { NULL, 0 };

	if (!s->own_pids)
		found = tasks_proc_path(&slot->exec, exe, path, sizeof(path));
	if (exe && found.len)
		s->stats.resolved++;
	else if (exe)
		s->stats.unresolved++;
	tasks_join_found(slot, which, found);
}

void tasks_join_look(void *self)
{
	struct tasks_self *s = self;
	uint64_t now = clock_boot_ns();
	bool waiting = false;

	for (unsigned i = 0; i < TASKS_JOINS; i++) {
		struct tasks_join *slot = &s->joins[i];

		if (!slot->used)
			continue;
		if (slot->lack & TASKS_LACK_EXE_PROC)
			resolve(s, slot, TASKS_LACK_EXE_PROC);
		if (slot->lack & TASKS_LACK_CWD_PROC)
			resolve(s, slot, TASKS_LACK_CWD_PROC);
		if (!slot->lack || now - slot->begun_ns > TASKS_JOIN_NS)
			finish(s, slot);
		else
			waiting = true;
	}
	if (!waiting)
		tasks_timer(s, s->join_timer, &s->joining_ms, 0);
}

/* ---- forks and exits ---- */
int tasks_on_fork(void *self, const struct kmn_event *rec, struct event *ev)
{
	const struct task_fork *r = (const struct task_fork *)rec;
	struct process_fork f = { who_of(rec, &r->who), r->from_pid, r->from_start_ns };
	struct process_late late = {};
	struct tasks_self *s = self;
	bool fresh;

	fresh = process_fork(s->core->processes, &f, &late);
	if (tasks_canary_fork(&s->canary, rec)) { /* also when another instance told it first */
		s->stats.canaries++;
		return 0;
	}
	if (!fresh) {
		s->stats.doubles++;
		return 0;
	}
	s->stats.forks++;
	tell_late(s, rec, &late, "noticed at a fork");
	ev->via = EVENT_VIA_OWNER;
	return 1;
}

int tasks_on_exit(void *self, const struct kmn_event *rec, struct event *ev)
{
	const struct task_exit *r = (const struct task_exit *)rec;
	struct process_who who = who_of(rec, &r->who);
	struct process_late late = {};
	struct tasks_self *s = self;
	bool fresh;

	fresh = process_exit(s->core->processes, &who, &late);
	if (tasks_canary_exit(&s->canary, rec)) { /* also when another instance told it first */
		s->stats.canaries++;
		return 0;
	}
	if (!fresh) {
		s->stats.doubles++;
		return 0;
	}
	s->stats.exits++;
	tell_late(s, rec, &late, "noticed at the exit");
	ev->via = EVENT_VIA_OWNER;
	if (r->code & 0x7f)
		event_u64(ev, EVENT_F_exit_signal, r->code & 0x7f);
	else
		event_u64(ev, EVENT_F_exit_code, r->code >> 8 & 0xff);
	return 1;
}

/* ---- cgroups ---- */
int tasks_on_cgroup(void *self, const struct kmn_event *rec, struct event *ev)
{
	const struct task_cgroup *r = (const struct task_cgroup *)rec;
	struct tasks_self *s = self;
	struct container_table *c = s->core->containers;

	(void)ev;
	if (tasks_canary_cgroup(&s->canary, r)) {
		s->stats.canaries++;
		return 0;
	}
	s->stats.cgroups++;
	if (r->op == TASK_CGROUP_ATTACH) {
		struct process_who who = { .pid = rec->pid,
					   .start_ns = rec->start_ns,
					   .cgroup_id = rec->cgroup_id,
					   .time_ns = rec->time_ns };

		(void)process_moved(s->core->processes, &who); /* or it has not been told of yet */
	} else if (r->op == TASK_CGROUP_RMDIR) {
		(void)container_cgroup_removed(c, rec->cgroup_id, rec->time_ns);
	} else if (r->path_len) { /* without one the table looks for it when it is asked */
		(void)container_cgroup_made(c, rec->cgroup_id,
					    (struct text){ r->path, r->path_len }, rec->time_ns);
		tasks_containers_wanted(s);
	}
	return 0;
}
