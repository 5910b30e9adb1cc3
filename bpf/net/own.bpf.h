/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writing the process in hand onto a socket: for the programs that know it, never for packets. */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "net/owner.bpf.h"

const volatile __u8 kmn_probe_read;	     /* set by the loader: kernel memory may be read */
const volatile __s32 kmn_cgroup_subsys = -1; /* ... and -1: containers live in cgroup2 */

#define OWNER_SUBSYS_MAX 16 /* more than any kernel has */

/* The head of the thread group names the process, as in every other record. */
static __always_inline __u64 owner_start_ns(void)
{
	struct task_struct *task, *leader;

	if (!kmn_probe_read)
		return 0;
	task = (struct task_struct *)bpf_get_current_task();
	leader = BPF_CORE_READ(task, group_leader);
	return BPF_CORE_READ(leader, start_boottime);
}

/* kernfs id of the process' cgroup in the hierarchy that holds containers; 0 = unknown. On a host
 * of v1 or both that is not the one of which bpf_get_current_cgroup_id() speaks. */
static __always_inline __u64 owner_cgroup_id(void)
{
	struct cgroup_subsys_state *state = NULL;
	struct css_set *set;

	if (kmn_cgroup_subsys < 0)
		return bpf_get_current_cgroup_id();
	if (!kmn_probe_read || kmn_cgroup_subsys >= OWNER_SUBSYS_MAX)
		return 0;
	set = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), cgroups);
	bpf_probe_read_kernel(&state, sizeof(state),
			      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
				      kmn_cgroup_subsys * sizeof(state));
	return state ? BPF_CORE_READ(state, cgroup, kn, id) : 0;
}

static __always_inline void owner_set(struct net_owner *o, __u32 pid, __u32 how)
{
	o->how |= how;
	if (o->pid == pid) /* most calls: the owner did not change */
		return;
	o->start_ns = owner_start_ns();
	o->cgroup_id = owner_cgroup_id();
	o->pid = pid;
}
