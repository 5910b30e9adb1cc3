// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* other (test): a second module's stage, which denies UDP to port 7777 (prevent) and 7778 (detect).
 * hook    stage of bpf/net
 * maps    other_seen: packets that came to it
 * sends   KMN_EV_DENIED as part 2
 * fails   as net_next() */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "net/stage.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} other_seen SEC(".maps");

SEC("tc")
int other_stage(struct __sk_buff *skb)
{
	struct net_pkt *p = net_pkt();
	__u32 key = 0;
	__u64 *seen = bpf_map_lookup_elem(&other_seen, &key);

	if (!p || !seen)
		return TC_ACT_UNSPEC;
	__sync_fetch_and_add(seen, 1);
	if (p->key.dport_be != bpf_htons(7777) && p->key.dport_be != bpf_htons(7778))
		return net_next(skb, p);
	return net_deny(skb, p, 3, KMN_REASON(2, 1),
			p->key.dport_be == bpf_htons(7777) ? KMN_PREVENT : KMN_DETECT);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
