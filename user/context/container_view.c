#include "context/container_self.h"

static void remember_unknown(struct container_table *c, uint64_t id)
{
	c->stats.unknown++;
	for (uint32_t i = 0; i < c->n_unknown; i++)
		if (c->unknown[i] == id)
			return;
	if (c->n_unknown < CONTAINER_UNKNOWN_MAX)
		c->unknown[c->n_unknown++] = id;
}

static struct container *find(struct container_table *c, uint64_t cgroup_id)
{
	struct cgroup *g = cgroup_id ? container_cgroup_find(c, cgroup_id) : NULL;
	struct container *e;

	if (!g) {
		if (cgroup_id)
			remember_unknown(c, cgroup_id);
		return NULL;
	}
	if (g->container.number && !container_at(c, g->container)) { /* given up for another */
		if (!g->removed_ns)
			remember_unknown(c, cgroup_id);
		return NULL;
	}
	e = container_outermost(c, g->container);
	container_used(c, g, e);
	return e;
}

bool container_describe(struct container_table *t, uint64_t cgroup_id, struct container_view *v)
{
	const struct container *e = find(t, cgroup_id);

	if (!e) {
		*v = (struct container_view){ 0 };
		return false;
	}
	*v = (struct container_view){
		.id = container_span(e, e->id),
		.runtime = text_of(runtime_names[e->runtime]),
		.name = container_span(e, e->name),
		.image = container_span(e, e->image),
		.pod = container_span(e, e->pod),
		.namespace_ = container_span(e, e->namespace_),
		.cgroup_id = cgroup_id,
	};
	return true;
}

struct text container_label(struct container_table *c, uint64_t cgroup_id, const char *key)
{
	const struct container *e = find(c, cgroup_id);
	struct text all = e ? container_span(e, e->labels) : (struct text){ NULL, 0 };

	for (uint32_t at = 0; at < all.len;) {
		const char *k = all.p + at, *v = k + strlen(k) + 1;

		if (!strcmp(k, key))
			return text_of(v);
		at = (uint32_t)(v - all.p + strlen(v) + 1);
	}
	return (struct text){ NULL, 0 };
}

struct text container_pod_uid(struct container_table *c, uint64_t cgroup_id)
{
	const struct container *e = find(c, cgroup_id);

	return e ? container_span(e, e->pod_uid) : (struct text){ NULL, 0 };
}

bool container_wants_tick(const struct container_table *c)
{
	return c->eager || c->n_unknown || c->n_hot;
}

bool container_is_hot(const struct container_table *c)
{
	return c->n_hot;
}

void container_table_stats(const struct container_table *c, struct container_stats *s)
{
	*s = c->stats;
	s->cgroups = c->cgroups_live.n + c->cgroups_removed.n;
	s->cgroups_max = c->n_cgroups;
	s->containers = c->live.n + c->removed.n;
	s->containers_max = c->n_containers;
	s->removed_kept = c->cgroups_removed.n;
	s->bytes = container_table_memory_max(c);
}
