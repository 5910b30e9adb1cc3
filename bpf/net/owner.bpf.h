/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who owns a socket: storage on the socket itself, so it ends with it and needs no collection. */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "net/net_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE); /* what accept() makes inherits it */
	__type(key, int);
	__type(value, struct net_owner);
} net_owners SEC(".maps");
