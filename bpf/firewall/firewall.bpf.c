// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* firewall: allow and deny by address, protocol, port, direction and interface; stateless.
 * hook    stage of bpf/net
 * maps    reads fw_*: two halves each, live is gen & 1, filled by user/modules/firewall; but
 *         fw_ifs, whose live half follows the interfaces
 * sends   KMN_EV_DENIED, by net_deny()
 * fails   open: without a policy everything passes; a missed tail call takes p->fail */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "net/stage.bpf.h"
#include "firewall/firewall_abi.h"

/* Inner maps: sizes, not __type(), because clang drops the type of an inner map's value. The real
 * ones fit the policy; BPF_F_INNER_MAP lets arrays differ in size (5.10). */
#define FW_HALF(name, kind, flags, key, value)     \
	struct name {                              \
		__uint(type, BPF_MAP_TYPE_##kind); \
		__uint(map_flags, flags);          \
		__uint(max_entries, 1);            \
		__uint(key_size, sizeof(key));     \
		__uint(value_size, sizeof(value)); \
	}
FW_HALF(fw_head_half, ARRAY, BPF_F_INNER_MAP, __u32, struct fw_head);
FW_HALF(fw_sets_half, ARRAY, BPF_F_INNER_MAP, __u32, struct fw_set);
FW_HALF(fw_rules_half, ARRAY, BPF_F_INNER_MAP, __u32, struct fw_rule);
FW_HALF(fw_ports_half, ARRAY, BPF_F_INNER_MAP, __u32, struct fw_ports);
FW_HALF(fw_ifs_half, HASH, 0, __u32, struct fw_set);
FW_HALF(fw_addr4_half, LPM_TRIE, BPF_F_NO_PREALLOC, struct fw_key4, __u32);
FW_HALF(fw_addr6_half, LPM_TRIE, BPF_F_NO_PREALLOC, struct fw_key6, __u32);

#define FW_HALVES(name, half)                             \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); \
		__uint(max_entries, 2);                   \
		__type(key, __u32);                       \
		__array(values, struct half);             \
	} name SEC(".maps")
FW_HALVES(fw_head, fw_head_half);
FW_HALVES(fw_sets, fw_sets_half);
FW_HALVES(fw_rules, fw_rules_half);
FW_HALVES(fw_ports, fw_ports_half);
FW_HALVES(fw_ifs, fw_ifs_half);
FW_HALVES(fw_src4, fw_addr4_half);
FW_HALVES(fw_src6, fw_addr6_half);
FW_HALVES(fw_dst4, fw_addr4_half);
FW_HALVES(fw_dst6, fw_addr6_half);

/* Number of the lowest bit that is set; w is not 0. BPF has no instruction for it.
 * source: Leiserson, Prokop, Randall 1998, de Bruijn sequences */
#define FW_DE_BRUIJN 0x022fdd63cc95386dULL
static const __u8 fw_bit_of[64] = {
	0,  1,	2,  53, 3,  7,	54, 27, 4,  38, 41, 8,	34, 55, 48, 28, 62, 5,	39, 46, 44, 42,
	22, 9,	24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
	23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
};

static __always_inline __u32 fw_lowest(__u64 w)
{
	return fw_bit_of[((w & -w) * FW_DE_BRUIJN) >> 58];
}

static __always_inline __u32 fw_set_of4(void *trie, __u32 addr_be, __u32 base)
{
	struct fw_key4 key = { .bits = 32, .addr_be = addr_be };
	__u32 *set = trie ? bpf_map_lookup_elem(trie, &key) : NULL;

	return set ? *set : base;
}

static __always_inline __u32 fw_set_of6(void *trie, const __u32 *addr_be, __u32 base)
{
	struct fw_key6 key = { .bits = 128 };
	__u32 *set;

	__builtin_memcpy(key.addr_be, addr_be, sizeof(key.addr_be));
	set = trie ? bpf_map_lookup_elem(trie, &key) : NULL;
	return set ? *set : base;
}

/* Sets of source and destination. */
static __always_inline void fw_addr_sets(const struct net_pkt *p, const struct fw_head *head,
					 __u32 half, __u32 *src, __u32 *dst)
{
	if (p->key.ip_version == 4) {
		*src = head->base[FW_SRC4];
		*dst = head->base[FW_DST4];
		if (head->has & 1 << FW_SRC4)
			*src = fw_set_of4(bpf_map_lookup_elem(&fw_src4, &half), p->key.saddr_be[3],
					  *src);
		if (head->has & 1 << FW_DST4)
			*dst = fw_set_of4(bpf_map_lookup_elem(&fw_dst4, &half), p->key.daddr_be[3],
					  *dst);
		return;
	}
	*src = head->base[FW_SRC6];
	*dst = head->base[FW_DST6];
	if (head->has & 1 << FW_SRC6)
		*src = fw_set_of6(bpf_map_lookup_elem(&fw_src6, &half), p->key.saddr_be, *src);
	if (head->has & 1 << FW_DST6)
		*dst = fw_set_of6(bpf_map_lookup_elem(&fw_dst6, &half), p->key.daddr_be, *dst);
}

static __always_inline __u32 fw_port_set(void *ports, __u32 first_cell, __u16 port_be)
{
	__u16 port = bpf_ntohs(port_be);
	__u32 cell = first_cell + port / FW_PORTS_EACH;
	struct fw_ports *at = bpf_map_lookup_elem(ports, &cell);

	return at ? at->set[port % FW_PORTS_EACH] : FW_SET_ALL;
}

/* Sets of the ports. A protocol without ports takes all: rules with ports are not in its set. */
static __always_inline void fw_port_sets(const struct net_pkt *p, const struct fw_head *head,
					 __u32 half, __u32 *sport, __u32 *dport)
{
	void *ports;

	*sport = *dport = FW_SET_ALL;
	if (!(head->has & (FW_HAS_SPORT | FW_HAS_DPORT)))
		return;
	if (p->flags & (NET_PKT_LATER | NET_PKT_NO_PORTS | NET_PKT_NO_PROTO)) {
		*sport = p->flags & NET_PKT_LATER ? FW_SET_LATER : FW_SET_NO_PORTS;
		return;
	}
	ports = bpf_map_lookup_elem(&fw_ports, &half);
	if (!ports)
		return;
	if (head->has & FW_HAS_SPORT)
		*sport = fw_port_set(ports, 0, p->key.sport_be);
	if (head->has & FW_HAS_DPORT)
		*dport = fw_port_set(ports, FW_PORT_CELLS, p->key.dport_be);
}

static __always_inline const struct fw_set *
fw_if_set(const struct net_pkt *p, const struct fw_head *head, __u32 half, void *sets)
{
	__u32 key = p->ifindex * 2 + p->direction, set = FW_SET_INCOMING + p->direction;
	const struct fw_set *own = NULL;
	void *ifs;

	if (head->has & FW_HAS_IFS) {
		ifs = bpf_map_lookup_elem(&fw_ifs, &half);
		if (ifs)
			own = bpf_map_lookup_elem(ifs, &key);
	}
	return own ? own : bpf_map_lookup_elem(sets, &set);
}

/* Two answers in one walk: would, the first rule of all that match, which is what prevent would
 * obey; and obey, the first of those whose mode is prevent. FW_NONE: there is none. */
#define FW_NONE 0xffffffff
struct fw_first {
	__u32 would, obey;
};

static __always_inline struct fw_first fw_walk(const struct fw_set *a, const struct fw_set *b,
					       const struct fw_set *c, const struct fw_set *d,
					       const struct fw_set *e, const struct fw_set *f,
					       const struct fw_set *prevent)
{
	__u64 words = a->words & b->words & c->words & d->words & e->words & f->words, w;
	struct fw_first first = { FW_NONE, FW_NONE };

	for (__u32 i = 0; i < FW_WORDS; i++) {
		if (!(words >> i & 1))
			continue;
		w = a->word[i] & b->word[i] & c->word[i] & d->word[i] & e->word[i] & f->word[i];
		if (w && first.would == FW_NONE)
			first.would = i * 64 + fw_lowest(w);
		w &= prevent->word[i];
		if (w) {
			first.obey = i * 64 + fw_lowest(w);
			break;
		}
	}
	return first;
}

/* The rule that denies the packet, or NULL. In detect when nothing in prevent denies it. */
static __always_inline struct fw_rule *fw_judge(const struct net_pkt *p)
{
	__u32 half = p->gen & 1, zero = 0, src, dst, sport, dport, proto, prevent = FW_SET_PREVENT;
	void *heads = bpf_map_lookup_elem(&fw_head, &half);
	void *sets = bpf_map_lookup_elem(&fw_sets, &half);
	void *rules = bpf_map_lookup_elem(&fw_rules, &half);
	const struct fw_set *a, *b, *c, *d, *e, *f, *g;
	const struct fw_head *head;
	struct fw_first first;
	struct fw_rule *rule;

	if (!heads || !sets || !rules) /* no policy yet is not an error */
		return NULL;
	head = bpf_map_lookup_elem(heads, &zero);
	if (!head || !head->n_rules)
		return NULL;
	fw_addr_sets(p, head, half, &src, &dst);
	fw_port_sets(p, head, half, &sport, &dport);
	proto = p->flags & NET_PKT_NO_PROTO ? FW_SET_NO_PROTO : head->proto[p->key.proto];
	a = bpf_map_lookup_elem(sets, &src);
	b = bpf_map_lookup_elem(sets, &dst);
	c = bpf_map_lookup_elem(sets, &sport);
	d = bpf_map_lookup_elem(sets, &dport);
	e = bpf_map_lookup_elem(sets, &proto);
	f = fw_if_set(p, head, half, sets);
	g = bpf_map_lookup_elem(sets, &prevent);
	if (!a || !b || !c || !d || !e || !f || !g)
		return NULL;
	first = fw_walk(a, b, c, d, e, f, g);
	rule = bpf_map_lookup_elem(rules, &first.obey); /* FW_NONE is in no map */
	if (rule && rule->action == FW_DENY)
		return rule;
	if (first.would == first.obey)
		return NULL;
	rule = bpf_map_lookup_elem(rules, &first.would);
	return rule && rule->action == FW_DENY ? rule : NULL;
}

SEC("tc")
int fw_tc(struct __sk_buff *skb)
{
	struct net_pkt *p = net_pkt();
	struct fw_rule *rule;

	if (!p) /* cannot be; the verifier asks */
		return TC_ACT_UNSPEC;
	rule = p->key.ip_version ? fw_judge(p) : NULL;
	return rule ? net_deny(skb, p, rule->id, FW_DENIED, rule->mode) : net_next(skb, p);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
