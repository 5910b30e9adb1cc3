// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* owner: write onto each socket of IPv4 and IPv6 which process it belongs to.
 * hook    cgroup2 root: sock_create, connect4/6, sendmsg4/6, post_bind4/6, getpeername4/6,
 *         getsockname4/6. accept() with an address asks for the peer's name in the process that
 *         accepts: that is where a connection gets its owner on every kernel (see accept.bpf.c)
 * maps    writes net_owners, read by the packet programs when they report a denial
 * sends   nothing
 * fails   open: every program returns 1 (go on); without it denials name no process */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "net/own.bpf.h"

#define OWNER_GO_ON 1
#define OWNER_TCP_ESTABLISHED 1
#define OWNER_TCP_CLOSE_WAIT 8

static __always_inline int owner_note(struct bpf_sock *sk, __u32 how)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct net_owner *o;

	if (!sk || !pid) /* a socket of the kernel's own */
		return OWNER_GO_ON;
	o = bpf_sk_storage_get(&net_owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (o)
		owner_set(o, pid, how);
	return OWNER_GO_ON;
}

SEC("cgroup/sock_create")
int owner_create(struct bpf_sock *sk)
{
	return owner_note(sk, NET_OWNER_MADE);
}

SEC("cgroup/post_bind4")
int owner_bind4(struct bpf_sock *sk)
{
	return owner_note(sk, NET_OWNER_BOUND);
}

SEC("cgroup/post_bind6")
int owner_bind6(struct bpf_sock *sk)
{
	return owner_note(sk, NET_OWNER_BOUND);
}

SEC("cgroup/connect4")
int owner_connect4(struct bpf_sock_addr *addr)
{
	return owner_note(addr->sk, NET_OWNER_CONNECTED);
}

SEC("cgroup/connect6")
int owner_connect6(struct bpf_sock_addr *addr)
{
	return owner_note(addr->sk, NET_OWNER_CONNECTED);
}

SEC("cgroup/sendmsg4")
int owner_sendmsg4(struct bpf_sock_addr *addr)
{
	return owner_note(addr->sk, NET_OWNER_SENT);
}

SEC("cgroup/sendmsg6")
int owner_sendmsg6(struct bpf_sock_addr *addr)
{
	return owner_note(addr->sk, NET_OWNER_SENT);
}

/* Only of what is connected: the kernel has refused the rest. */
SEC("cgroup/getpeername4")
int owner_peer4(struct bpf_sock_addr *addr)
{
	return owner_note(addr->sk, NET_OWNER_PEER);
}

SEC("cgroup/getpeername6")
int owner_peer6(struct bpf_sock_addr *addr)
{
	return owner_note(addr->sk, NET_OWNER_PEER);
}

/* A server asks its listening socket for its port, and accept() copies what stands on that. */
static __always_inline int owner_note_name(struct bpf_sock *sk)
{
	if (sk && sk->state != OWNER_TCP_ESTABLISHED && sk->state != OWNER_TCP_CLOSE_WAIT)
		return OWNER_GO_ON;
	return owner_note(sk, NET_OWNER_NAME);
}

SEC("cgroup/getsockname4")
int owner_name4(struct bpf_sock_addr *addr)
{
	return owner_note_name(addr->sk);
}

SEC("cgroup/getsockname6")
int owner_name6(struct bpf_sock_addr *addr)
{
	return owner_note_name(addr->sk);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
