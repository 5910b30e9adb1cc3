#pragma once
#include <stddef.h>
#include <stdint.h>
#include "net/net_abi.h"

/* Reading the folded denials of bpf/net without losing one and without reading one twice.
 *
 * Each fold carries the epoch in which it began. A flush ends the epoch; the next flush, at least a
 * grace period later, reads and deletes the folds of the epoch that was ended: no program can hold
 * a pointer to them any more, so nothing is counted between the reading and the deleting. */
#define NET_FOLDS_BATCH 512

struct net_folds {
	int folds_fd, rest_fd, lost_fd, control_fd; /* borrowed */
	unsigned cpus;				    /* possible CPUs */
	uint32_t epoch;				    /* the one in force */
	uint64_t *lost;				    /* per CPU, scratch */
	struct net_fold_key key[NET_FOLDS_BATCH];
	struct net_fold fold[NET_FOLDS_BATCH];
};

/* packets: of this key and not told of by a record yet; may be 0. key->rule_id 0 and fold NULL:
 * packets of that part (key->reason >> 8) for which even the last table had no room. */
typedef void net_fold_fn(void *arg, const struct net_fold_key *key, const struct net_fold *fold,
			 uint64_t packets);

/* Takes over the epoch that the map holds. 0, or -errno, logged. */
int net_folds_init(struct net_folds *f);
void net_folds_free(struct net_folds *f);

/* Tell of all folds of epochs that are over, delete them, end the epoch in force. At least a grace
 * period (RCU; a second is plenty) must lie between two calls. 0, or -errno, logged: what was told
 * of is deleted, the rest comes with the next call. */
int net_folds_flush(struct net_folds *f, net_fold_fn *fn, void *arg);
