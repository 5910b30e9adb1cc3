#include <string.h>
#include "context/container_self.h"

#define DEPTH_MAX 64 /* folders of a path that are looked at */

/* ---- texts ---- */

struct text container_span(const struct container *c, struct span s)
{
	if (!s.known)
		return (struct text){ NULL, 0 };
	return (struct text){ c->text + s.at, s.len };
}

void container_put(struct container *c, struct span *s, struct text t)
{
	if (!t.p || t.len > sizeof(c->text) - c->used)
		return;
	if (t.len)
		memcpy(c->text + c->used, t.p, t.len);
	*s = (struct span){ .at = c->used, .len = (uint16_t)t.len, .known = true };
	c->used = (uint16_t)(c->used + t.len);
}

/* ---- lists: the same for both kinds, by number ---- */

#define LIST_ADD(table, ends, e)                            \
	do {                                                \
		uint32_t i_ = (uint32_t)((e) - (table));    \
		(e)->newer = 0;                             \
		(e)->older = (ends)->newest;                \
		if ((ends)->newest)                         \
			(table)[(ends)->newest].newer = i_; \
		else                                        \
			(ends)->oldest = i_;                \
		(ends)->newest = i_;                        \
		(ends)->n++;                                \
	} while (0)
#define LIST_DEL(table, ends, e)                                \
	do {                                                    \
		if ((e)->newer)                                 \
			(table)[(e)->newer].older = (e)->older; \
		else                                            \
			(ends)->newest = (e)->older;            \
		if ((e)->older)                                 \
			(table)[(e)->older].newer = (e)->newer; \
		else                                            \
			(ends)->oldest = (e)->newer;            \
		(ends)->n--;                                    \
	} while (0)

static struct ends *list_of(struct container_table *c, const struct container *e)
{
	return e->removed_ns ? &c->removed : e->state == CONTAINER_NOT ? &c->nots : &c->live;
}

static struct ends *list_of_cgroup(struct container_table *c, const struct cgroup *g)
{
	return g->removed_ns ? &c->cgroups_removed : &c->cgroups_live;
}

void container_used(struct container_table *c, struct cgroup *g, struct container *e)
{
	if (!g->removed_ns) { /* removed ones go in the order of their ends */
		LIST_DEL(c->cgroup, &c->cgroups_live, g);
		LIST_ADD(c->cgroup, &c->cgroups_live, g);
	}
	if (e && !e->removed_ns) {
		struct ends *ends = list_of(c, e);

		LIST_DEL(c->container, ends, e);
		LIST_ADD(c->container, ends, e);
	}
}

/* ---- hashes ---- */

static uint32_t *bucket_of_id(const struct container_table *c, uint64_t id)
{
	return &c->by_id[((id + c->seed) * 0x9e3779b97f4a7c15ULL) >> (64 - c->id_bits)];
}

static uint32_t *bucket_of_path(const struct container_table *c, uint64_t hash)
{
	return &c->by_path[(hash * 0x9e3779b97f4a7c15ULL) >> (64 - c->path_bits)];
}

/* FNV-1a, so that each folder of a path costs its own bytes only; seeded, for paths are chosen. */
static uint64_t hash_more(uint64_t hash, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)p[i]) * 0x100000001b3ULL;
	return hash;
}

struct cgroup *container_cgroup_find(struct container_table *c, uint64_t id)
{
	for (uint32_t i = *bucket_of_id(c, id); i; i = c->cgroup[i].next)
		if (c->cgroup[i].id == id)
			return &c->cgroup[i];
	return NULL;
}

/* The live entry whose own cgroup is path. */
static struct container *find_path(struct container_table *c, struct text path, uint64_t hash)
{
	for (uint32_t i = *bucket_of_path(c, hash); i; i = c->container[i].next) {
		struct container *e = &c->container[i];
		struct text own = container_span(e, e->cgroup);

		if (e->path_hash == hash && !e->removed_ns && own.len == path.len &&
		    !memcmp(own.p, path.p, path.len))
			return e;
	}
	return NULL;
}

/* ---- entries ---- */

struct container *container_at(const struct container_table *c, struct container_ref ref)
{
	struct container *e = ref.number ? &c->container[ref.number] : NULL;

	return e && e->generation == ref.generation && e->state != CONTAINER_FREE ? e : NULL;
}

static struct container_ref ref_to(const struct container_table *c, const struct container *e)
{
	if (!e)
		return (struct container_ref){ 0 };
	return (struct container_ref){ (uint32_t)(e - c->container), e->generation };
}

struct container *container_outermost(struct container_table *c, struct container_ref ref)
{
	struct container *e = container_at(c, ref), *sure = NULL;

	for (int i = 0; e && i < DEPTH_MAX; i++, e = container_at(c, e->outer))
		if (e->state == CONTAINER_SURE)
			sure = e;
	return sure;
}

static void stop_waiting(struct container_table *c, struct container *e)
{
	if (!e->waiting)
		return;
	e->waiting = false;
	c->waiting--;
	if (e->tries < CONTAINER_EAGER_TRIES)
		c->eager--;
}

static void forget(struct container_table *c, struct container *e)
{
	uint32_t i = (uint32_t)(e - c->container), *at = bucket_of_path(c, e->path_hash);
	struct ends *ends = list_of(c, e);

	while (*at != i)
		at = &c->container[*at].next;
	*at = e->next;
	stop_waiting(c, e);
	LIST_DEL(c->container, ends, e);
	e->state = CONTAINER_FREE;
	e->generation++;
	e->next = c->free_container;
	c->free_container = i;
}

void container_forget_cgroup(struct container_table *c, struct cgroup *g)
{
	uint32_t i = (uint32_t)(g - c->cgroup), *at = bucket_of_id(c, g->id);
	struct ends *ends = list_of_cgroup(c, g);

	while (*at != i)
		at = &c->cgroup[*at].next;
	*at = g->next;
	LIST_DEL(c->cgroup, ends, g);
	*g = (struct cgroup){ .next = c->free_cgroup };
	c->free_cgroup = i;
}

static struct container *make(struct container_table *c, struct text path, uint64_t hash)
{
	struct container *e;
	uint32_t *at, generation;

	if (!c->free_container) {
		uint32_t oldest = c->nots.n	 ? c->nots.oldest
				  : c->removed.n ? c->removed.oldest
						 : c->live.oldest;

		if (!c->nots.n && !c->removed.n)
			c->stats.evicted_containers++;
		forget(c, &c->container[oldest]);
	}
	e = &c->container[c->free_container];
	c->free_container = e->next;
	generation = e->generation;
	memset(e, 0, offsetof(struct container, text));
	e->generation = generation;
	e->path_hash = hash;
	container_put(e, &e->cgroup, path);
	at = bucket_of_path(c, hash);
	e->next = *at;
	*at = (uint32_t)(e - c->container);
	e->waiting = true;
	c->waiting++;
	c->eager++;
	e->state = CONTAINER_MAYBE;
	LIST_ADD(c->container, &c->live, e);
	return e;
}

static void end(struct container_table *c, struct container *e, uint64_t now_ns)
{
	struct ends *before = list_of(c, e);

	if (e->removed_ns)
		return;
	LIST_DEL(c->container, before, e);
	e->removed_ns = now_ns;
	LIST_ADD(c->container, &c->removed, e);
}

void container_settle(struct container_table *c, struct container *e, bool found)
{
	struct ends *before = list_of(c, e), *now;

	stop_waiting(c, e);
	if (found)
		e->state = CONTAINER_SURE;
	else if (e->state == CONTAINER_MAYBE)
		e->state = CONTAINER_NOT;
	now = list_of(c, e);
	if (now != before) {
		LIST_DEL(c->container, before, e);
		LIST_ADD(c->container, now, e);
	}
}

/* ---- what a path means ---- */

/* The outermost entry on the way down path that is sure, else the innermost that may be; *exact: it
 * is the path itself. */
static struct container *enclosing(struct container_table *c, struct text path, bool *exact)
{
	uint64_t hash = 0xcbf29ce484222325ULL ^ c->seed;
	struct container *found = NULL;
	uint32_t at = 0, depth = 0;

	*exact = false;
	while (at < path.len && depth++ < DEPTH_MAX) {
		uint32_t end = at + 1;
		struct container *e;

		while (end < path.len && path.p[end] != '/')
			end++;
		hash = hash_more(hash, path.p + at, end - at);
		e = find_path(c, (struct text){ path.p, end }, hash);
		if (e) {
			found = e;
			*exact = end == path.len;
			if (e->state == CONTAINER_SURE)
				return e;
		}
		at = end;
	}
	return found;
}

static uint64_t hash_path(const struct container_table *c, struct text path)
{
	return hash_more(0xcbf29ce484222325ULL ^ c->seed, path.p, path.len);
}

/* The entry that the cgroup is a part of, made when its path is one of a container. */
static struct container_ref classify(struct container_table *c, uint64_t id, struct text path)
{
	struct container_ref outer_ref;
	struct container *outer, *e;
	struct cgroup_match m;
	bool exact;

	outer = enclosing(c, path, &exact);
	if (outer && exact && outer->cgroup_id && outer->cgroup_id != id) {
		end(c, outer, 1); /* nobody told: another one is in its place */
		outer = enclosing(c, path, &exact);
	}
	outer_ref = ref_to(c, outer);
	if (outer && exact)
		outer->cgroup_id = id;
	if (outer && (exact || outer->state == CONTAINER_SURE))
		return outer_ref;
	cgroup_match(path, &m);
	if (m.kind == CGROUP_HOST)
		return outer_ref;
	if (m.cgroup.len > CONTAINER_TEXT / 2 || !cgroup_id_is_safe(m.id)) {
		c->stats.refused_names++;
		return outer_ref;
	}
	e = make(c, m.cgroup, hash_path(c, m.cgroup));
	e->outer = outer_ref; /* which making room may have taken: then it leads nowhere */
	if (m.kind == CGROUP_CONTAINER)
		e->state = CONTAINER_SURE;
	e->runtime = (uint8_t)m.runtime;
	if (m.cgroup.len == path.len)
		e->cgroup_id = id;
	container_put(e, &e->id, m.id);
	container_put(e, &e->ctr_namespace, m.namespace_);
	container_put(e, &e->pod_uid, m.pod_uid);
	for (uint32_t i = 0; e->pod_uid.known && i < e->pod_uid.len; i++)
		if (e->text[e->pod_uid.at + i] == '_') /* systemd takes '-' for a folder */
			e->text[e->pod_uid.at + i] = '-';
	return ref_to(c, e);
}

/* "/a/b" with nothing behind b; {NULL, 0} for the root and for what is no path. */
static struct text tidy(struct text path)
{
	while (path.len && path.p[path.len - 1] == '/')
		path.len--;
	if (!path.len || path.p[0] != '/' || memchr(path.p, 0, path.len))
		return (struct text){ NULL, 0 };
	return path;
}

/* ---- records ---- */

static bool add_cgroup(struct container_table *c, uint64_t id, struct text path)
{
	struct cgroup *g = container_cgroup_find(c, id);
	uint32_t *at;

	if (!id || g) {
		c->stats.doubles++;
		return false;
	}
	if (!c->free_cgroup) {
		uint32_t oldest = c->cgroups_removed.oldest;

		if (!oldest) {
			oldest = c->cgroups_live.oldest;
			c->stats.evicted_cgroups++;
		}
		container_forget_cgroup(c, &c->cgroup[oldest]);
	}
	c->stats.made++;
	g = &c->cgroup[c->free_cgroup];
	c->free_cgroup = g->next;
	at = bucket_of_id(c, id);
	*g = (struct cgroup){ .id = id, .next = *at, .used = true };
	*at = (uint32_t)(g - c->cgroup);
	LIST_ADD(c->cgroup, &c->cgroups_live, g);
	path = tidy(path);
	if (path.p)
		g->container = classify(c, id, path);
	return true;
}

void container_cgroup_seen(struct container_table *c, uint64_t id, struct text path,
			   uint64_t now_ns)
{
	struct cgroup *g = container_cgroup_find(c, id);

	(void)now_ns;
	if (!g)
		(void)add_cgroup(c, id, path);
	else if ((path = tidy(path)).p)
		g->container = classify(c, id, path);
}

bool container_cgroup_made(struct container_table *c, uint64_t id, struct text path,
			   uint64_t now_ns)
{
	bool news = add_cgroup(c, id, path);
	struct cgroup *g = news ? container_cgroup_find(c, id) : NULL;
	struct container *e = g ? container_at(c, g->container) : NULL;

	if (e && e->waiting && !e->tries && e->cgroup_id == id && c->n_hot < CONTAINER_HOT) {
		c->hot[c->n_hot] = g->container;
		c->hot_until_ns[c->n_hot++] = now_ns + CONTAINER_HOT_NS;
	}
	return news;
}

bool container_cgroup_removed(struct container_table *c, uint64_t id, uint64_t now_ns)
{
	struct cgroup *g = container_cgroup_find(c, id);
	struct container *e;

	if (!g || g->removed_ns) {
		c->stats.doubles++;
		return false;
	}
	c->stats.removed++;
	LIST_DEL(c->cgroup, &c->cgroups_live, g);
	g->removed_ns = now_ns ? now_ns : 1;
	LIST_ADD(c->cgroup, &c->cgroups_removed, g);
	e = container_at(c, g->container);
	if (e && e->cgroup_id == id)
		end(c, e, g->removed_ns);
	return true;
}

bool container_cgroup_renamed(struct container_table *c, uint64_t id, struct text path,
			      uint64_t now_ns)
{
	struct cgroup *g = container_cgroup_find(c, id);
	struct container *e;

	path = tidy(path);
	if (!g)
		return container_cgroup_made(c, id, path, now_ns);
	e = container_at(c, g->container);
	if (e && e->cgroup_id == id && path.p) {
		struct text own = container_span(e, e->cgroup);

		if (own.len == path.len && !memcmp(own.p, path.p, path.len)) {
			c->stats.doubles++;
			return false;
		}
		forget(c, e);
	}
	c->stats.renamed++;
	g->container = path.p ? classify(c, id, path) : (struct container_ref){ 0 };
	c->walk_wanted = true; /* what is inside has other paths too */
	return true;
}
