/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Budgets of task records: each cgroup has a token bucket on each CPU, so a noisy container spends
 * its own and nobody else's. */
#pragma once
#include "lib/emit.bpf.h"
#include "task/task_abi.h"

/* Time that one record costs: 1 s / (records per second of a cgroup on one CPU). 0: no budget. Set
 * by the loader; the value here is that of 20,000/s. */
const volatile __u64 task_cost_ns = 50000;
/* Capacity of a bucket, in the same currency: a burst of burst_ns / cost_ns records. */
const volatile __u64 task_burst_ns = 1000000000;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, TASK_BUDGET_CGROUPS);
	__type(key, __u64); /* kernfs id of the cgroup */
	__type(value, struct task_budget);
} task_budgets SEC(".maps");

struct task_unsent_key {
	__u64 start_ns;
	__u32 pid, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TASK_UNSENT_MAX);
	__type(key, struct task_unsent_key);
	__type(value, __u8);
} task_unsent SEC(".maps");

/* This CPU's bucket of a cgroup, refilled up to now; NULL when the map has no room: then records
 * pass. A program that preempts this one between load and store may cost or win a record's price;
 * the counters stay exact, since they are only added to. */
static __always_inline struct task_budget *task_bucket(__u64 cgroup_id)
{
	struct task_budget *b = bpf_map_lookup_elem(&task_budgets, &cgroup_id), fresh = {};
	__u64 now = kmn_now(), gain;
	__s64 full = task_burst_ns;

	if (!b) {
		bpf_map_update_elem(&task_budgets, &cgroup_id, &fresh, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&task_budgets, &cgroup_id);
		if (!b)
			return NULL;
	}
	gain = now - b->last_ns;
	if (!b->last_ns || gain >= task_burst_ns) { /* new on this CPU, or long idle */
		b->tokens = full;
		b->exits = full;
	} else {
		b->tokens = b->tokens + (__s64)gain > full ? full : b->tokens + (__s64)gain;
		b->exits = b->exits + (__s64)gain > full ? full : b->exits + (__s64)gain;
	}
	b->last_ns = now;
	return b;
}

static __always_inline bool task_pay(struct task_budget *b, __s64 *purse)
{
	__s64 cost = task_cost_ns;

	if (*purse >= cost) {
		*purse -= cost;
		return true;
	}
	__sync_fetch_and_add(&b->throttled, 1);
	kmn_throttled(KMN_TELEMETRY);
	return false;
}

/* May a record about this cgroup be sent? A no is counted. */
static __always_inline bool task_afford(__u64 cgroup_id)
{
	struct task_budget *b;

	if (!task_cost_ns)
		return true;
	b = task_bucket(cgroup_id);
	return !b || task_pay(b, &b->tokens);
}

/* The start of a process was not told: neither will be its end. */
static __always_inline void task_forget(__u32 pid, __u64 start_ns)
{
	struct task_unsent_key key = { start_ns, pid, 0 };
	__u8 one = 1;

	bpf_map_update_elem(&task_unsent, &key, &one, BPF_ANY);
}

/* May this exit be sent? From a purse of its own, filled as fast as the one that starts are paid
 * from: so the exits of told processes get through while the cgroup floods. */
static __always_inline bool task_afford_exit(__u64 cgroup_id, __u32 pid, __u64 start_ns)
{
	struct task_unsent_key key = { start_ns, pid, 0 };
	struct task_budget *b;

	if (!task_cost_ns)
		return true;
	b = task_bucket(cgroup_id);
	if (!b)
		return true;
	if (!bpf_map_lookup_elem(&task_unsent, &key))
		return task_pay(b, &b->exits);
	bpf_map_delete_elem(&task_unsent, &key);
	__sync_fetch_and_add(&b->throttled, 1);
	kmn_throttled(KMN_TELEMETRY);
	return false;
}
