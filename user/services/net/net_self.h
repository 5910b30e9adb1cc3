#pragma once
#include <sys/types.h>
#include "core/module.h"
#include "services/net/told.h"

/* The service from the inside: net.c, place.c, net_status.c and the tests' harness. */
struct net_bpf;

struct net_self {
	struct kmn_core *core;
	struct net_bpf *skel; /* NULL: this kernel refuses it, why says how */
	char why[160];
	ino_t netns;   /* the inode of the network namespace: 0 without /proc */
	bool attached; /* hooks may hang */
	bool canaries; /* the first one was asked for: new interfaces get theirs at once */
	int look_timer;
	uint64_t flushed_ns;
	uint64_t hung_again; /* times that hooks of an interface were hung once more */
	struct net_told told;
};

struct net_self *net_self(void); /* NULL: not running */

/* stages.c: put a program into a slot; each stage without a module only goes on. 0, or -errno,
 * logged. */
int net_stage_put(struct net_bpf *skel, uint32_t stage, const struct bpf_program *prog);
int net_stages_fill(struct net_bpf *skel);
/* Descriptors of the maps of denials. */
void net_folds_of(const struct net_bpf *skel, struct net_folds *f);
unsigned net_patterns(void); /* of interfaces, that modules have asked for */
struct net_link;
void net_tell_listeners(uint32_t ifindex, const char *name); /* name NULL: it went */
void net_canaries_send(struct net_link *only);		     /* NULL: all that programs hang on */

/* net_status.c */
unsigned net_probe(const struct kernel *k, struct kmn_ability *out);
void net_health(void *self, struct kmn_health *h);
void net_status(void *self, struct json *j);
void net_metrics(void *self, struct kmn_metrics *m);
uint64_t net_memory_max(void *self);
