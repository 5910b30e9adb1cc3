// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* flood: sends records of every kind, good and bad, on demand.
 * hook    none: run by BPF_PROG_TEST_RUN
 * maps    kmn_findings, kmn_telemetry, kmn_counts, kmn_state of lib/
 * sends   struct flood_record
 * fails   a record that finds no room is counted */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/emit.bpf.h"
#include "flood_abi.h"

static __always_inline void send(enum kmn_ring ring, __u8 kind, __u64 *args)
{
	struct flood_record *r = kmn_reserve(ring, KMN_MOD_firewall, kind, 0, sizeof(*r));

	if (!r)
		return;
	r->number = args[0];
	r->head.pid = args[2];
	r->head.start_ns = args[3];
	if (args[1] == FLOOD_WRONG_SIZE)
		r->head.size++;
	else if (args[1] == FLOOD_WRONG_PART)
		r->head.part = 77;
	kmn_submit(ring, r);
}

SEC("raw_tp/flood")
int flood(__u64 *args)
{
	void *room;

	switch (args[1]) {
	case FLOOD_TELEMETRY:
	case FLOOD_WRONG_SIZE:
	case FLOOD_WRONG_PART:
		send(KMN_TELEMETRY, FLOOD_GOOD, args);
		break;
	case FLOOD_FINDING:
		send(KMN_FINDINGS, FLOOD_GOOD, args);
		break;
	case FLOOD_THROTTLE:
		kmn_throttled(KMN_TELEMETRY);
		break;
	case FLOOD_DISCARD:
		room = bpf_ringbuf_reserve(&kmn_telemetry, 256, 0);
		if (room)
			bpf_ringbuf_discard(room, KMN_RB_NO_WAKEUP);
		break;
	case FLOOD_WRONG_KIND:
		send(KMN_TELEMETRY, FLOOD_NO_KIND, args);
		break;
	case FLOOD_KIND_SIZE:
		send(KMN_TELEMETRY, FLOOD_SHORT, args);
		break;
	case FLOOD_BAD_VALUE:
		send(KMN_TELEMETRY, FLOOD_UNSOUND, args);
		break;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
