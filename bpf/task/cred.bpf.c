// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* cred: tell at once when a task gets other ids or capabilities.
 *
 * hooks   fentry: commit_creds, through which the kernel changes all credentials of a task
 * maps    task_budgets, rings, counters and state: shared with task.bpf.c
 * sends   TASK_EV_CRED to the telemetry ring
 * fails   open: it only tells. A kernel that refuses fentry loses only the moment, since exec, fork
 *         and exit records carry credentials too; that is why this is an object of its own */
#include "lib/trace.bpf.h"
#include "lib/emit.bpf.h"
#include "task/budget.bpf.h"
#include "task/who.bpf.h"

static __always_inline bool creds_differ(const struct task_creds *a, const struct task_creds *b)
{
	return a->uid != b->uid || a->euid != b->euid || a->suid != b->suid || a->gid != b->gid ||
	       a->egid != b->egid || a->cap_effective != b->cap_effective ||
	       a->cap_permitted != b->cap_permitted;
}

static __always_inline void creds_by_address(struct task_creds *to, const struct cred *from)
{
	bpf_core_read(&to->cap_effective, sizeof(__u64), &from->cap_effective);
	bpf_core_read(&to->cap_permitted, sizeof(__u64), &from->cap_permitted);
	to->uid = BPF_CORE_READ(from, uid.val);
	to->euid = BPF_CORE_READ(from, euid.val);
	to->suid = BPF_CORE_READ(from, suid.val);
	to->gid = BPF_CORE_READ(from, gid.val);
	to->egid = BPF_CORE_READ(from, egid.val);
}

/* Who, where the kernel gives no typed pointer to the current task (below 5.11). */
static __always_inline void who_by_address(struct task_cred *ev, struct task_struct *t)
{
	struct task_struct *leader = BPF_CORE_READ(t, group_leader);
	struct task_struct *parent = BPF_CORE_READ(leader, real_parent);

	ev->head.pid = BPF_CORE_READ(t, tgid);
	ev->head.tid = BPF_CORE_READ(t, pid);
	ev->head.start_ns = BPF_CORE_READ(leader, start_boottime);
	ev->who.exec_id = BPF_CORE_READ(t, self_exec_id);
	ev->who.ppid = BPF_CORE_READ(parent, tgid);
	ev->who.parent_start_ns = BPF_CORE_READ(parent, group_leader, start_boottime);
}

/* The cgroup by address; the typed way is kmn_cgroup_id(). */
static __always_inline __u64 cgroup_by_address(struct task_struct *t)
{
	struct css_set *set = BPF_CORE_READ(t, cgroups);
	struct cgroup_subsys_state *css = NULL;
	struct cgroup *cgroup = NULL;

	if (kmn_cgroup_subsys < 0)
		cgroup = BPF_CORE_READ(set, dfl_cgrp);
	else if (!bpf_probe_read_kernel(&css, sizeof(css), &set->subsys[0] + kmn_cgroup_subsys) &&
		 css)
		cgroup = BPF_CORE_READ(css, cgroup);
	return cgroup ? BPF_CORE_READ(cgroup, kn, id) : 0;
}

static __always_inline int tell(const struct task_creds *old, const struct task_creds *now,
				struct task_struct *typed, struct task_struct *untyped)
{
	__u64 cgroup_id = typed ? kmn_cgroup_id(typed) : cgroup_by_address(untyped);
	struct task_cred *ev;

	if (!creds_differ(old, now) || !task_afford(cgroup_id))
		return 0;
	ev = kmn_reserve(KMN_TELEMETRY, KMN_SVC_tasks, TASK_EV_CRED, 0, sizeof(*ev));
	if (!ev)
		return 0;
	if (typed) {
		kmn_head_task(&ev->head, typed);
		task_fill_who(&ev->who, typed);
	} else {
		who_by_address(ev, untyped);
	}
	ev->head.cgroup_id = cgroup_id;
	ev->old = *old;
	ev->who.creds = *now;
	kmn_submit(KMN_TELEMETRY, ev);
	return 0;
}

/* A program start commits credentials too: it is told only when they differ, as of a setuid file.
 */
SEC("fentry/commit_creds")
int BPF_PROG(task_cred, struct cred *fresh)
{
	struct task_creds old = {}, now = {};
	struct task_struct *t;

	task_fill_creds(&now, fresh);
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
		t = bpf_get_current_task_btf();
		task_fill_creds(&old, t->real_cred);
		old.login_uid = now.login_uid = kmn_login_uid(t);
		return tell(&old, &now, t, NULL);
	}
	if (!kmn_probe_read)
		return 0;
	t = (void *)bpf_get_current_task();
	creds_by_address(&old, BPF_CORE_READ(t, real_cred));
	old.login_uid = ~0U;
	if (bpf_core_field_exists(((struct task_struct___audit *)t)->loginuid))
		old.login_uid = BPF_CORE_READ((struct task_struct___audit *)t, loginuid.val);
	now.login_uid = old.login_uid;
	return tell(&old, &now, NULL, t);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
