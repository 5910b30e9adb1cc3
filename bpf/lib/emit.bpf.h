/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records: reserve, fill, submit. Every record offered is sent, dropped (ring full) or throttled
 * (budget spent), and counted once as offered and once as what became of it. */
#pragma once
#include "lib/state.bpf.h"

#define KMN_RB_NO_WAKEUP \
	1 /* BPF_RB_NO_WAKEUP: user space drains by timer; a wake-up costs 300 ns */
#define KMN_RB_FORCE_WAKEUP 2 /* BPF_RB_FORCE_WAKEUP */

const volatile __u32 kmn_instance; /* set by the loader before load */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} kmn_findings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} kmn_telemetry SEC(".maps");

static __always_inline void kmn_ring_count(enum kmn_ring ring, __u32 word)
{
	kmn_count(ring * KMN_C_RING_WORDS + word);
}

/* The budget said no: account for the record that is not sent. */
static __always_inline void kmn_throttled(enum kmn_ring ring)
{
	kmn_ring_count(ring, KMN_C_OFFERED);
	kmn_ring_count(ring, KMN_C_THROTTLED);
}

/* A record of a constant size whose first zeroed bytes are zero, its head filled (pid, start_ns and
 * cgroup_id are the caller's); NULL and counted when the ring is full. What lies behind zeroed is
 * old ring memory: only for text whose length a field tells. ring: a constant, so one branch
 * remains. */
static __always_inline void *kmn_reserve_head(enum kmn_ring ring, __u8 part, __u8 kind, __u64 gen,
					      __u32 size, __u32 zeroed)
{
	struct kmn_event *ev;

	kmn_ring_count(ring, KMN_C_OFFERED);
	if (ring == KMN_FINDINGS)
		ev = bpf_ringbuf_reserve(&kmn_findings, size, 0);
	else
		ev = bpf_ringbuf_reserve(&kmn_telemetry, size, 0);
	if (!ev) {
		kmn_ring_count(ring, KMN_C_DROPPED);
		return NULL;
	}
	__builtin_memset(ev, 0, zeroed);
	ev->time_ns = kmn_now();
	ev->gen = gen;
	ev->size = size;
	ev->instance = kmn_instance;
	ev->part = part;
	ev->kind = kind;
	ev->cpu = bpf_get_smp_processor_id();
	return ev;
}

/* The same, zeroed as a whole: at most 1 KiB, above which clang wants a loop. */
static __always_inline void *kmn_reserve(enum kmn_ring ring, __u8 part, __u8 kind, __u64 gen,
					 __u32 size)
{
	return kmn_reserve_head(ring, part, kind, gen, size, size);
}

static __always_inline void kmn_submit(enum kmn_ring ring, void *ev)
{
	bpf_ringbuf_submit(ev, KMN_RB_NO_WAKEUP);
	kmn_ring_count(ring, KMN_C_SENT);
}

/* The same; with now = 1 user space reads it at once: for what is rare and cannot wait for the
 * timer. A number and not a branch, so that the verifier has one state. */
static __always_inline void kmn_submit_now(enum kmn_ring ring, void *ev, __u32 now)
{
	_Static_assert(KMN_RB_NO_WAKEUP + 1 == KMN_RB_FORCE_WAKEUP, "now is added");
	bpf_ringbuf_submit(ev, KMN_RB_NO_WAKEUP + (now & 1));
	kmn_ring_count(ring, KMN_C_SENT);
}
