#pragma once
#include "core/module.h"

/* Whose socket is it? Cgroup programs write the process onto each socket; what was open before the
 * start is taken in from /proc. A kernel that refuses this costs the process names in denials and
 * nothing else. */
struct net_owners_stats {
	uint32_t taken_in, left_out; /* sockets found at start; above the bounds of the walk */
	bool loaded, works;	     /* works: proven by the canary */
	char why[160];		     /* of not loaded */
};

/* Load bpf/net/owner. Never fails: what the kernel refuses is in the hooks and the stats. */
void net_owners_start(struct kmn_core *core);
void net_owners_attach(struct kmn_core *core);
/* Create a socket and see that it bears our pid. */
void net_owners_canary(struct kmn_core *core);
void net_owners_stop(void);
const struct net_owners_stats *net_owners_stats(void);

/* Write the holder onto every socket of IPv4 and IPv6 that bears no name yet. Bounded in sockets
 * and in time. kernel: where cgroups are. */
void net_owners_take_in(int owners_fd, const struct kernel *kernel, struct net_owners_stats *s);
