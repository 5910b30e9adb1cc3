/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Denials: counted one by one under folded keys, told by record once per key and within a budget.
 * The sum over net_folds, net_rest and net_lost is the number of packets denied, exactly. */
#pragma once
#include <bpf/bpf_endian.h>
#include "net/owner.bpf.h"
#include "net/wire.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_FOLDS_MAX);
	__type(key, struct net_fold_key);
	__type(value, struct net_fold);
} net_folds SEC(".maps");

struct { /* many sources: what found no room in net_folds */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_REST_MAX);
	__type(key, struct net_fold_key);
	__type(value, struct net_fold);
} net_rest SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NET_LOST_MAX);
	__type(key, __u32);
	__type(value, __u64);
} net_lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct net_control);
} net_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NET_BUCKETS);
	__type(key, __u32);
	__type(value, struct net_bucket);
} net_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NET_SHARED + 1);
	__type(key, __u32);
	__type(value, struct net_bucket);
} net_shares SEC(".maps");

#define NET_S 1000000000ULL

/* Take one record's worth; each: ns that one costs; window: ns of burst. */
static __always_inline bool net_take(struct net_bucket *b, __u64 now, __u64 each, __u64 window)
{
	__u64 from = now > window ? now - window : 0;
	bool ok;

	bpf_spin_lock(&b->lock);
	/* The clock of a replay runs elsewhere: a bucket from the future is a new one. */
	if (b->full_ns > from && b->full_ns < now + NET_S)
		from = b->full_ns;
	ok = from + each <= now;
	if (ok)
		b->full_ns = from + each;
	bpf_spin_unlock(&b->lock);
	return ok;
}

static __always_inline __u32 net_mix(__u32 h, __u32 v)
{
	h = (h ^ v) * 0x9e3779b1; /* 2^32 / golden ratio */
	return h ^ h >> 15;
}

/* May one more record of this key be sent? First the share of its source, then the part's own
 * floor, then what all parts have together. */
static __always_inline bool net_budget(const struct net_fold_key *key, __u8 ip_version, __u64 now)
{
	__u32 part = key->reason >> 8, shared = NET_SHARED, h, slot;
	struct net_bucket *b;

	h = net_mix(part << 24 ^ key->rule_id, key->direction);
	if (ip_version == 4) {
		h = net_mix(h, key->peer_be[3] & bpf_htonl(0xffffff00));
	} else {
		h = net_mix(h, key->peer_be[0]);
		h = net_mix(h, key->peer_be[1]);
	}
	slot = h % NET_BUCKETS;
	b = bpf_map_lookup_elem(&net_sources, &slot);
	if (!b || !net_take(b, now, NET_S / NET_PER_SOURCE_S,
			    NET_SOURCE_BURST * (NET_S / NET_PER_SOURCE_S)))
		return false;
	b = bpf_map_lookup_elem(&net_shares, &part);
	if (b && net_take(b, now, NET_S / NET_FLOOR_S, NET_FLOOR_BURST * (NET_S / NET_FLOOR_S)))
		return true;
	b = bpf_map_lookup_elem(&net_shares, &shared);
	return b &&
	       net_take(b, now, NET_S / NET_SHARED_S, NET_SHARED_BURST * (NET_S / NET_SHARED_S));
}

/* What the storage of a socket says. Without it, or on a socket that accept() may have made, the
 * process is the one that opened the listening socket. */
static __always_inline void net_who_of(struct net_who *who, struct bpf_sock *sk, __u8 proto)
{
	struct net_owner *o = bpf_sk_storage_get(&net_owners, sk, NULL, 0);

	if (!o)
		return;
	who->pid = o->pid;
	who->start_ns = o->start_ns;
	who->cgroup_id = o->cgroup_id;
	who->via =
		proto == WIRE_TCP && !(o->how & NET_OWNER_SURE) ? NET_VIA_LISTENER : NET_VIA_OWNER;
}

/* Outgoing: the socket comes with the packet. On a pod's veth it has been taken off. */
static __always_inline void net_who_sends(struct __sk_buff *skb, struct net_pkt *p,
					  struct net_who *who)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk); /* not the stub of a half-open or a closing connection */
	if (sk)
		net_who_of(who, sk, p->key.proto);
}

/* Incoming: there is no socket yet, so look for the one that would get the packet. */
static __always_inline void net_who_gets(struct __sk_buff *skb, struct net_pkt *p,
					 struct net_who *who)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 size;

	if (p->flags & (NET_PKT_LATER | NET_PKT_NO_PORTS | NET_PKT_NO_PROTO))
		return;
	if (p->key.ip_version == 4) {
		tuple.ipv4.saddr = p->key.saddr_be[3];
		tuple.ipv4.daddr = p->key.daddr_be[3];
		tuple.ipv4.sport = p->key.sport_be;
		tuple.ipv4.dport = p->key.dport_be;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, p->key.saddr_be, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, p->key.daddr_be, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = p->key.sport_be;
		tuple.ipv6.dport = p->key.dport_be;
		size = sizeof(tuple.ipv6);
	}
	if (p->key.proto == WIRE_TCP)
		sk = bpf_sk_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else if (p->key.proto == WIRE_UDP)
		sk = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		return;
	if (!sk)
		return;
	net_who_of(who, sk, p->key.proto);
	bpf_sk_release(sk);
}

static __always_inline void net_see(struct net_seen *seen, struct net_pkt *p)
{
	seen->key = p->key;
	seen->ifindex = p->ifindex;
	seen->len_bytes = p->len_bytes;
	seen->flags = p->flags;
	seen->vlan = p->vlan[0];
	seen->ethertype_be = p->ethertype_be;
	seen->tcp_flags = p->tcp_flags;
	seen->icmp_type = p->icmp_type;
	seen->icmp_code = p->icmp_code;
}

/* Did the record go? Then the fold says so, and its event leaves that packet out. */
static __always_inline __u32 net_send_denied(struct net_pkt *p, const struct net_fold_key *key,
					     const struct net_seen *first, __u64 now)
{
	struct net_denied *ev;

	if (!net_budget(key, p->key.ip_version, now)) {
		kmn_throttled(KMN_FINDINGS);
		return 0;
	}
	ev = kmn_reserve(KMN_FINDINGS, key->reason >> 8, KMN_EV_DENIED, p->gen, sizeof(*ev));
	if (!ev) /* ring full: counted there */
		return 0;
	ev->head.pid = first->who.pid;
	ev->head.start_ns = first->who.start_ns;
	ev->head.cgroup_id = first->who.cgroup_id;
	ev->fold = *key;
	ev->first = *first;
	kmn_submit(KMN_FINDINGS, ev);
	return 1;
}

static __always_inline void net_fold_add(struct net_fold *fold, __u32 len, __u32 told, __u64 now)
{
	bpf_spin_lock(&fold->lock);
	fold->last_ns = now;
	fold->packets++;
	fold->bytes += len;
	fold->told += told;
	bpf_spin_unlock(&fold->lock);
}

/* No room for the source: count under the rule, or in the very last resort under the part. */
static __always_inline void net_fold_rest(struct net_pkt *p, struct net_fold_key *key,
					  struct net_fold *fresh)
{
	__u32 lost = (key->reason >> 8) * 2 + (key->epoch & 1);
	struct net_fold *fold;
	__u64 *n;

	kmn_count(NET_C_FOLDS_FULL);
	__builtin_memset(key->peer_be, 0, sizeof(key->peer_be));
	key->pid = 0;
	key->zone = 0;
	key->many = 1;
	fold = bpf_map_lookup_elem(&net_rest, key);
	if (!fold) {
		(void)bpf_map_update_elem(&net_rest, key, fresh, BPF_NOEXIST); /* or another did */
		fold = bpf_map_lookup_elem(&net_rest, key);
	}
	if (fold) {
		net_fold_add(fold, p->len_bytes, 0, fresh->first_ns);
		return;
	}
	n = bpf_map_lookup_elem(&net_lost, &lost);
	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Count a denial. The first packet of a key in an epoch also sends a record, budget permitting; of
 * the rest services/net tells: once a second it ends the epoch and turns the folds of the one
 * before into events. */
static __always_inline void net_report(struct __sk_buff *skb, struct net_pkt *p, __u32 rule_id,
				       __u16 reason, __u8 mode)
{
	struct net_fold_key key = { .gen = p->gen,
				    .zone = p->key.zone,
				    .rule_id = rule_id,
				    .reason = reason,
				    .mode = mode,
				    .direction = p->direction };
	struct net_fold fresh = {};
	struct net_control *c;
	struct net_fold *fold;
	__u32 zero = 0, told = 0;
	bool in = p->direction == NET_INCOMING;

	c = bpf_map_lookup_elem(&net_control, &zero);
	if (c)
		key.epoch = c->epoch;
	__builtin_memcpy(key.peer_be, in ? p->key.saddr_be : p->key.daddr_be, sizeof(key.peer_be));
	if (p->egress && !(p->if_flags & NET_IF_POD))
		net_who_sends(skb, p, &fresh.first.who);
	if (!in)
		key.pid = fresh.first.who.pid;
	fresh.first_ns = kmn_now();
	fold = bpf_map_lookup_elem(&net_folds, &key);
	if (!fold) { /* first of its key: one CPU wins */
		net_see(&fresh.first, p);
		if (!p->egress && !(p->if_flags & NET_IF_POD))
			net_who_gets(skb, p, &fresh.first.who);
		if (!bpf_map_update_elem(&net_folds, &key, &fresh, BPF_NOEXIST))
			told = net_send_denied(p, &key, &fresh.first, fresh.first_ns);
		fold = bpf_map_lookup_elem(&net_folds, &key);
	}
	if (fold)
		net_fold_add(fold, p->len_bytes, told, fresh.first_ns);
	else
		net_fold_rest(p, &key, &fresh);
}
