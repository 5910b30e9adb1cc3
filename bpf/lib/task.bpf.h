/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a program tells of a task. Everything here follows typed BTF pointers only, so it also loads
 * under lockdown=confidentiality. */
#pragma once
#include "kmn_abi.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* May programs read kernel memory that no BTF pointer names (bpf_probe_read_kernel)? Set by the
 * loader; when false the branches that do are dead and the verifier does not look at them. */
const volatile bool kmn_probe_read = true;

struct task_struct___renamed { /* below 5.5, and in what distributions made of it */
	u64 real_start_time;
} __attribute__((preserve_access_index));

struct task_struct___audit { /* CONFIG_AUDIT */
	kuid_t loginuid;
} __attribute__((preserve_access_index));

/* Start of the process of t, boot clock, ns: with the pid it names the process for ever. */
static __always_inline __u64 kmn_start_ns(struct task_struct *t)
{
	struct task_struct *leader = t->group_leader;

	if (bpf_core_field_exists(leader->start_boottime))
		return leader->start_boottime;
	return ((struct task_struct___renamed *)leader)->real_start_time;
}

/* pid, tid and start of t into the head of a record. */
static __always_inline void kmn_head_task(struct kmn_event *head, struct task_struct *t)
{
	head->pid = t->tgid;
	head->tid = t->pid;
	head->start_ns = kmn_start_ns(t);
}

/* Login uid of t; ~0 when none was set or the kernel keeps none. */
static __always_inline __u32 kmn_login_uid(struct task_struct *t)
{
	struct task_struct___audit *a = (void *)t;

	return bpf_core_field_exists(a->loginuid) ? a->loginuid.val : ~0U;
}
