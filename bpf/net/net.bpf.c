// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* net: parse each packet once, then run the stages by tail call.
 * hook    tc ingress and egress of every interface that the policy names, first position
 * maps    reads net_ifs (facts), kmn_state; net_tc_stages: a slot per stage, of an absent module
 *         net_off; net_canaries
 * sends   KMN_EV_DENIED on behalf of the stages (report.bpf.h)
 * fails   a missed tail call and an IP frame that cannot be read are counted and take
 *         kmn_state.fail; frames that are not IP pass through the stages like any other */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "net/stage.bpf.h"
#include "net/parse.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_IFS_MAX);
	__type(key, __u32);
	__type(value, struct net_if);
} net_ifs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_IFS_MAX * 2);
	__type(key, struct net_canary_key);
	__type(value, struct net_canary);
} net_canaries SEC(".maps");

/* A frame of ours on its way round? Only with the nonce that the sensor wrote down for this hook;
 * any other frame of that ethertype is an ordinary one. It is counted, and never leaves the host
 * nor reaches the stack: egress turns it round to the ingress of the same interface, which ends it.
 */
static __always_inline bool net_is_canary(struct __sk_buff *skb, struct net_pkt *p)
{
	struct net_canary_key key = { .ifindex = p->ifindex, .egress = p->egress };
	struct net_canary_frame frame;
	struct net_canary *c;

	if (p->n_vlans || bpf_skb_load_bytes(skb, p->l3_off, &frame, sizeof(frame)) < 0)
		return false;
	if (frame.magic != NET_CANARY_MAGIC || !frame.nonce)
		return false;
	c = bpf_map_lookup_elem(&net_canaries, &key);
	if (!c || c->nonce != frame.nonce)
		return false;
	c->gen = p->gen;
	c->count++; /* one frame per canary: no second writer */
	c->seen_ns = kmn_now();
	return true;
}

static __always_inline int net_enter(struct __sk_buff *skb, __u8 egress)
{
	struct kmn_state *s = kmn_state_get();
	struct net_pkt *p = net_pkt();
	__u32 ifindex = skb->ifindex;
	struct net_if *fact;

	if (!p || !s) /* cannot be; the verifier asks */
		return TC_ACT_UNSPEC;
	__builtin_memset(p, 0, sizeof(*p));
	p->gen = *(volatile __u64 *)&s->gen;
	p->fail = s->fail;
	p->ifindex = ifindex;
	p->len_bytes = skb->len;
	p->egress = egress;
	fact = bpf_map_lookup_elem(&net_ifs, &ifindex);
	if (fact) {
		p->key.zone = fact->zone;
		p->if_flags = fact->flags;
	}
	p->direction = p->if_flags & NET_IF_POD ? !egress : egress;
	if (skb->gso_segs > 1)
		p->flags |= NET_PKT_GSO;
	if (!net_parse(skb, p)) {
		kmn_count(NET_C_UNPARSED);
		return p->fail == NET_DROP ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	}
	if (p->ethertype_be == bpf_htons(NET_CANARY_ETHERTYPE) && net_is_canary(skb, p))
		return egress ? bpf_redirect(ifindex, BPF_F_INGRESS) : TC_ACT_SHOT;
	kmn_count(NET_C_JUDGED);
	return net_run(skb, p);
}

SEC("tc")
int net_ingress(struct __sk_buff *skb)
{
	return net_enter(skb, 0);
}

SEC("tc")
int net_egress(struct __sk_buff *skb)
{
	return net_enter(skb, 1);
}

/* The stage of an absent module. */
SEC("tc")
int net_off(struct __sk_buff *skb)
{
	struct net_pkt *p = net_pkt();

	return p ? net_next(skb, p) : TC_ACT_UNSPEC;
}

/* Behind the last stage. */
SEC("tc")
int net_end(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
