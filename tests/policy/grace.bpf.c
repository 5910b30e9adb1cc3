// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program that runs for long, so that a test can wait for its end.
 * hook    none: run by BPF_PROG_TEST_RUN
 * maps    grace_turns: begun and ended runs, seen by user space while it runs
 * fails   not */
#include "kmn_types.h"
#include <bpf/bpf_helpers.h>
#include "grace_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct grace_turns);
} grace_turns SEC(".maps");

#define TURNS 8192 /* of the inner loop, which the verifier walks once */

static char block[512]; /* what bpf_csum_diff() takes at most */

/* A global function: it is verified once, however often it is called. */
__noinline int grace_burn(__u32 seed)
{
	for (int i = 0; i < TURNS; i++)
		seed ^= (__u32)bpf_csum_diff(NULL, 0, (__be32 *)block, sizeof(block), seed);
	return (int)seed;
}

SEC("tc")
int grace_long(struct __sk_buff *skb)
{
	__u32 key = 0, sum = skb->len;
	struct grace_turns *t = bpf_map_lookup_elem(&grace_turns, &key);

	if (!t)
		return 0;
	__sync_fetch_and_add(&t->begun, 1);
	for (__u32 i = 0; i < GRACE_ROUNDS_MAX && i < t->rounds; i++)
		sum += (__u32)grace_burn(i);
	t->sum = sum;
	__sync_fetch_and_add(&t->ended, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
