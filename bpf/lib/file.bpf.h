/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Identity of a file, made from kernel objects: the real inode, with overlayfs resolved. */
#pragma once
#include "lib/task.bpf.h"

#define KMN_OVERLAYFS_MAGIC 0x794c7630
#define KMN_TMPFS_MAGIC 0x01021994
#define KMN_HUGETLBFS_MAGIC 0x958458f6
#define KMN_MNT_INTERNAL 0x4000
#define KMN_STACK_MAX 2 /* FILESYSTEM_MAX_STACK_DEPTH: an overlay on an overlay, no deeper */

struct file___ref { /* 6.13: the same release put private_data of overlayfs into struct ovl_file */
	int f_ref;
} __attribute__((preserve_access_index));

struct ovl_file___kmn { /* where the module's types are known */
	struct file *realfile;
} __attribute__((preserve_access_index));

/* Flags that need nothing but typed pointers. */
static __always_inline __u32 kmn_file_flags(struct file *f)
{
	struct inode *inode = f->f_inode;
	struct dentry *dentry = f->f_path.dentry;
	unsigned long magic = inode->i_sb->s_magic;
	bool gone = !inode->i_nlink;

	if (gone && (f->f_path.mnt->mnt_flags & KMN_MNT_INTERNAL) &&
	    (magic == KMN_TMPFS_MAGIC || magic == KMN_HUGETLBFS_MAGIC))
		return KMN_FILE_MEMFD;
	if (gone || (!dentry->d_hash.pprev && dentry->d_parent != dentry))
		return KMN_FILE_DELETED;
	return 0;
}

/* The file below an overlay's file; NULL when it cannot be read. */
static __always_inline struct file *kmn_ovl_real(struct file *f)
{
	struct file___ref *since_6_13 = NULL;
	void *real = BPF_CORE_READ(f, private_data);

	if ((bpf_core_field_exists(since_6_13->f_ref) ||
	     bpf_core_type_exists(struct ovl_file___kmn)) &&
	    bpf_probe_read_kernel(&real, sizeof(real), real))
		return NULL;
	return real;
}

/* Does the overlay's inode have real as its copy in the upper layer? struct ovl_inode, whose types
 * a module keeps to itself, has __upperdentry right behind vfs_inode. */
static __always_inline bool kmn_ovl_upper(struct inode *ovl, struct inode *real)
{
	struct dentry *upper = NULL;

	if (bpf_probe_read_kernel(&upper, sizeof(upper),
				  (void *)ovl + bpf_core_type_size(struct inode)) ||
	    !upper)
		return false;
	return BPF_CORE_READ(upper, d_inode) == real;
}

/* Identity of f, a typed pointer, into id; returns enum kmn_file_flag bits. */
static __always_inline __u32 kmn_file_identify(struct file *f, struct kmn_file_id *id)
{
	__u32 flags = kmn_file_flags(f);
	struct inode *inode = f->f_inode, *below;
	struct file *real = f;

	id->ino = inode->i_ino;
	id->gen = inode->i_generation;
	id->dev = inode->i_sb->s_dev;
	if (inode->i_sb->s_magic != KMN_OVERLAYFS_MAGIC)
		return flags;
	flags |= KMN_FILE_OVERLAY | KMN_FILE_UNRESOLVED;
	if (!kmn_probe_read)
		return flags;
	for (int i = 0; i < KMN_STACK_MAX; i++) {
		real = kmn_ovl_real(real);
		below = real ? BPF_CORE_READ(real, f_inode) : NULL;
		if (!below)
			return flags;
		if (!i && kmn_ovl_upper(inode, below)) /* of the overlay that the process sees */
			flags |= KMN_FILE_UPPER;
		if (BPF_CORE_READ(below, i_sb, s_magic) == KMN_OVERLAYFS_MAGIC) {
			inode = below;
			continue;
		}
		id->ino = BPF_CORE_READ(below, i_ino);
		id->gen = BPF_CORE_READ(below, i_generation);
		id->dev = BPF_CORE_READ(below, i_sb, s_dev);
		return flags & ~KMN_FILE_UNRESOLVED;
	}
	return flags;
}
