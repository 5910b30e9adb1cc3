#pragma once
#include <stdint.h>

/* A TCP connection that is open now and that a listener of this network namespace accepted: what a
 * policy may end that whoever puts it in force had better know of. Addresses in network order, IPv4
 * as ::ffff:a.b.c.d; ports in host order. */
struct kmn_connection {
	uint8_t peer[16], local[16];
	uint16_t peer_port, local_port;
	char interface[16]; /* that has the local address; "": not known */
};

#define CONNECTIONS_MAX 64 /* that are looked at ... */
#define CONNECTIONS_PER_PORT \
	8 /* ... of one local port, so that a busy one does not hide the others */

/* Fill out (CONNECTIONS_MAX of room) from proc_net, normally "/proc/thread-self/net"; one for each
 * peer address and local port, none over loopback. How many; 0 also where it cannot be read.
 * source: kernel Documentation/networking/proc_net_tcp.rst */
unsigned connections_read(const char *proc_net, struct kmn_connection *out);
