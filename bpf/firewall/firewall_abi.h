/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include "kmn_abi.h"

/* The classifier: bit vectors. A bit is a rule, bit 0 the one that is asked first. Each dimension
 * of a packet (source, destination, ports, protocol, interface and direction) leads to the number
 * of a set, the set is the bitmap of the rules that this dimension does not exclude; the AND of
 * them are the rules that match, its lowest bit the one that decides. source: Lakshman and
 * Stiliadis, SIGCOMM 1998 */

#define FW_RULES_MAX 1024
#define FW_WORDS (FW_RULES_MAX / 64)
#define FW_SETS_MAX 65536 /* their numbers are 16 bits wide in the port table: 8.5 MiB at most */

enum fw_reason { FW_DENIED = KMN_REASON(KMN_MOD_firewall, 1) };
enum fw_action { FW_DENY, FW_ALLOW };

struct fw_set {
	__u64 words; /* bit i: word[i] is not 0 */
	__u64 word[FW_WORDS];
};
KMN_ABI_SIZE(struct fw_set, 136);

/* The first sets of every half. */
enum fw_fixed_set {
	FW_SET_ALL,
	FW_SET_INCOMING, /* rules of that direction that name no interface; index 1 + direction */
	FW_SET_OUTGOING,
	FW_SET_PREVENT,	 /* rules whose effective mode is prevent */
	FW_SET_LATER,	 /* ports of a later fragment: rules without ports, and allows */
	FW_SET_NO_PORTS, /* ports cut off: rules without ports, and denies */
	FW_SET_NO_PROTO, /* protocol not reached: rules without protocol, and denies */
	FW_SETS_FIXED,
};

struct fw_rule {     /* by bit */
	__u32 id;    /* place in the policy, from 1 */
	__u8 action; /* enum fw_action */
	__u8 mode;   /* enum kmn_mode, effective */
	__u8 priority;
	__u8 pad;
};
KMN_ABI_SIZE(struct fw_rule, 8);

/* Address dimensions: number of base, of the map, and of the bit in has. */
enum fw_addr { FW_SRC4, FW_SRC6, FW_DST4, FW_DST6, FW_ADDRS };
enum fw_has { FW_HAS_SPORT = 1 << FW_ADDRS, FW_HAS_DPORT = 32, FW_HAS_IFS = 64 };

struct fw_head {	      /* one of each half */
	__u32 n_rules;	      /* 0: everything passes */
	__u32 has;	      /* a dimension that no rule uses is not looked up */
	__u32 base[FW_ADDRS]; /* set of an address that no prefix covers */
	__u16 proto[256];
};
KMN_ABI_SIZE(struct fw_head, 536);

struct fw_key4 { /* LPM trie: bits, then the address */
	__u32 bits, addr_be;
};
KMN_ABI_SIZE(struct fw_key4, 8);
struct fw_key6 {
	__u32 bits, addr_be[4];
};
KMN_ABI_SIZE(struct fw_key6, 20);

/* Index of a port: (destination ? FW_PORT_CELLS : 0) + port / 4; in it port % 4. */
#define FW_PORTS_EACH 4
#define FW_PORT_CELLS (65536 / FW_PORTS_EACH)
struct fw_ports {
	__u16 set[FW_PORTS_EACH];
};
KMN_ABI_SIZE(struct fw_ports, 8);

/* fw_ifs: key ifindex * 2 + direction, value struct fw_set; no entry: the rules that name no
 * interface. */
