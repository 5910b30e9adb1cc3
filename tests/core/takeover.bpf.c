// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* takeover: one program of each attach type, to see that a take-over leaves no gap.
 * hook    tc, cgroup/connect4, tp_btf/sched_process_exec
 * maps    tk_policy (fresh per instance), tk_runs (adopted)
 * sends   nothing
 * fails   open: with an empty tk_policy everything passes, so a gap shows */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/emit.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tk_policy SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} tk_runs SEC(".maps");

static __always_inline bool tk_denies(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&tk_runs, &which);
	__u32 key = 0, *deny = bpf_map_lookup_elem(&tk_policy, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
	return deny && *deny;
}

SEC("tc")
int tk_tc(struct __sk_buff *skb)
{
	(void)skb;
	return tk_denies(0) ? 2 : -1;
}

SEC("cgroup/connect4")
int tk_connect(struct bpf_sock_addr *ctx)
{
	(void)ctx;
	return tk_denies(1) ? 0 : 1;
}

SEC("tp_btf/sched_process_exec")
int tk_exec(void *ctx)
{
	(void)ctx;
	tk_denies(2);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
