#pragma once
#include <linux/if.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/hook.h"
#include "core/loop.h"
#include "net/net_abi.h"

/* The interfaces of this network namespace, followed by rtnetlink as they come and go. */

struct net_link {
	uint32_t ifindex; /* 0: the slot is free */
	char name[IFNAMSIZ];
	uint16_t type; /* ARPHRD_* */
	uint8_t mac[6];
	bool up, seen;	       /* seen: in the dump that runs */
	bool on, pod;	       /* programs hang on it; as the host's end of a pod's veth */
	struct hook *in, *out; /* of the tables of core; NULL: none */
	bool in_on, out_on;    /* the kernel took the program */
	bool doubted;	       /* messages were lost: it may be another one of that index */
	uint64_t again_ns;     /* a hook has failed: hang it again from then on; 0: none has */
	uint64_t wait_ns;      /* and after that try */
	/* the canary under way */
	uint64_t nonce, sent_ns; /* nonce 0: none */
};

enum net_link_change {
	NET_LINK_NEW,
	NET_LINK_UP, /* it was down */
	NET_LINK_DOWN,
	NET_LINK_RENAMED,
	NET_LINK_GONE,
};
typedef void net_link_change_fn(void *arg, struct net_link *link, enum net_link_change what);

/* Open the socket and read the table; fn hears of every interface, now and from the loop on (loop
 * NULL: only when net_links_read() is called). 0, or -errno, logged. */
int net_links_start(struct loop *loop, net_link_change_fn *fn, void *arg);
void net_links_stop(struct loop *loop);
/* Read what rtnetlink has to say: at most a bounded number of messages. */
void net_links_read(void);

/* The interfaces there are: net_links_next(NULL) is the first, then the one behind; NULL: the end.
 */
struct net_link *net_links_next(struct net_link *link);
struct net_link *net_links_find(uint32_t ifindex); /* or NULL */
/* Its name, also for a while after it went; "" when it is not known. */
const char *net_links_name(uint32_t ifindex);
uint64_t net_links_left_out(void); /* interfaces above NET_IFS_MAX */
/* Frames of that ARPHRD type have no Ethernet header. */
bool net_links_is_l3(uint16_t type);

/* Does name match one of the n glob patterns? "lo" only by a pattern that says just that. */
bool net_links_match(const char *name, const char *const *patterns, unsigned n);
