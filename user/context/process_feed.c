#include <string.h>
#include "context/process_self.h"

static bool same_creds(const struct process_creds *a, const struct process_creds *b)
{
	return a->cap_effective == b->cap_effective && a->cap_permitted == b->cap_permitted &&
	       a->uid == b->uid && a->euid == b->euid && a->suid == b->suid && a->gid == b->gid &&
	       a->egid == b->egid && a->login_uid == b->login_uid;
}

static void set_creds(struct process_entry *e, const struct process_creds *creds)
{
	e->creds = *creds;
	e->bits |= PROCESS_BIT_CREDS;
	e->bits &= (uint8_t)~PROCESS_BIT_CREDS_SHOWN;
}

static void tell_late(struct process_table *t, const struct process_entry *e,
		      const struct process_creds *now, struct process_late *late)
{
	t->stats.late_creds++;
	if (late)
		*late = (struct process_late){ .creds = true,
					       .pid = e->pid,
					       .old = e->creds,
					       .start_ns = e->start_ns,
					       .now = *now };
}

/* The creds of a record of e itself: told when they are others than known. */
static void take_creds(struct process_table *t, struct process_entry *e,
		       const struct process_creds *now, struct process_late *late)
{
	if (e->bits & PROCESS_BIT_CREDS && !same_creds(&e->creds, now))
		tell_late(t, e, now, late);
	set_creds(e, now);
}

/* A record of a later program than the table knows: the record of its exec was lost. Better no
 * executable than that of the program before. */
static void miss_exec(struct process_table *t, struct process_entry *e, uint64_t exec_id)
{
	if (e->exec_id == PROCESS_EXEC_ID_UNKNOWN || exec_id <= e->exec_id ||
	    e->bits & PROCESS_BIT_STALE)
		return;
	t->stats.missed_execs++;
	e->bits |= PROCESS_BIT_STALE;
	process_image_drop(t, e);
}

/* What a record says of its process, beside what it is about. */
static void take_who(struct process_entry *e, const struct process_who *who)
{
	if (e->bits & PROCESS_BIT_TICKS) { /* the first record of one that /proc showed */
		e->start_ns = who->start_ns;
		e->bits &= (uint8_t)~PROCESS_BIT_TICKS;
	}
	if (!e->ppid)
		e->ppid = who->ppid;
	if (!e->parent_start_ns && e->ppid == who->ppid)
		e->parent_start_ns = who->parent_start_ns;
	if (who->cgroup_id)
		e->cgroup_id = who->cgroup_id;
}

static struct process_entry *find_or_make(struct process_table *t, const struct process_who *who)
{
	struct process_entry *e = process_find(t, who->pid, who->start_ns);

	if (!e) {
		e = process_make(t, who->pid, who->start_ns, who->time_ns, NULL);
		e->source = PROCESS_SEEN;
	}
	take_who(e, who);
	process_used(t, e);
	return e;
}

static struct process_entry *find_parent(struct process_table *t, uint32_t pid, uint64_t start_ns,
					 uint64_t at_ns)
{
	if (!pid)
		return NULL;
	return start_ns ? process_find(t, pid, start_ns) : process_find_at(t, pid, at_ns);
}

/* The child begins with the creds of who called fork. When these are news, the caller has changed
 * its own, unless the child alone has gained capabilities: that is a new user namespace. */
static void fork_creds(struct process_table *t, struct process_entry *from,
		       struct process_entry *child, const struct process_creds *now,
		       struct process_late *late)
{
	struct process_creds caps = *now;

	set_creds(child, now);
	if (!from || !(from->bits & PROCESS_BIT_CREDS) || same_creds(&from->creds, now))
		return;
	caps.cap_effective = from->creds.cap_effective;
	caps.cap_permitted = from->creds.cap_permitted;
	if (same_creds(&from->creds, &caps) && now->cap_permitted & ~from->creds.cap_permitted) {
		child->creds = from->creds; /* as the old ones, for the report */
		tell_late(t, child, now, late);
		child->creds = *now;
		return;
	}
	tell_late(t, from, now, late);
	from->creds = *now;
}

bool process_fork(struct process_table *t, const struct process_fork *f, struct process_late *late)
{
	const struct process_who *who = &f->who;
	struct process_entry *e = process_find(t, who->pid, who->start_ns), *from;
	bool ours = f->from_pid;

	if (late)
		late->creds = false;
	if (e && e->bits & PROCESS_BIT_FORK_SEEN) {
		t->stats.doubles++;
		return false;
	}
	t->stats.forks++;
	if (e && (e->image || e->source == PROCESS_SNAPSHOT)) {
		take_who(e, who); /* /proc or a later record came first, and knows more by now */
		e->bits |= PROCESS_BIT_FORK_SEEN;
		return true;
	}
	from = find_parent(t, ours ? f->from_pid : who->ppid,
			   ours ? f->from_start_ns : who->parent_start_ns, who->time_ns);
	if (from) {
		process_used(t, from);
		miss_exec(t, from, who->exec_id);
	}
	if (!e)
		e = process_make(t, who->pid, who->start_ns, who->time_ns, from);
	take_who(e, who);
	e->bits |= PROCESS_BIT_FORK_SEEN;
	e->source = PROCESS_SEEN;
	if (e->exec_id == PROCESS_EXEC_ID_UNKNOWN)
		e->exec_id = who->exec_id;
	if (from && e->exec_id == who->exec_id)
		process_image_share(t, e, from->image);
	if (!(e->bits & PROCESS_BIT_CREDS)) /* else a later record has told */
		fork_creds(t, from, e, &who->creds, late);
	return true;
}

bool process_exec(struct process_table *t, const struct process_exec *x, struct process_late *late)
{
	struct process_entry *e = find_or_make(t, &x->who);

	if (late)
		late->creds = false;
	if (e->exec_id != PROCESS_EXEC_ID_UNKNOWN && x->who.exec_id <= e->exec_id) {
		t->stats.doubles++;
		return false;
	}
	t->stats.execs++;
	take_creds(t, e, &x->who.creds, late);
	e->exec_id = x->who.exec_id;
	e->bits &= (uint8_t)~PROCESS_BIT_STALE;
	e->source = PROCESS_SEEN;
	process_image_set(t, e, x);
	return true;
}

bool process_exec_more(struct process_table *t, const struct process_exec *x)
{
	struct process_entry *e = process_find(t, x->who.pid, x->who.start_ns);
	static char kept[2 * PROCESS_PATH_KEPT + PROCESS_ARGS_KEPT];
	struct process_exec whole = *x;
	const struct process_image *image;
	uint32_t len;

	if (!e || e->exec_id != x->who.exec_id)
		return false;
	image = process_image(t, e->image);
	if (image) { /* its block goes: what stays of it must not */
		len = image->exe_len + image->args_len + image->cwd_len;
		memcpy(kept, image->text, len);
		if (!x->exe.p && image->known & PROCESS_HAS_EXE)
			whole.exe = (struct text){ kept, image->exe_len };
		if (!x->args.p && image->known & PROCESS_HAS_ARGS)
			whole.args = (struct text){ kept + image->exe_len, image->args_len };
		if (!x->cwd.p && image->known & PROCESS_HAS_CWD)
			whole.cwd = (struct text){ kept + image->exe_len + image->args_len,
						   image->cwd_len };
	}
	process_image_set(t, e, &whole);
	return true;
}

bool process_exit(struct process_table *t, const struct process_who *who, struct process_late *late)
{
	struct process_entry *e = find_or_make(t, who);

	if (late)
		late->creds = false;
	if (e->bits & PROCESS_BIT_EXIT_SEEN) {
		t->stats.doubles++;
		return false;
	}
	t->stats.exits++;
	take_creds(t, e, &who->creds, late);
	miss_exec(t, e, who->exec_id);
	if (e->exit_ns && t->stats.lost_exits) /* given up too early: it was on its way */
		t->stats.lost_exits--;
	e->bits |= PROCESS_BIT_EXIT_SEEN;
	process_ended(t, e, who->time_ns);
	return true;
}

bool process_cred(struct process_table *t, const struct process_who *who)
{
	struct process_entry *e = find_or_make(t, who);
	bool told = e->bits & PROCESS_BIT_CREDS && !(e->bits & PROCESS_BIT_CREDS_SHOWN);

	if (told && same_creds(&e->creds, &who->creds)) {
		t->stats.doubles++;
		return false;
	}
	t->stats.creds++;
	miss_exec(t, e, who->exec_id);
	set_creds(e, &who->creds);
	return true;
}

bool process_moved(struct process_table *t, const struct process_who *who)
{
	struct process_entry *e = process_find(t, who->pid, who->start_ns);

	if (!e) /* its next record says where it is */
		return false;
	if (e->cgroup_id == who->cgroup_id) {
		t->stats.doubles++;
		return false;
	}
	t->stats.moves++;
	e->cgroup_id = who->cgroup_id;
	return true;
}
