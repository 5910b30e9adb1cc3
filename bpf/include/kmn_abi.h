/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include "kmn_types.h" /* __u32 & co. on either side, KMN_ABI_SIZE(), kmn_part_id, kmn_mode */

/* Head of every record. Host byte order; a name ending in _be is in network order. */
struct kmn_event {
	__u64 time_ns;	 /* boot clock (suspend counted), from kmn_now() */
	__u64 start_ns;	 /* when pid started, boot clock: the two name a process for ever */
	__u64 cgroup_id; /* kernfs id in the hierarchy that holds containers; 0 = unknown */
	__u32 pid, tid;	 /* host pid namespace; 0 = unknown, as in packet hooks */
	__u64 gen;	 /* policy generation that judged */
	__u32 size;	 /* bytes, this head included */
	__u32 instance;	 /* the loader that owns the program: two run during a takeover */
	__u8 part, kind; /* enum kmn_part_id; enum kmn_kind, from 16 on the part's own */
	__u16 cpu;
	__u32 pad;
};
KMN_ABI_SIZE(struct kmn_event, 56); /* every struct in *_abi.h has one; holes are errors */

enum kmn_kind { KMN_EV_DENIED = 1, KMN_EV_OWN = 16 };

/* The rings. Findings are drained first and never share a budget with telemetry. */
enum kmn_ring { KMN_FINDINGS, KMN_TELEMETRY, KMN_RINGS };

/* kmn_counts: one __u64 per CPU and index, only ever counted up. Per part and ring, exactly:
 * offered = sent + dropped + throttled, and user space: sent = delivered + refused + in the ring.
 */
enum kmn_count {
	KMN_C_OFFERED,	 /* a program had a record to send */
	KMN_C_SENT,	 /* in the ring */
	KMN_C_DROPPED,	 /* the ring was full */
	KMN_C_THROTTLED, /* the budget was spent */
	KMN_C_RING_WORDS,
	/* index of ring r, word w: r * KMN_C_RING_WORDS + w; from here on single words: */
	KMN_C_OWN = KMN_RINGS * KMN_C_RING_WORDS,
	NET_C_FOLDS_FULL =
		KMN_C_OWN, /* denials counted under the rule alone: no room for the source */
	NET_C_MISSED_TAIL, /* a stage was not there: the fail mode decided */
	NET_C_UNPARSED,	   /* packets whose headers could not be read */
	NET_C_JUDGED,	   /* packets that went through the stages */
	TASK_C_BAD_READ,   /* arguments or a name could not be read */
	TASK_C_PATH_CUT,   /* a path deeper than the walk's bound */
	KMN_COUNTS = 64,
};
