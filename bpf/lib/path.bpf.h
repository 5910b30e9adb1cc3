/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Full path of an open file or directory by our own walk over dentries and mounts, since
 * bpf_d_path is refused in most programs of 5.10. The path is the one from the root of the mount
 * namespace. Names are read by bpf_probe_read_kernel, so without kmn_probe_read there is none. */
#pragma once
#include "lib/task.bpf.h"

#define KMN_NAME_MAX 256 /* a name and its NUL */

/* Keep v at or below mask, one less than a power of two, where the verifier sees it: clang proves
 * the same bound from an earlier test and would drop a plain "&". */
#define KMN_BOUND(v, mask) asm volatile("%0 &= %1" : "+r"(v) : "i"(mask))

/* What one step needs of a dentry and of a mount. They lie side by side in every kernel so far, and
 * are read at once: each read costs some 25 ns. Where they do not, one by one. */
struct kmn_dentry {
	struct dentry *parent;
	__u64 hash_and_len;
	const unsigned char *name;
};

struct kmn_mount {
	struct mount *parent;
	struct dentry *mountpoint;
};

static __always_inline struct kmn_dentry kmn_read_dentry(struct dentry *d)
{
	struct kmn_dentry r = {};

	if (bpf_core_field_offset(struct dentry, d_name.name) ==
	    bpf_core_field_offset(struct dentry, d_parent) + 16) {
		bpf_probe_read_kernel(&r, sizeof(r), __builtin_preserve_access_index(&d->d_parent));
	} else {
		r.parent = BPF_CORE_READ(d, d_parent);
		r.name = BPF_CORE_READ(d, d_name.name);
	}
	return r;
}

static __always_inline struct kmn_mount kmn_read_mount(struct mount *m)
{
	struct kmn_mount r = {};

	if (bpf_core_field_offset(struct mount, mnt_mountpoint) ==
	    bpf_core_field_offset(struct mount, mnt_parent) + 8) {
		bpf_probe_read_kernel(&r, sizeof(r),
				      __builtin_preserve_access_index(&m->mnt_parent));
	} else {
		r.parent = BPF_CORE_READ(m, mnt_parent);
		r.mountpoint = BPF_CORE_READ(m, mnt_mountpoint);
	}
	return r;
}

/* One name behind the others; false when there is no room or nothing to read. */
static __always_inline bool kmn_walk_name(char *out, volatile __u16 *end, __u64 limit,
					  const unsigned char *name)
{
	__u64 off = *end;
	long n;

	if (off >= limit)
		return false;
	KMN_BOUND(off, limit - 1);
	n = bpf_probe_read_kernel_str(out + off, KMN_NAME_MAX, name);
	if (n <= 0)
		return false;
	*end = off + n;
	return true;
}

/* One step up. True: there is another one. */
static __always_inline bool kmn_walk_step(volatile struct kmn_walk *at, char *out,
					  volatile __u16 *end, __u64 limit)
{
	struct dentry *dentry = (void *)at->dentry;
	struct mount *parent;
	struct kmn_dentry d;
	struct kmn_mount m;

	if (at->dentry == at->root) {
		m = kmn_read_mount((void *)at->mnt);
		parent = m.parent;
		if (at->mnt == (__u64)parent) {
			at->end = KMN_WALK_ROOT;
			return false;
		}
		at->dentry = (__u64)m.mountpoint;
		at->mnt = (__u64)parent;
		at->root = (__u64)BPF_CORE_READ(parent, mnt.mnt_root);
		at->moved = 1;
		return true;
	}
	d = kmn_read_dentry(dentry);
	at->dentry = (__u64)d.parent;
	if (d.parent == dentry) { /* an ancestor was moved out of the mount; or a memfd ... */
		if (!at->moved)	  /* ... and its like: one name, no tree */
			(void)kmn_walk_name(out, end, limit, d.name);
		at->end = KMN_WALK_DETACHED;
		return false;
	}
	at->moved = 1;
	return kmn_walk_name(out, end, limit, d.name);
}

/* Write the names of the path from the leaf to the root at out + *end, each with its NUL; *end
 * moves on; at->end says how it ended. limit: a constant power of two; out has room for limit +
 * KMN_NAME_MAX bytes. steps: a constant. at and end lie in the record, where the verifier forgets
 * what was written: in registers or on the stack every way through the steps so far would be a
 * state of its own. The addresses of the kernel are gone from it afterwards. */
static __always_inline void kmn_walk_names(volatile struct kmn_walk *at, char *out,
					   volatile __u16 *end, __u64 limit, __u32 steps,
					   struct vfsmount *vfs, struct dentry *dentry)
{
	at->end = KMN_WALK_NONE;
	if (!kmn_probe_read)
		return;
	at->end = KMN_WALK_CUT;
	at->moved = 0;
	at->dentry = (__u64)dentry;
	at->root = (__u64)vfs->mnt_root;
	at->mnt = (__u64)vfs;
	at->mnt -= bpf_core_field_offset(struct mount, mnt);
	for (__u32 i = 0; i < steps && kmn_walk_step(at, out, end, limit); i++)
		;
	at->dentry = at->mnt = at->root = 0;
}
