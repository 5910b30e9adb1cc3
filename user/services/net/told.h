#pragma once
#include <stdint.h>
#include "core/module.h"
#include "services/net/folds.h"

/* Folded denials -> events, once a second. A flood of sources must not become a flood of events:
 * above NET_TOLD_EACH keys of one flush, the others come together as one event of many addresses
 * for each rule. The sum of the counts stays exact. */
#define NET_TOLD_EACH 512
#define NET_TOLD_RULES 2048 /* different rules in one flush */

struct net_told {
	struct event_sink *events;
	struct net_folds folds;
	uint64_t packets;      /* told of, ever */
	uint64_t merged;       /* of them as part of many addresses because of NET_TOLD_EACH */
	uint64_t lost_packets; /* of them only by module */
	uint32_t keys;	       /* folds at the last flush */
	uint64_t flush_ns;     /* it took */
	/* one flush */
	uint32_t each, n_rules;
	struct net_told_rule {
		struct net_fold_key key; /* many is 1 */
		uint64_t packets, bytes, first_ns, last_ns;
	} rule[NET_TOLD_RULES];
};

/* folds: its descriptors and cpus are set. 0, or -errno, logged. */
int net_told_init(struct net_told *t);
void net_told_free(struct net_told *t);
/* Read the folds of the epoch before, emit, end the epoch. A second between two calls. */
void net_told_flush(struct net_told *t);
