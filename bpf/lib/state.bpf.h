/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The state word, the clock and the counters: shared by every object of an instance. */
#pragma once
#include "kmn_abi.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kmn_state);
} kmn_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KMN_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} kmn_counts SEC(".maps");

/* An atomic add though the cell is this CPU's: a tracing program can be preempted or interrupted by
 * another that counts, and the accounting is exact. The result must stay unused (5.10). */
static __always_inline void kmn_count_add(__u32 what, __u64 by)
{
	__u64 *n = bpf_map_lookup_elem(&kmn_counts, &what);

	if (n)
		__sync_fetch_and_add(n, by);
}

static __always_inline void kmn_count(__u32 what)
{
	kmn_count_add(what, 1);
}

static __always_inline struct kmn_state *kmn_state_get(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&kmn_state, &key);
}

/* Boot clock, ns; a replay sets it. */
static __always_inline __u64 kmn_now(void)
{
	struct kmn_state *s = kmn_state_get();

	return s && s->replay_ns ? s->replay_ns : bpf_ktime_get_boot_ns();
}
