#pragma once

/* Return when every BPF program that was running at the call has ended, so that what only those
 * could still read may be written. Programs that sleep are not waited for: they read no policy map.
 *
 * How: an update of a map of maps returns only after synchronize_rcu() (kernel/bpf/syscall.c,
 * maybe_wait_bpf_programs(), since 4.20, for exactly this use), and all programs that cannot sleep
 * run as RCU readers, tail calls included; since 4.20 that covers sections with preemption or soft
 * interrupts disabled too. So one update of a small map of our own is the wait. Where bpf(2) is
 * refused, membarrier(MEMBARRIER_CMD_GLOBAL) does the same on more than one CPU without nohz_full
 * (kernel/sched/membarrier.c). 0, or -errno when there is no way: the caller must not go on. */
int grace_wait(void);
