#pragma once
#include "core/module.h"

/* The program in accept() itself (bpf/net/accept.bpf.c), for servers that never ask for an address.
 * A kernel that refuses it costs those servers' connections the right process and nothing else: its
 * hook says why. The maps of owners must be there. */
/* Why this kernel does not take it; NULL: it does, as far as its types tell. */
const char *net_accept_missing(const struct kernel *k);

void net_accept_start(struct kmn_core *core);
void net_accept_attach(struct kmn_core *core);
/* Accept a connection of our own over loopback and see that it bears our pid. */
void net_accept_canary(struct kmn_core *core);
void net_accept_stop(void);
