#pragma once
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "firewall/firewall.skel.h"
#include "harness/frame.h"
#include "modules/firewall/half.h"
#include "net/net.skel.h"
#include "services/net/denied.h"
#include "services/net/folds.h"
#include "services/net/net_self.h"

/* bpf/net and the firewall's stage, loaded for one test without pins, hooks or a sensor. Packets go
 * through by BPF_PROG_TEST_RUN on lo of this network namespace. Functions assert what they need. */
struct t_net {
	struct net_bpf *net;
	struct firewall_bpf *fw;
	struct kmn_state *state; /* mapped */
	struct fw_maps maps;
	struct fw_half half[2];
	struct net_folds folds;
	struct ring_buffer *ring;
	uint64_t records; /* of KMN_EV_DENIED that t_records() has read */
	struct net_denied last;
};

/* Says why and exits 77 where BPF cannot be used. */
void t_need_bpf(void);

/* Into a network namespace of our own, with lo up. */
void t_own_netns(void);

struct t_net *t_net_open(void);
void t_net_close(struct t_net *t);
/* An object that is open and not loaded gets the maps of bpf/net, by name: one more stage. */
void t_share(struct t_net *t, struct bpf_object *obj);

/* Build, stage and (t_commit) put in force. */
void t_stage(struct t_net *t, const struct fw_spec *specs, uint32_t n, uint64_t gen);
void t_commit(struct t_net *t, uint64_t gen);

/* Run one packet: TC_ACT_UNSPEC, TC_ACT_SHOT ... */
int t_in(struct t_net *t, const struct t_frame *f);
int t_out(struct t_net *t, const struct t_frame *f);
int t_run(const struct bpf_program *prog, const struct t_frame *f);

/* The context that the last packet of this CPU left. The caller is bound to one CPU. */
struct net_pkt t_pkt(struct t_net *t);
void t_bind_cpu(unsigned cpu);

uint64_t t_count(struct t_net *t, uint32_t what); /* enum kmn_count */
/* Records of denials since the last call. */
uint64_t t_records(struct t_net *t);
/* All folds, ended and flushed: the sum of their packets, those that records told of included. */
uint64_t t_folded(struct t_net *t, net_fold_fn *fn, void *arg);
/* Let every program that runs now come to its end. */
void t_grace(void);
