/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include "kmn_abi.h"

/* What bpf/net, its stages and user/services/net share. */

enum net_stage { NET_STAGE_firewall, NET_STAGE_webrep, NET_STAGE_ips, NET_STAGE_END, NET_STAGES };
enum net_verdict { NET_PASS, NET_DROP };
/* Seen from the protected endpoint; it stands in stored events. */
enum net_direction { NET_INCOMING, NET_OUTGOING };

enum net_reason { NET_UNREADABLE = KMN_REASON(KMN_SVC_net, 1) };

/* A fact about an interface, kept by user space: net_ifs, key: ifindex. */
enum net_if_flag {
	NET_IF_L3 = 1,	/* frames have no Ethernet header (tun, ppp, ipip) */
	NET_IF_POD = 2, /* the host's end of a pod's veth: what comes in is the pod's outgoing */
};
struct net_if {
	__u32 zone; /* the endpoint that is protected: 0 = this network namespace */
	__u32 flags;
};
KMN_ABI_SIZE(struct net_if, 8);
#define NET_IFS_MAX 1024

struct net_key {
	__u32 zone;			/* the address space: which network namespace */
	__u32 saddr_be[4], daddr_be[4]; /* IPv4 as ::ffff:a.b.c.d, so it is word 3 */
	__u16 sport_be, dport_be;	/* 0 where the protocol has none */
	__u8 proto, ip_version, pad[2]; /* ip_version 0: not IP, or not readable */
};
KMN_ABI_SIZE(struct net_key, 44);

enum net_pkt_flag {
	NET_PKT_FRAGMENT = 1, /* of an IP packet that was split */
	NET_PKT_LATER = 2,    /* not its first fragment: ports are 0, because they are not in it */
	NET_PKT_NO_PORTS = 4, /* the protocol has ports and the packet ends before them */
	NET_PKT_NO_PROTO = 8, /* more extension headers than NET_EXT_MAX, or cut among them */
	NET_PKT_GSO = 16,     /* several segments in one: len_bytes is their sum */
};

/* The packet in hand, filled by bpf/net, one per CPU. It holds no pointers: out of a map the
 * verifier takes one for a number, and LRU values are recycled. Look the flow up by key. */
struct net_pkt {
	__u64 gen; /* latched at the hook: one packet, one policy */
	__u64 flow_id;
	struct net_key key;
	__u32 len_bytes, rule_id;		   /* whole frame; rule of the verdict, 0 = none */
	__u32 ifindex, flags;			   /* enum net_pkt_flag */
	__u16 l3_off, l4_off, payload_off, reason; /* from the first byte of the frame */
	__u16 ethertype_be;			   /* below the tags */
	__u16 vlan[2];				   /* ids of the outermost two tags; 0 = none */
	__u8 n_vlans, tcp_flags, icmp_type, icmp_code;
	__u8 direction, egress; /* egress: the hook; direction differs on a pod's veth */
	__u8 stage, verdict, fail, if_flags; /* fail: the verdict when a tail call misses */
	__u8 pad[4];
};
KMN_ABI_SIZE(struct net_pkt, 104);

#define NET_VLANS_MAX 4 /* tags looked through; a frame with more is not an IP frame to us */
#define NET_EXT_MAX                                                                                \
	10 /* IPv6 extension headers: RFC 8200 knows 6 kinds, hosts send up to 3; what has more is \
	      marked NET_PKT_NO_PROTO */

/* ---- attribution: socket storage, written by bpf/net/owner.bpf.c and at start by user space ----
 */
enum net_owner_how {
	NET_OWNER_CONNECTED = 1, /* by the process itself: the socket never came from accept() */
	NET_OWNER_HELD = 2,	 /* found in the process' descriptor table at start */
	NET_OWNER_MADE = 4,	 /* which hooks have written it: for their canary */
	NET_OWNER_BOUND = 8,
	NET_OWNER_SENT = 16,
	NET_OWNER_PEER = 32, /* it asked whom it is connected to: accept() does, with an address */
	NET_OWNER_NAME = 64, /* it asked for the local address of a connection */
	NET_OWNER_ACCEPTED =
		128, /* seen in accept() itself, where the kernel lets us stand there */
};
/* A process of its own holds the connection; without one of these bits it may be what accept() made
 * and nobody has touched: then the process is the listener's. */
#define NET_OWNER_SURE                                                            \
	(NET_OWNER_CONNECTED | NET_OWNER_HELD | NET_OWNER_PEER | NET_OWNER_NAME | \
	 NET_OWNER_ACCEPTED)
struct net_owner {
	__u64 start_ns;	 /* boot clock; 0 = the kernel does not let us read it */
	__u64 cgroup_id; /* 0 = unknown */
	__u32 pid;
	__u32 how;
};
KMN_ABI_SIZE(struct net_owner, 24);

enum net_via { NET_VIA_UNKNOWN, NET_VIA_OWNER, NET_VIA_LISTENER };

/* ---- denials ---- */
struct net_fold_key { /* denials alike are counted under one key */
	__u64 gen;
	__u32 epoch;	  /* services/net reads and deletes those of epochs that are over */
	__u32 peer_be[4]; /* the remote end: source of incoming, destination of outgoing packets */
	__u32 zone, rule_id;
	__u32 pid;    /* owner of the socket, of outgoing packets; 0 = unknown or incoming */
	__u16 reason; /* KMN_REASON(module, own enum): no central list */
	__u8 mode, direction;
	__u32 many; /* 1: of many peers, in net_rest: peer_be, zone and pid are 0 */
};
KMN_ABI_SIZE(struct net_fold_key, 48);

struct net_who {
	__u64 start_ns, cgroup_id;
	__u32 pid;
	__u8 via, pad[3]; /* enum net_via */
};
KMN_ABI_SIZE(struct net_who, 24);

/* What an event tells of the first packet of its key. */
struct net_seen {
	struct net_key key;
	__u32 ifindex;
	__u32 len_bytes;
	__u32 flags; /* enum net_pkt_flag */
	__u16 vlan, ethertype_be;
	__u8 tcp_flags, icmp_type, icmp_code, pad;
	struct net_who who;
};
KMN_ABI_SIZE(struct net_seen, 88);

struct net_fold {
	struct bpf_spin_lock lock; /* several CPUs write */
	__u32 told;		   /* packets of these that a record has told of: 0 or 1 */
	struct net_seen first;
	__u64 first_ns, last_ns, packets, bytes;
};
KMN_ABI_SIZE(struct net_fold, 128);

struct net_denied { /* record of kind KMN_EV_DENIED, of the module in head.part */
	struct kmn_event head;
	struct net_fold_key fold;
	struct net_seen first;
};
KMN_ABI_SIZE(struct net_denied, 192);

#define NET_FOLDS_MAX 16384 /* two epochs share it */
/* Denials that find no room there are counted under rule, reason, mode, direction and generation.
 * 1024 rules x 2 directions x 2 epochs x 2 generations: room for every rule of the firewall. */
#define NET_REST_MAX 8192
/* And should even that be full, by part alone: net_lost, index part * 2 + (epoch & 1). */
#define NET_LOST_MAX (KMN_PARTS * 2)

struct net_control { /* the one entry of net_control, written by user space */
	__u32 epoch, pad;
};
KMN_ABI_SIZE(struct net_control, 8);

/* ---- budgets of the records (never of the counting) ---- */
/* GCRA: full_ns is when the bucket will be full of debt; a record costs its share of it.
 * source: ITU-T I.371 annex A */
struct net_bucket {
	struct bpf_spin_lock lock;
	__u32 pad;
	__u64 full_ns;
};
KMN_ABI_SIZE(struct net_bucket, 16);

#define NET_BUCKETS 4096   /* hashed by part, rule and source /24 or /64; a clash shares one */
#define NET_PER_SOURCE_S 2 /* records a second for one of them, and at once: */
#define NET_SOURCE_BURST 8
#define NET_FLOOR_S 256 /* for each part, whatever the others do */
#define NET_FLOOR_BURST 256
#define NET_SHARED_S 1024     /* for all parts together, once a part's floor is spent */
#define NET_SHARED_BURST 1024 /* (256 + 1024) * 200 bytes: a quarter of the ring */
#define NET_SHARED KMN_PARTS  /* index of the shared bucket in net_shares */

/* ---- canary ---- */
#define NET_CANARY_ETHERTYPE 0x88b5	       /* IEEE 802.3: local experiments */
#define NET_CANARY_MAGIC 0x7972616e61636d6bULL /* "kmcanary" as it lies in the frame */
struct net_canary_key {
	__u32 ifindex, egress;
};
KMN_ABI_SIZE(struct net_canary_key, 8);
struct net_canary {
	__u64 nonce;   /* by user space; 0 = none expected */
	__u64 gen;     /* by the program: generation that it saw */
	__u64 seen_ns; /* 0: not yet */
	__u64 count;   /* frames with that nonce */
};
KMN_ABI_SIZE(struct net_canary, 32);
struct net_canary_frame { /* behind the Ethernet header, if there is one */
	__u64 magic, nonce;
};
KMN_ABI_SIZE(struct net_canary_frame, 16);
