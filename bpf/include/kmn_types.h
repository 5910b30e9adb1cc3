/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Types and words that both sides share. */
#ifdef __bpf__
#include "vmlinux.h"
#ifndef NULL
#define NULL ((void *)0)
#endif
#else
#include <linux/bpf.h>
#include <linux/types.h>
#endif

/* The meaning of the records and maps. A sensor takes over maps only from a folder of its own
 * number; it raises it when a record or a map changes its meaning but not its size. */
#ifndef KMN_ABI
#define KMN_ABI 1
#endif

#define KMN_ABI_SIZE(type, n) _Static_assert(sizeof(type) == (n), "size of " #type)
#define KMN_REASON(part, n) ((part) << 8 | (n))

/* Who speaks, in every record and event. 0: the sensor itself; 1-127: modules; 128-191: services.
 */
enum kmn_part_id {
	KMN_PART_sensor = 0,
#define KMN_MODULE(id, name) KMN_MOD_##name = id,
#include "modules.def"
#undef KMN_MODULE
#define KMN_SERVICE(id, name) KMN_SVC_##name = id,
#include "services.def"
#undef KMN_SERVICE
	KMN_PARTS = 192,
};

enum kmn_mode { KMN_OFF, KMN_DETECT, KMN_PREVENT };

/* The one entry of kmn_state, mapped by user space: the commit is one store to gen. */
struct kmn_state {
	__u64 gen;	 /* policy generation in force; live half of every policy map: gen & 1 */
	__u64 replay_ns; /* not 0: the time of a replay */
	__u32 fail;	 /* enum net_verdict of a missed tail call */
	__u32 sensor_pid;
	__u64 heartbeat_ns; /* boot clock, by the sensor each second: stale means it is gone */
};
KMN_ABI_SIZE(struct kmn_state, 32);

/* One file for ever: the real inode, so an overlay file and its layer are the same file, made by
 * BPF from kernel objects and never by stat(). */
struct kmn_file_id {
	__u64 ino;
	__u32 dev; /* s_dev of the superblock of the real inode, kernel encoding (major << 20) */
	__u32 gen; /* i_generation: an inode number is used again, with another generation */
};
KMN_ABI_SIZE(struct kmn_file_id, 16);

/* What else is known of a file; the numbers stand in records. */
enum kmn_file_flag {
	KMN_FILE_MEMFD = 1,   /* memfd_create(), also with MFD_HUGETLB */
	KMN_FILE_DELETED = 2, /* no link is left, or the name it was opened by is gone */
	KMN_FILE_UPPER = 4,   /* in the upper layer of an overlay */
	KMN_FILE_OVERLAY = 8, /* opened through an overlay */
	KMN_FILE_UNRESOLVED =
		16 /* the identity is the overlay's own: its layer could not be read */
};

/* How a walk from a file up to the root ended (lib/path.bpf.h). */
enum kmn_walk_end {
	KMN_WALK_ROOT,	   /* at the root of the mount namespace: the path is whole */
	KMN_WALK_DETACHED, /* at a file system that hangs nowhere: a memfd, a lazy umount */
	KMN_WALK_CUT,	   /* out of steps or of room: the names nearest to the root are missing */
	KMN_WALK_NONE,	   /* nothing may be read here */
};

/* Where a walk stands, inside of a record (lib/path.bpf.h). Only end counts once it is sent. */
struct kmn_walk {
	__u64 dentry, root, mnt; /* addresses; 0 when sent */
	__u32 moved;		 /* a step was made */
	__u32 end;		 /* enum kmn_walk_end */
};
KMN_ABI_SIZE(struct kmn_walk, 32);
