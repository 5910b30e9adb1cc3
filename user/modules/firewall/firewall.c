#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "base/log.h"
#include "firewall/firewall.skel.h"
#include "modules/firewall/firewall.h"
#include "services/net/net.h"

KMN_AUTO_DEFINE(struct firewall_bpf *, firewall_bpf__destroy)

static const struct kmn_event_kind kinds[] = { NET_DENIED_KIND, { .kind = 0 } };

/* An interface came or went: its rules stand in the live half before its first packet is judged. */
static void on_link(void *arg, uint32_t ifindex, const char *name)
{
	struct firewall *fw = arg;

	if (fw->live)
		fw_half_link(fw->live, fw->half[fw->gen & 1].ifs.fd, ifindex, name);
}

static int load(struct firewall *fw)
{
	kmn_auto(firewall_bpf__destroy) struct firewall_bpf *skel = firewall_bpf__open();
	int r;

	if (!skel)
		return kmn_err(-errno, "firewall: open BPF object");
	r = bpfobj_load(fw->core->bpf, skel->skeleton, NULL); /* logged */
	if (!r)
		r = net_stage_set(fw->core, NET_STAGE_firewall, skel->progs.fw_tc);
	if (!r)
		r = net_on_link(on_link, fw);
	if (r < 0)
		return r;
	fw_maps_of(skel, &fw->maps);
	fw->skel = KMN_TAKE(skel);
	return 0;
}

static int firewall_start(struct kmn_core *core, void **self)
{
	struct firewall *fw = calloc(1, sizeof(*fw));

	if (!fw)
		return kmn_err(-ENOMEM, "firewall");
	fw->core = core;
	fw_half_init(&fw->half[0]);
	fw_half_init(&fw->half[1]);
	*self = fw;
	if (net_trouble())
		(void)snprintf(fw->why, sizeof(fw->why), "%s", net_trouble());
	else if (load(fw) < 0)
		(void)snprintf(fw->why, sizeof(fw->why), "this kernel refuses the classifier");
	return 0;
}

static int firewall_stage(void *self, const void *plan, uint64_t gen)
{
	struct firewall *fw = self;

	if (!fw->skel) /* refused: health says so, and the other modules need no less a policy */
		return 0;
	return fw_half_fill(&fw->maps, &fw->half[gen & 1], plan, gen);
}

static int firewall_refresh(void *self, const void *plan, uint64_t gen)
{
	struct firewall *fw = self;

	if (fw->skel)
		fw_half_links(&fw->half[gen & 1], plan);
	return 0;
}

static void firewall_committed(void *self, void *taken, uint64_t gen)
{
	struct firewall *fw = self;
	struct fw_plan *plan = taken, *old = fw->live;

	fw_plan_slim(plan);
	fw->live = plan;
	fw->gen = gen;
	net_names_take(KMN_MOD_firewall, gen, KMN_TAKE(plan->names));
	(void)net_set_interfaces((const char *const *)plan->interfaces, plan->n_interfaces,
				 (const char *const *)plan->pods, plan->n_pods); /* logged */
	if (old)
		fw_plan_free(old);
}

static void firewall_stop(void *self)
{
	struct firewall *fw = self;

	(void)net_on_link(NULL, fw);
	fw_half_close(&fw->half[0]);
	fw_half_close(&fw->half[1]);
	if (fw->live)
		fw_plan_free(fw->live);
	if (fw->skel)
		firewall_bpf__destroy(fw->skel);
	free(fw);
}

static unsigned firewall_probe(const struct kernel *k, struct kmn_ability *out)
{
	out[0] = (struct kmn_ability){ .what = "allow and deny packets by rules, in the kernel",
				       .can = k->has[KERNEL_BPF] };
	if (!out[0].can)
		(void)snprintf(out[0].why, sizeof(out[0].why), "%s", k->why[KERNEL_BPF]);
	return 1;
}

/* The hooks are the service's: what they lack, the rules lack. */
static void firewall_health(void *self, struct kmn_health *h)
{
	struct firewall *fw = self;
	const struct hook *worst = NULL;

	if (!fw->skel) {
		h->level = KMN_INACTIVE;
		(void)snprintf(h->why, sizeof(h->why), "%s", fw->why);
	} else if (fw->live && fw->live->t.head.n_rules &&
		   !hook_part_proven(fw->core->hooks, KMN_SVC_net, &worst)) {
		h->level = KMN_DEGRADED;
		(void)snprintf(h->why, sizeof(h->why), "hook %.60s: %.120s",
			       worst ? worst->name : "tc",
			       worst && worst->why[0] ? worst->why : "not proven");
	}
}

static void firewall_status(void *self, struct json *j)
{
	static const char *const names[FW_ADDRS] = { "source_ipv4", "source_ipv6",
						     "destination_ipv4", "destination_ipv6" };
	struct firewall *fw = self;
	const struct fw_tables *t = fw->live ? &fw->live->t : NULL;

	if (!t)
		return;
	json_u64(j, "rules", fw->live->n_specs);
	json_u64(j, "rules_in_force", t->head.n_rules);
	json_u64(j, "rules_max", FW_RULES_MAX);
	json_u64(j, "sets", t->n_sets);
	json_object(j, "prefixes");
	for (int dim = 0; dim < FW_ADDRS; dim++)
		json_u64(j, names[dim], t->n_prefixes[dim]);
	json_end(j);
	json_u64(j, "map_bytes_of_one_half", fw_plan_bytes(fw->live));
}

/* What is kept of the plan in force, and the peak of a reload is above it by its lists. */
static uint64_t firewall_memory(void *self)
{
	struct firewall *fw = self;
	uint64_t sum = sizeof(*fw);

	if (fw->live)
		sum += fw->live->n_specs * (sizeof(*fw->live->specs) + FW_NAME_MAX) +
		       fw->live->t.head.n_rules * sizeof(struct fw_rule);
	return sum;
}

const struct kmn_module firewall_module = {
	.part = {
		.name = "firewall",
		.summary = "allow and deny packets by address, protocol, port and direction",
		.id = KMN_MOD_firewall,
		.kinds = kinds,
		.start = firewall_start,
		.stop = firewall_stop,
		.probe = firewall_probe,
		.health = firewall_health,
		.status = firewall_status,
		.memory_max = firewall_memory,
		.selftest = fw_selftest,
	},
	.schema = fw_schema,
	.compile = fw_compile,
	.stage = firewall_stage,
	.refresh = firewall_refresh,
	.committed = firewall_committed,
	.plan_free = fw_plan_free,
	.plan_bytes = fw_plan_bytes,
	.cuts = fw_cuts,
	.explain = fw_explain,
};
