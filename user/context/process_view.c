#include <string.h>
#include "context/process_self.h"

static struct text part(const struct process_image *image, uint32_t bit, uint32_t at, uint32_t len)
{
	if (!(image->known & bit))
		return (struct text){ NULL, 0 };
	return (struct text){ image->text + at, len };
}

static void view(struct process_table *t, const struct process_entry *e, struct process_view *v)
{
	const struct process_image *image = process_image(t, e->image);

	*v = (struct process_view){
		.pid = e->pid,
		.ppid = e->ppid,
		.uid = e->creds.uid,
		.euid = e->creds.euid,
		.gid = e->creds.gid,
		.login_uid = e->creds.login_uid,
		.start_ns = e->start_ns,
		.flags = e->exit_ns ? PROCESS_EXITED : 0,
		.source = e->source,
	};
	if (e->bits & PROCESS_BIT_CREDS)
		v->user = users_name(t->users, e->creds.uid);
	else
		v->uid = v->euid = v->gid = v->login_uid = UINT32_MAX;
	if (!image)
		return;
	v->flags |= image->flags;
	v->exe_id = image->exe_id;
	v->exe = part(image, PROCESS_HAS_EXE, 0, image->exe_len);
	v->args = part(image, PROCESS_HAS_ARGS, image->exe_len, image->args_len);
	v->cwd = part(image, PROCESS_HAS_CWD, image->exe_len + image->args_len, image->cwd_len);
}

/* Nothing is known but who it was. */
static void view_stranger(struct process_view *v, uint32_t pid, uint64_t start_ns)
{
	*v = (struct process_view){ .pid = pid,
				    .start_ns = start_ns,
				    .uid = UINT32_MAX,
				    .euid = UINT32_MAX,
				    .gid = UINT32_MAX,
				    .login_uid = UINT32_MAX,
				    .source = PROCESS_UNKNOWN };
}

/* A parent begins no later than its child; that, and not having been in the chain, rules loops out
 * even where start times are ticks. */
static struct process_entry *parent_of(struct process_table *t, const struct process_entry *e,
				       const struct process_chain *chain)
{
	uint64_t by_ns = e->start_ns + (e->bits & PROCESS_BIT_TICKS ? PROCESS_TICK_NS - 1 : 0);
	struct process_entry *p;

	if (e->parent_start_ns)
		p = process_find(t, e->ppid, e->parent_start_ns);
	else
		p = process_find_at(t, e->ppid, by_ns);
	if (!p || p->start_ns / PROCESS_TICK_NS > e->start_ns / PROCESS_TICK_NS)
		return NULL;
	for (uint32_t i = 0; i < chain->n; i++)
		if (chain->p[i].pid == p->pid && chain->p[i].start_ns == p->start_ns)
			return NULL;
	return p;
}

bool process_describe(struct process_table *t, uint32_t pid, uint64_t start_ns, uint64_t at_ns,
		      struct process_chain *chain)
{
	struct process_entry *e;

	chain->n = 0;
	memset(&chain->container, 0, sizeof(chain->container));
	if (!pid)
		return false;
	t->stats.lookups++;
	e = start_ns ? process_find(t, pid, start_ns) : process_find_at(t, pid, at_ns);
	if (!e) {
		t->stats.unknown++;
		view_stranger(&chain->p[chain->n++], pid, start_ns);
		return false;
	}
	if (t->containers)
		(void)container_describe(t->containers, e->cgroup_id, &chain->container);
	for (;;) {
		struct process_entry *parent;

		process_used(t, e);
		view(t, e, &chain->p[chain->n++]);
		if (chain->n == PROCESS_CHAIN || !e->ppid)
			return true;
		parent = parent_of(t, e, chain);
		if (!parent) {
			view_stranger(&chain->p[chain->n++], e->ppid, e->parent_start_ns);
			return true;
		}
		e = parent;
	}
}

struct text process_name(const struct process_view *p)
{
	struct text first = { p->args.p,
			      p->args.len ? (uint32_t)strnlen(p->args.p, p->args.len) : 0 };
	struct text name = text_base(p->exe.len ? p->exe : first);

	return name.len ? name : text_of("?");
}
