#include <bpf/bpf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/metrics.h"
#include "net/net.skel.h"
#include "services/net/accept.h"
#include "services/net/links.h"
#include "services/net/names.h"
#include "services/net/net_self.h"
#include "services/net/owners.h"

static void ability(struct kmn_ability *a, const char *what, bool can, const char *why)
{
	a->what = what;
	a->can = can;
	(void)snprintf(a->why, sizeof(a->why), "%s", can ? "" : why);
}

unsigned net_probe(const struct kernel *k, struct kmn_ability *out)
{
	bool bpf = k->has[KERNEL_BPF] && k->has[KERNEL_RINGBUF];
	bool cgroup = k->has[KERNEL_CGROUP_LINK] && k->has[KERNEL_SK_STORAGE];
	const char *no_accept = net_accept_missing(k);

	ability(&out[0], "verdicts on packets, in the kernel", bpf,
		k->has[KERNEL_BPF] ? k->why[KERNEL_RINGBUF] : k->why[KERNEL_BPF]);
	ability(&out[1], "first place among other tc programs", k->has[KERNEL_TCX],
		"the kernel has no tcx (6.6 has): a clsact filter of priority 1 is used, and "
		"another program can take that place");
	ability(&out[2], "process of a denied packet", cgroup && k->cgroup2_root[0],
		!k->cgroup2_root[0]	      ? "no cgroup2 is mounted: mount one"
		: !k->has[KERNEL_CGROUP_LINK] ? k->why[KERNEL_CGROUP_LINK]
					      : k->why[KERNEL_SK_STORAGE]);
	ability(&out[3], "start time of that process", k->has[KERNEL_PROBE_READ],
		k->why[KERNEL_PROBE_READ]);
	ability(&out[4], "process that accepted a connection and never asked from whom", !no_accept,
		no_accept);
	return 5;
}

static uint64_t counter(struct net_self *s, uint32_t what)
{
	unsigned cpus = s->told.folds.cpus;
	uint64_t *cell = calloc(cpus, sizeof(*cell)), sum = 0;

	if (cell && bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.kmn_counts), &what, cell) == 0)
		for (unsigned i = 0; i < cpus; i++)
			sum += cell[i];
	free(cell);
	return sum;
}

void net_health(void *arg, struct kmn_health *h)
{
	const struct net_owners_stats *owners = net_owners_stats();
	struct net_self *s = arg;
	unsigned on = 0;

	for (const struct net_link *l = NULL; (l = net_links_next((struct net_link *)l));)
		on += l->on;
	if (!s->skel) {
		h->level = KMN_INACTIVE;
		(void)snprintf(h->why, sizeof(h->why), "%s", s->why);
	} else if (s->attached && net_patterns() && !on) {
		h->level = KMN_DEGRADED;
		(void)snprintf(h->why, sizeof(h->why),
			       "no interface matches modules.firewall.interfaces");
	} else if (net_links_left_out()) {
		h->level = KMN_DEGRADED;
		(void)snprintf(h->why, sizeof(h->why),
			       "%" PRIu64 " interfaces above the %d that can be protected",
			       net_links_left_out(), NET_IFS_MAX);
	} else if (s->canaries && !owners->works) {
		h->level = KMN_DEGRADED;
		(void)snprintf(h->why, sizeof(h->why), "%s",
			       owners->why[0] ? owners->why
					      : "the cgroup hooks that name processes do not run: "
						"denials name no process");
	}
}

static const char *state_of(const struct hook *h)
{
	static const char *const names[] = { "off", "attached", "proven", "failed" };

	return h ? names[h->state] : "off";
}

#define STATUS_INTERFACES 256

static void put_interfaces(struct json *j)
{
	unsigned on = 0, all = 0;

	json_array(j, "interfaces");
	for (struct net_link *l = NULL; (l = net_links_next(l));) {
		all++;
		if (!l->on || on++ >= STATUS_INTERFACES)
			continue;
		json_object(j, NULL);
		json_str(j, "name", l->name);
		json_u64(j, "index", l->ifindex);
		json_bool(j, "up", l->up);
		json_bool(j, "pod", l->pod);
		json_str(j, "ingress", state_of(l->in));
		json_str(j, "egress", state_of(l->out));
		json_end(j);
	}
	json_end(j);
	json_u64(j, "interfaces_protected", on);
	json_u64(j, "interfaces_present", all);
	json_u64(j, "interfaces_left_out", net_links_left_out());
}

void net_status(void *arg, struct json *j)
{
	const struct net_owners_stats *o = net_owners_stats();
	struct net_self *s = arg;

	if (!s->skel)
		return;
	json_object(j, "packets");
	json_u64(j, "judged", counter(s, NET_C_JUDGED));
	json_u64(j, "unreadable", counter(s, NET_C_UNPARSED));
	json_u64(j, "missed_tail_calls", counter(s, NET_C_MISSED_TAIL));
	json_end(j);
	json_object(j, "denials");
	json_u64(j, "told_by_count", s->told.packets);
	json_u64(j, "told_as_many_addresses", s->told.merged + counter(s, NET_C_FOLDS_FULL));
	json_u64(j, "told_by_module_alone", s->told.lost_packets);
	json_u64(j, "keys_at_last_flush", s->told.keys);
	json_u64(j, "keys_max", NET_FOLDS_MAX);
	json_u64(j, "flush_us", s->told.flush_ns / 1000);
	json_end(j);
	json_object(j, "record_budget");
	json_u64(j, "per_source_and_rule_each_second", NET_PER_SOURCE_S);
	json_u64(j, "floor_per_module_each_second", NET_FLOOR_S);
	json_u64(j, "shared_each_second", NET_SHARED_S);
	json_end(j);
	json_object(j, "attribution");
	json_bool(j, "works", o->loaded);
	json_str(j, "why", o->why);
	json_u64(j, "sockets_taken_in", o->taken_in);
	json_u64(j, "sockets_left_out", o->left_out);
	json_end(j);
	json_u64(j, "hung_again", s->hung_again);
	put_interfaces(j);
}

void net_metrics(void *arg, struct kmn_metrics *m)
{
	struct net_self *s = arg;

	if (!s->skel)
		return;
	metrics_family(m, "komainu_packets_total", METRICS_COUNTER,
		       "Packets seen at the packet hooks, by what became of them.");
	metrics_u64(m, counter(s, NET_C_JUDGED), "result", "judged", NULL);
	metrics_u64(m, counter(s, NET_C_UNPARSED), "result", "unreadable", NULL);
	metrics_family(m, "komainu_packet_missed_tail_calls_total", METRICS_COUNTER,
		       "Packets for which a stage was missing: the fail mode decided.");
	metrics_u64(m, counter(s, NET_C_MISSED_TAIL), NULL);
	metrics_family(m, "komainu_denied_packets_told_total", METRICS_COUNTER,
		       "Packets denied, or that would have been, told of by folded events.");
	metrics_u64(m, s->told.packets, NULL);
	metrics_family(m, "komainu_denied_packets_without_source_total", METRICS_COUNTER,
		       "Of those, packets whose source found no room: counted under the rule.");
	metrics_u64(m, counter(s, NET_C_FOLDS_FULL), NULL);
	metrics_family(m, "komainu_fold_keys", METRICS_GAUGE,
		       "Keys of folded denials at the last flush.");
	metrics_u64(m, s->told.keys, NULL);
	metrics_family(m, "komainu_interface_hung_again_total", METRICS_COUNTER,
		       "Times that the programs of an interface were hung once more: a canary was "
		       "missed, the kernel had refused, or messages about interfaces were lost.");
	metrics_u64(m, s->hung_again, NULL);
}

/* The tables of this service; maps are counted by the core. */
uint64_t net_memory_max(void *arg)
{
	struct net_self *s = arg;

	return sizeof(*s) + NET_IFS_MAX * sizeof(struct net_link) +
	       s->told.folds.cpus * sizeof(uint64_t) + net_names_bytes();
}
