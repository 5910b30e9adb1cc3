#pragma once
#include "core/module.h"
#include "net/net_abi.h"
#include "services/net/denied.h"
#include "services/net/list.h"
#include "services/net/names.h"

/* The packet hooks and all that packet modules share: bpf/net with its stages, interfaces, canary,
 * attribution, folded denials, names of rules. */
extern const struct kmn_part net_service;

/* Put prog into the slot of a stage. 0; -ENODEV when bpf/net is not loaded; else -errno, logged. */
int net_stage_set(struct kmn_core *core, enum net_stage stage, struct bpf_program *prog);

/* Which interfaces are protected, by glob patterns; pods: those of them that are the host's end of
 * a pod's or container's veth, where directions turn round. Copied. Hooks come and go at once, or
 * when the service attaches. Later calls replace earlier ones. 0, or -ENOMEM. */
#define NET_PATTERNS_MAX 64
int net_set_interfaces(const char *const *names, unsigned n, const char *const *pods,
		       unsigned n_pods);

/* Hear of each protected interface before packets of it are judged, and again when it was renamed;
 * name NULL: it went. Called for those there are at once. fn NULL takes arg's entry out. At most
 * NET_LISTENERS_MAX. 0, or -ENOSPC. */
#define NET_LISTENERS_MAX 8
typedef void net_link_fn(void *arg, uint32_t ifindex, const char *name);
int net_on_link(net_link_fn *fn, void *arg);
/* Call fn once for each interface, protected or not. */
void net_each_link(net_link_fn *fn, void *arg);

/* Can packets be judged, and if not, why (static text, NULL: yes). */
const char *net_trouble(void);
