/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The door of bpf/net for packet stages: net_pkt(), net_next(), net_deny(). */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/emit.bpf.h"
#include "net/net_abi.h"

#define TC_ACT_UNSPEC (-1) /* pass: other tc programs still run */
#define TC_ACT_SHOT 2
#define TC_ACT_REDIRECT 7

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct net_pkt);
} net_pkts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, NET_STAGES);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} net_tc_stages SEC(".maps");

static __always_inline struct net_pkt *net_pkt(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&net_pkts, &key);
}

/* Only a missed tail call comes back from it. */
static __always_inline int net_run(struct __sk_buff *skb, struct net_pkt *p)
{
	bpf_tail_call(skb, &net_tc_stages, p->stage);
	kmn_count(NET_C_MISSED_TAIL);
	return p->fail == NET_DROP ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* Hand the packet on to the next stage. */
static __always_inline int net_next(struct __sk_buff *skb, struct net_pkt *p)
{
	p->stage++;
	return net_run(skb, p);
}

#include "net/report.bpf.h"

/* A rule denies the packet: report it, then drop it in prevent mode or hand it on. One call in a
 * stage, please: it is all inline. */
static __always_inline int net_deny(struct __sk_buff *skb, struct net_pkt *p, __u32 rule_id,
				    __u16 reason, __u8 mode)
{
	net_report(skb, p, rule_id, reason, mode);
	if (mode != KMN_PREVENT)
		return net_next(skb, p);
	p->verdict = NET_DROP;
	p->rule_id = rule_id;
	p->reason = reason;
	return TC_ACT_SHOT;
}
