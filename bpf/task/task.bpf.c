// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* task: tell of every exec, fork and exit of a process, and of the cgroups they live in.
 * hooks   tp_btf: sched_process_exec, _fork, _exit; cgroup_mkdir, _rmdir, _attach_task
 * maps    task_budgets, task_unsent: its own; rings, counters and state: shared
 * sends   TASK_EV_EXEC, _FORK, _EXIT, _PART, _CGROUP to the telemetry ring
 * fails   open: it only tells. What is not told is counted as dropped or throttled
 * A program here may be preempted: all scratch is the reserved record. */
#include "lib/trace.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/file.bpf.h"
#include "lib/path.bpf.h"
#include "task/budget.bpf.h"
#include "task/who.bpf.h"

/* What is zeroed of a record that ends with text: of the text, only what a length counts is told.
 */
#define EXEC_FIXED __builtin_offsetof(struct task_exec, text)
#define PART_FIXED __builtin_offsetof(struct task_part, data)
#define CGROUP_FIXED __builtin_offsetof(struct task_cgroup, path)

/* Set by user space while a container is awaited whose files it has not seen: the first program in
 * it may have ended, and the files be gone, before the timer drains the ring. */
volatile __u32 task_awaited;

/* The names of exe and cwd into the record. A path that does not fit goes whole into a part. */
static __always_inline void exec_names(struct task_exec *ev, struct file *exe, struct path *cwd)
{
	volatile struct kmn_walk *walk = &ev->walk;

	kmn_walk_names(walk, ev->text, &ev->names_len, TASK_NAMES, TASK_WALK_HERE, exe->f_path.mnt,
		       exe->f_path.dentry);
	if (walk->end == KMN_WALK_NONE) {
		ev->flags |= TASK_EXEC_NO_PATH;
		return;
	}
	if (walk->end == KMN_WALK_CUT) {
		ev->flags |= TASK_EXEC_EXE_PART;
		ev->names_len = 0;
	}
	if (walk->end == KMN_WALK_DETACHED)
		ev->flags |= TASK_EXEC_EXE_DETACHED;
	ev->exe_len = ev->names_len;
	kmn_walk_names(walk, ev->text, &ev->names_len, TASK_NAMES, TASK_WALK_HERE, cwd->mnt,
		       cwd->dentry);
	if (walk->end == KMN_WALK_CUT) {
		ev->flags |= TASK_EXEC_CWD_PART;
		ev->names_len = ev->exe_len;
	}
	ev->cwd_len = ev->names_len - ev->exe_len;
}

/* The first arguments, behind the names. They come from the new program's memory, after the exec is
 * committed: what it was called with, not what another thread wrote over it meanwhile. */
static __always_inline void exec_args(struct task_exec *ev, struct mm_struct *mm)
{
	__u64 start = mm->arg_start, total = mm->arg_end - start;
	__u64 off = ev->names_len, n;

	if (total > TASK_ARGS_MAX) {
		ev->flags |= TASK_EXEC_ARGS_CUT;
		total = TASK_ARGS_MAX;
	}
	ev->args_total = total;
	if (!total || off >= TASK_TEXT - TASK_ARGS_HERE) /* a last long name took the room */
		return;
	KMN_BOUND(off, TASK_TEXT - TASK_ARGS_HERE - 1);
	n = total > TASK_ARGS_HERE ? TASK_ARGS_HERE - 1 : total - 1;
	KMN_BOUND(n, TASK_ARGS_HERE - 1);
	n++;
	if (bpf_probe_read_user(ev->text + off, n, (void *)start)) {
		ev->flags |= TASK_EXEC_ARGS_BAD;
		ev->args_total = 0;
		kmn_count(TASK_C_BAD_READ);
		return;
	}
	ev->args_len = n;
}

/* What the parts of one exec have in common; no pointers, so that nothing is reloaded. */
struct exec_more {
	__u64 time_ns, start_ns, cgroup_id, exec_id, args_ptr;
	__u32 pid, tid, flags, args_len, args_total, pad;
};

static __always_inline struct task_part *part_new(const struct exec_more *more, __u8 what)
{
	struct task_part *part;

	if (!task_afford(more->cgroup_id))
		return NULL;
	part = kmn_reserve_head(KMN_TELEMETRY, KMN_SVC_tasks, TASK_EV_PART, 0, sizeof(*part),
				PART_FIXED);
	if (!part)
		return NULL;
	part->head.time_ns = more->time_ns;
	part->head.start_ns = more->start_ns;
	part->head.cgroup_id = more->cgroup_id;
	part->head.pid = more->pid;
	part->head.tid = more->tid;
	part->exec_id = more->exec_id;
	part->what = what;
	return part;
}

static __always_inline void send_path(const struct exec_more *more, __u8 what, struct vfsmount *mnt,
				      struct dentry *dentry)
{
	struct task_part *part = part_new(more, what);

	if (!part)
		return;
	kmn_walk_names(&part->walk, part->data, &part->len, TASK_PART_NAMES, TASK_WALK_PART, mnt,
		       dentry);
	if (part->walk.end == KMN_WALK_CUT)
		kmn_count(TASK_C_PATH_CUT);
	kmn_submit(KMN_TELEMETRY, part);
}

/* All parts but the last are full, so the place of each follows from its number alone: the verifier
 * has one state for it, whatever the lengths before were. */
static __always_inline void send_args(const struct exec_more *more)
{
	__u64 total = more->args_total, off, n;
	struct task_part *part;

	for (__u32 i = 0; i < TASK_PARTS_MAX; i++) {
		off = more->args_len + i * TASK_PART_ARGS_MAX;
		if (off >= total)
			return;
		part = part_new(more, TASK_PART_ARGS);
		if (!part) /* the rest is lost with it: user space sees the hole and says "cut" */
			return;
		n = total - off - 1;
		if (n > TASK_PART_ARGS_MAX - 1)
			n = TASK_PART_ARGS_MAX - 1;
		KMN_BOUND(n, TASK_PART_ARGS_MAX - 1);
		n++;
		if (bpf_probe_read_user(part->data, n, (void *)(more->args_ptr + off))) {
			kmn_count(TASK_C_BAD_READ);
			n = 0;
		}
		part->offset = off;
		part->len = n;
		kmn_submit(KMN_TELEMETRY, part);
		if (!n)
			return;
	}
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(task_exec, struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
{
	__u64 cgroup_id = kmn_cgroup_id(p);
	struct mm_struct *mm = p->mm;
	struct file *exe = mm->exe_file;
	struct fs_struct *fs = p->fs;
	struct exec_more more = {};
	struct task_exec *ev;

	if (!task_afford(cgroup_id)) {
		task_forget(p->tgid, kmn_start_ns(p));
		return 0;
	}
	ev = kmn_reserve_head(KMN_TELEMETRY, KMN_SVC_tasks, TASK_EV_EXEC, 0, sizeof(*ev),
			      EXEC_FIXED);
	if (!ev)
		return 0;
	kmn_head_task(&ev->head, p);
	ev->head.cgroup_id = cgroup_id;
	task_fill_who(&ev->who, p);
	ev->old_tid = old_pid;
	ev->flags = kmn_file_identify(exe, &ev->exe_id);
	if (bprm->interp != bprm->filename)
		ev->flags |= TASK_EXEC_SCRIPT;
	exec_names(ev, exe, &fs->pwd);
	exec_args(ev, mm);
	more.time_ns = ev->head.time_ns;
	more.start_ns = ev->head.start_ns;
	more.cgroup_id = cgroup_id;
	more.exec_id = ev->who.exec_id;
	more.pid = ev->head.pid;
	more.tid = ev->head.tid;
	more.flags = ev->flags;
	more.args_len = ev->args_len;
	more.args_total = ev->args_total;
	more.args_ptr = mm->arg_start;
	kmn_submit_now(KMN_TELEMETRY, ev, task_awaited);
	if (more.flags & TASK_EXEC_EXE_PART)
		send_path(&more, TASK_PART_EXE, exe->f_path.mnt, exe->f_path.dentry);
	if (more.flags & TASK_EXEC_CWD_PART)
		send_path(&more, TASK_PART_CWD, fs->pwd.mnt, fs->pwd.dentry);
	send_args(&more);
	return 0;
}

/* Sent before the child runs, so ahead of everything that it does. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_fork *ev;
	__u64 cgroup_id;

	if (child->pid != child->tgid) /* a thread */
		return 0;
	cgroup_id = kmn_cgroup_id(child);
	if (!task_afford(cgroup_id)) {
		task_forget(child->tgid, kmn_start_ns(child));
		return 0;
	}
	ev = kmn_reserve(KMN_TELEMETRY, KMN_SVC_tasks, TASK_EV_FORK, 0, sizeof(*ev));
	if (!ev)
		return 0;
	kmn_head_task(&ev->head, child);
	ev->head.cgroup_id = cgroup_id;
	task_fill_who(&ev->who, child);
	ev->from_pid = parent->tgid;
	ev->from_start_ns = kmn_start_ns(parent);
	kmn_submit(KMN_TELEMETRY, ev);
	return 0;
}

#define SIGNAL_GROUP_EXIT 4 /* include/linux/sched/signal.h */

/* A process ends with its last thread, whichever that is. Two threads that end at the same time may
 * both find none left and both tell: user space knows the second for a double. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(task_exit, struct task_struct *p)
{
	struct signal_struct *sig = p->signal;
	struct task_exit *ev;
	__u64 cgroup_id;

	if (sig->live.counter) /* lowered before this tracepoint */
		return 0;
	cgroup_id = kmn_cgroup_id(p);
	if (!task_afford_exit(cgroup_id, p->tgid, kmn_start_ns(p)))
		return 0;
	ev = kmn_reserve(KMN_TELEMETRY, KMN_SVC_tasks, TASK_EV_EXIT, 0, sizeof(*ev));
	if (!ev)
		return 0;
	kmn_head_task(&ev->head, p);
	ev->head.cgroup_id = cgroup_id;
	task_fill_who(&ev->who, p);
	if (sig->flags & SIGNAL_GROUP_EXIT)
		ev->code = sig->group_exit_code;
	else
		ev->code = p->group_leader->exit_code;
	kmn_submit(KMN_TELEMETRY, ev);
	return 0;
}

/* Cgroups come and go rarely, and containers are known by them: one purse for all of them, that no
 * process can spend but by making cgroups. */
static __always_inline int tell_cgroup(struct cgroup *cgroup, const char *path,
				       struct task_struct *moved, __u8 op)
{
	struct task_cgroup *ev;
	long n = 0;

	if (!kmn_cgroup_ours(cgroup) || !task_afford(0))
		return 0;
	ev = kmn_reserve_head(KMN_TELEMETRY, KMN_SVC_tasks, TASK_EV_CGROUP, 0, sizeof(*ev),
			      CGROUP_FIXED);
	if (!ev)
		return 0;
	if (moved)
		kmn_head_task(&ev->head, moved);
	else
		ev->head.pid = bpf_get_current_pid_tgid() >> 32; /* who made or removed it */
	ev->head.cgroup_id = cgroup->kn->id;
	ev->op = op;
	ev->level = cgroup->level;
	if (kmn_probe_read)
		n = bpf_probe_read_kernel_str(ev->path, TASK_CGROUP_PATH, path);
	if (n > 1)
		ev->path_len = n - 1;
	/* at once: of a container that may be gone in 50 ms, with its files */
	kmn_submit_now(KMN_TELEMETRY, ev, op == TASK_CGROUP_MKDIR);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(task_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	return tell_cgroup(cgroup, path, NULL, TASK_CGROUP_MKDIR);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(task_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
	return tell_cgroup(cgroup, path, NULL, TASK_CGROUP_RMDIR);
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(task_cgroup_attach, struct cgroup *cgroup, const char *path, struct task_struct *task)
{
	return tell_cgroup(cgroup, path, task, TASK_CGROUP_ATTACH);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
