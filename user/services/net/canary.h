#pragma once
#include "services/net/links.h"

/* Proof that the programs of an interface run and stand where they must: a frame of ours is sent
 * out, the egress program turns it round to the ingress of the same interface, where it ends. It
 * carries a nonce that is written down before, so nobody else's frame proves anything. */
#define NET_CANARY_TIMEOUT_NS 2000000000ULL

/* canaries_fd: the map, borrowed. 0, or -errno, logged. */
int net_canary_start(int canaries_fd);
void net_canary_stop(void);

/* Send it. hook_off() at once when the interface is down; else net_canary_check() tells. */
void net_canary_send(struct net_link *link);
/* Has it been seen? Proves the hooks, or fails them after the timeout. True: still waiting. */
bool net_canary_check(struct net_link *link, uint64_t now_ns);
