// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* accept: a connection belongs to the process that accepts it, whether or not it asks for an
 * address.
 * hook    fexit: inet_csk_accept, the accept() of TCP; from 5.11 on, where storage of sockets is open
 *         to tracing programs
 * maps    writes net_owners
 * sends   nothing
 * fails   open: without it such a connection is told of as its listener's until it is asked for a
 *         name (owner.bpf.c) */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "net/own.bpf.h"

struct proto_accept_arg___kmn { /* 6.10: it took the place of three arguments */
	int flags;
} __attribute__((preserve_access_index));

static __always_inline int accept_note(struct sock *sk)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct net_owner *o;

	if (!sk || !pid)
		return 0;
	o = bpf_sk_storage_get(&net_owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (o)
		owner_set(o, pid, NET_OWNER_ACCEPTED);
	return 0;
}

/* What it returns stands behind its arguments: (sk, arg), before 6.10 (sk, flags, err, kern). A
 * read at the other place is refused, so each is volatile: none is done before it is known which.
 */
SEC("fexit/inet_csk_accept")
int accept_exit(unsigned long long *ctx)
{
	if (bpf_core_type_exists(struct proto_accept_arg___kmn))
		return accept_note((struct sock *)*(volatile unsigned long long *)&ctx[2]);
	return accept_note((struct sock *)*(volatile unsigned long long *)&ctx[4]);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
