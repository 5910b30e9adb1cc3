/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include "kmn_types.h"

/* Headers as they lie on the wire. Not the kernel's structs: those are relocated by CO-RE, and
 * these never move. source: RFC 791, 8200, 4302, 9293, 768, 9260, 792, 4443; IEEE 802.1Q */

#define WIRE_8021Q 0x8100
#define WIRE_8021AD 0x88a8
#define WIRE_QINQ 0x9100 /* before 802.1ad */
#define WIRE_IPV4 0x0800
#define WIRE_IPV6 0x86dd

struct wire_eth {
	__u8 dst[6], src[6];
	__u16 type_be;
};
struct wire_vlan {
	__u16 tci_be, type_be;
};
struct wire_ip4 {
	__u8 version_words, tos;
	__u16 len_be, id_be, frag_be;
	__u8 ttl, proto;
	__u16 sum_be;
	__u32 saddr_be, daddr_be;
};
#define WIRE_IP4_OFFSET 0x1fff
#define WIRE_IP4_MORE 0x2000

struct wire_ip6 {
	__u32 version_be;
	__u16 len_be;
	__u8 next, hops;
	__u32 saddr_be[4], daddr_be[4];
};
struct wire_ext { /* hop-by-hop, routing, destination, AH; fragment: no len */
	__u8 next, len;
	__u16 frag_be; /* of a fragment header: offset in the upper 13 bits, bit 0 more */
	__u8 rest[4];  /* none is shorter than 8 bytes */
};
#define WIRE_IP6_OFFSET 0xfff8
#define WIRE_IP6_MORE 1

struct wire_tcp {
	__u16 sport_be, dport_be;
	__u32 seq_be, ack_be;
	__u8 words, flags;
	__u16 window_be;
};

enum wire_proto {
	WIRE_HOPOPTS = 0,
	WIRE_ICMP = 1,
	WIRE_TCP = 6,
	WIRE_UDP = 17,
	WIRE_DCCP = 33,
	WIRE_ROUTING = 43,
	WIRE_FRAGMENT = 44,
	WIRE_AH = 51,
	WIRE_ICMP6 = 58,
	WIRE_DSTOPTS = 60,
	WIRE_SCTP = 132,
	WIRE_UDPLITE = 136,
};
