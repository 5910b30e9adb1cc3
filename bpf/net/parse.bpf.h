/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One look at each packet: frame -> struct net_pkt. Bytes come by bpf_skb_load_bytes(), which reads
 * non-linear and aggregated skbs alike; nothing is pulled and nothing is written. */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "net/net_abi.h"
#include "net/wire.h"

static __always_inline bool net_is_tag(__u16 type_be)
{
	return type_be == bpf_htons(WIRE_8021Q) || type_be == bpf_htons(WIRE_8021AD) ||
	       type_be == bpf_htons(WIRE_QINQ);
}

static __always_inline bool net_has_ports(__u8 proto)
{
	return proto == WIRE_TCP || proto == WIRE_UDP || proto == WIRE_SCTP || proto == WIRE_DCCP ||
	       proto == WIRE_UDPLITE;
}

static __always_inline void net_add_tag(struct net_pkt *p, __u16 tci)
{
	if (p->n_vlans < 2)
		p->vlan[p->n_vlans & 1] = tci & 0xfff;
	p->n_vlans++;
}

/* Ethernet header and tags: fills ethertype_be and l3_off. A tag in the skb's metadata is outside
 * of the payload and always the outermost. False: the frame ends too early. */
static __always_inline bool net_parse_link(struct __sk_buff *skb, struct net_pkt *p)
{
	__u16 type_be = skb->protocol;
	struct wire_vlan tag;
	__u32 off = 0;

	if (skb->vlan_present)
		net_add_tag(p, skb->vlan_tci);
	if (!(p->if_flags & NET_IF_L3)) {
		if (bpf_skb_load_bytes(skb, 12, &type_be, sizeof(type_be)) < 0)
			return false;
		off = sizeof(struct wire_eth);
	}
#pragma unroll
	for (int i = 0; i < NET_VLANS_MAX; i++) {
		if (!net_is_tag(type_be))
			break;
		if (bpf_skb_load_bytes(skb, off, &tag, sizeof(tag)) < 0)
			return false;
		net_add_tag(p, bpf_ntohs(tag.tci_be));
		type_be = tag.type_be;
		off += sizeof(tag);
	}
	p->ethertype_be = type_be;
	p->l3_off = off;
	return true;
}

/* Ports, flags, type and code; off: of the transport header. */
static __always_inline void net_parse_l4(struct __sk_buff *skb, struct net_pkt *p, __u32 off)
{
	struct wire_tcp tcp;
	__u16 two[2];
	__u8 icmp[2];

	p->l4_off = off;
	p->payload_off = off;
	if (p->flags & (NET_PKT_LATER | NET_PKT_NO_PROTO))
		return;
	if (p->key.proto == WIRE_TCP &&
	    bpf_skb_load_bytes(skb, off, &tcp, sizeof(tcp)) == 0) { /* the common case, one call */
		p->key.sport_be = tcp.sport_be;
		p->key.dport_be = tcp.dport_be;
		p->tcp_flags = tcp.flags;
		p->payload_off = off + (tcp.words >> 4) * 4;
		return;
	}
	if (net_has_ports(p->key.proto)) {
		if (bpf_skb_load_bytes(skb, off, two, sizeof(two)) < 0) {
			p->flags |= NET_PKT_NO_PORTS;
			return;
		}
		p->key.sport_be = two[0];
		p->key.dport_be = two[1];
		p->payload_off = off + (p->key.proto == WIRE_SCTP ? 12 : 8);
	} else if (p->key.proto == WIRE_ICMP || p->key.proto == WIRE_ICMP6) {
		if (bpf_skb_load_bytes(skb, off, icmp, sizeof(icmp)) < 0)
			return;
		p->icmp_type = icmp[0];
		p->icmp_code = icmp[1];
		p->payload_off = off + 8;
	}
}

static __always_inline bool net_parse_ip4(struct __sk_buff *skb, struct net_pkt *p)
{
	struct wire_ip4 ip;
	__u16 frag;

	if (bpf_skb_load_bytes(skb, p->l3_off, &ip, sizeof(ip)) < 0)
		return false;
	if (ip.version_words >> 4 != 4 || (ip.version_words & 15) < 5)
		return false;
	p->key.ip_version = 4;
	p->key.proto = ip.proto;
	p->key.saddr_be[2] = p->key.daddr_be[2] = bpf_htonl(0xffff);
	p->key.saddr_be[3] = ip.saddr_be;
	p->key.daddr_be[3] = ip.daddr_be;
	frag = bpf_ntohs(ip.frag_be);
	if (frag & (WIRE_IP4_OFFSET | WIRE_IP4_MORE))
		p->flags |= NET_PKT_FRAGMENT;
	if (frag & WIRE_IP4_OFFSET)
		p->flags |= NET_PKT_LATER;
	net_parse_l4(skb, p, p->l3_off + (ip.version_words & 15) * 4);
	return true;
}

/* Walk the extension headers. next: kind of the header at off. Returns the offset of what follows
 * them, of kind *next, or marks the packet NET_PKT_NO_PROTO. */
static __always_inline __u32 net_skip_ext(struct __sk_buff *skb, struct net_pkt *p, __u8 *next,
					  __u32 off)
{
	struct wire_ext ext;
	__u16 frag;

	for (int i = 0; i < NET_EXT_MAX; i++) {
		if (*next != WIRE_HOPOPTS && *next != WIRE_ROUTING && *next != WIRE_FRAGMENT &&
		    *next != WIRE_AH && *next != WIRE_DSTOPTS)
			return off;
		if (bpf_skb_load_bytes(skb, off, &ext, sizeof(ext)) < 0)
			break;
		if (*next == WIRE_FRAGMENT) {
			frag = bpf_ntohs(ext.frag_be);
			if (frag & (WIRE_IP6_OFFSET | WIRE_IP6_MORE)) /* else: atomic, RFC 6946 */
				p->flags |= NET_PKT_FRAGMENT;
			*next = ext.next;
			off += 8;
			if (frag & WIRE_IP6_OFFSET) { /* what follows is the middle of something */
				p->flags |= NET_PKT_LATER;
				return off;
			}
			continue;
		}
		off += *next == WIRE_AH ? (ext.len + 2) * 4 : (ext.len + 1) * 8;
		*next = ext.next;
	}
	if (*next == WIRE_HOPOPTS || *next == WIRE_ROUTING || *next == WIRE_FRAGMENT ||
	    *next == WIRE_AH || *next == WIRE_DSTOPTS)
		p->flags |= NET_PKT_NO_PROTO;
	return off;
}

static __always_inline bool net_parse_ip6(struct __sk_buff *skb, struct net_pkt *p)
{
	struct wire_ip6 ip;
	__u32 off;
	__u8 next;

	if (bpf_skb_load_bytes(skb, p->l3_off, &ip, sizeof(ip)) < 0)
		return false;
	if (bpf_ntohl(ip.version_be) >> 28 != 6)
		return false;
	p->key.ip_version = 6;
	__builtin_memcpy(p->key.saddr_be, ip.saddr_be, sizeof(ip.saddr_be));
	__builtin_memcpy(p->key.daddr_be, ip.daddr_be, sizeof(ip.daddr_be));
	next = ip.next;
	off = net_skip_ext(skb, p, &next, p->l3_off + sizeof(ip));
	p->key.proto = next;
	net_parse_l4(skb, p, off);
	return true;
}

/* Fill what the bytes say. False: an IP frame whose headers cannot be read (the stack would drop it
 * as well). A frame that is not IP is no error: ip_version stays 0. */
static __always_inline bool net_parse(struct __sk_buff *skb, struct net_pkt *p)
{
	if (!net_parse_link(skb, p))
		return false;
	if (p->ethertype_be == bpf_htons(WIRE_IPV4))
		return net_parse_ip4(skb, p);
	if (p->ethertype_be == bpf_htons(WIRE_IPV6))
		return net_parse_ip6(skb, p);
	return true;
}
