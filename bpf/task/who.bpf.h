/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who a task is, for every record of bpf/task. Typed pointers only. */
#pragma once
#include "lib/cgroup.bpf.h"
#include "lib/task.bpf.h"
#include "task/task_abi.h"

/* login_uid is a task's and not a cred's: it is left alone. Capability sets are read as one number:
 * two words of 32 bits up to 6.2, the low one first, one of 64 later. */
static __always_inline void task_fill_creds(struct task_creds *to, const struct cred *from)
{
	to->cap_effective = *(const __u64 *)&from->cap_effective;
	to->cap_permitted = *(const __u64 *)&from->cap_permitted;
	to->uid = from->uid.val;
	to->euid = from->euid.val;
	to->suid = from->suid.val;
	to->gid = from->gid.val;
	to->egid = from->egid.val;
}

static __always_inline void task_fill_who(struct task_who *who, struct task_struct *t)
{
	struct task_struct *parent = t->group_leader->real_parent;

	who->exec_id = t->self_exec_id;
	who->ppid = parent->tgid;
	who->parent_start_ns = kmn_start_ns(parent);
	task_fill_creds(&who->creds, t->real_cred);
	who->creds.login_uid = kmn_login_uid(t);
}
