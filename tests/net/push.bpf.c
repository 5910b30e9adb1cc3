// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* push (test): put a tag into the metadata of the packet, where a network card puts it, and run the
 * program under test: a test run cannot set it from outside.
 * hook    BPF_PROG_TEST_RUN only
 * maps    push_next: slot 0 the program under test
 * sends   nothing
 * fails   returns 99 when the program under test is missing */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} push_next SEC(".maps");

SEC("tc")
int push_tag(struct __sk_buff *skb)
{
	if (bpf_skb_vlan_push(skb, bpf_htons(0x8100), 77) < 0)
		return 98;
	bpf_tail_call(skb, &push_next, 0);
	return 99;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
