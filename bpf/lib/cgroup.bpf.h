/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cgroup that tells containers apart, on v2, hybrid and v1 hosts, by typed pointers only. */
#pragma once
#include "kmn_abi.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* Which hierarchy holds containers: index into css_set.subsys, or -1 for the default one. Set by
 * the loader (struct kernel, core/kernel.h). */
const volatile __s32 kmn_cgroup_subsys = -1;

#define KMN_SUBSYS_MAX 16 /* more than any kernel has */

/* The cgroup of that hierarchy out of an array of states; NULL when it has none. */
static __always_inline struct cgroup *kmn_cgroup_of(struct cgroup_subsys_state **css)
{
	struct cgroup_subsys_state *state;

	if (kmn_cgroup_subsys < 0 || kmn_cgroup_subsys >= KMN_SUBSYS_MAX)
		return NULL;
	state = css[kmn_cgroup_subsys];
	return state ? state->cgroup : NULL;
}

/* kernfs id of the cgroup of t; 0 = unknown. */
static __always_inline __u64 kmn_cgroup_id(struct task_struct *t)
{
	struct css_set *set = t->cgroups;
	struct cgroup *cgroup = kmn_cgroup_subsys < 0 ? set->dfl_cgrp : kmn_cgroup_of(set->subsys);

	return cgroup ? cgroup->kn->id : 0;
}

/* Does this cgroup lie in the hierarchy that holds containers? */
static __always_inline bool kmn_cgroup_ours(struct cgroup *cgroup)
{
	if (kmn_cgroup_subsys < 0)
		return !cgroup->root->hierarchy_id; /* the default hierarchy is number 0 */
	return kmn_cgroup_of(cgroup->subsys) == cgroup;
}
