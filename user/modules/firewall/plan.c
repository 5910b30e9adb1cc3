#include <netinet/in.h>
#include <stdlib.h>
#include "modules/firewall/plan.h"

bool fw_proto_has_ports(unsigned proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

static void free_texts(char **text, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(text[i]);
	free(text);
}

void fw_spec_free(struct fw_spec *s)
{
	free(s->name);
	free(s->source.cidr);
	free(s->destination.cidr);
	free(s->source_port.range);
	free(s->destination_port.range);
	free_texts(s->interfaces, s->n_interfaces);
}

static void drop_addrs(struct fw_addrs *a)
{
	free(a->cidr);
	a->cidr = NULL;
	a->n = a->room = 0;
}

void fw_plan_slim(struct fw_plan *plan)
{
	for (uint32_t i = 0; i < plan->n_specs; i++) {
		drop_addrs(&plan->specs[i].source);
		drop_addrs(&plan->specs[i].destination);
	}
	for (int dim = 0; dim < FW_ADDRS; dim++) {
		free(plan->t.prefix[dim]);
		plan->t.prefix[dim] = NULL;
	}
	free(plan->t.ports);
	plan->t.ports = NULL;
	free(plan->t.sets);
	plan->t.sets = NULL;
}

void fw_plan_free(void *arg)
{
	struct fw_plan *plan = arg;

	for (uint32_t i = 0; i < plan->n_specs; i++)
		fw_spec_free(&plan->specs[i]);
	free(plan->specs);
	fw_tables_free(&plan->t);
	free_texts(plan->interfaces, plan->n_interfaces);
	free_texts(plan->pods, plan->n_pods);
	net_names_free(plan->names);
	free(plan);
}

/* Bytes of an element as the kernel accounts it. source: kernel/bpf/lpm_trie.c (a node: rcu head,
 * two children, prefix length, flags, then key and value; and up to one inner node for each), in
 * the allocator's sizes; kernel/bpf/arraymap.c (values rounded up to 8); kernel/bpf/hashtab.c. */
#define PLAN_TRIE_NODE4 2 * 64
#define PLAN_TRIE_NODE6 2 * 96
#define PLAN_MAP 1024 /* a map and what is kept of it */
#define PLAN_HASH_NODE (48 + 8 + sizeof(struct fw_set) + 16)

uint64_t fw_plan_bytes(const void *arg)
{
	const struct fw_plan *plan = arg;
	const struct fw_tables *t = &plan->t;
	uint64_t sum = 9 * PLAN_MAP + sizeof(t->head);

	sum += (uint64_t)t->n_sets * sizeof(*t->sets);
	sum += (uint64_t)t->head.n_rules * sizeof(*t->rules);
	if (t->head.has & (FW_HAS_SPORT | FW_HAS_DPORT))
		sum += 2ULL * FW_PORT_CELLS * sizeof(*t->ports);
	if (t->head.has & FW_HAS_IFS)
		sum += 2ULL * NET_IFS_MAX * PLAN_HASH_NODE;
	for (int dim = 0; dim < FW_ADDRS; dim++)
		sum += (uint64_t)t->n_prefixes[dim] *
		       (dim == FW_SRC4 || dim == FW_DST4 ? PLAN_TRIE_NODE4 : PLAN_TRIE_NODE6);
	return sum;
}
