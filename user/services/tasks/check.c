#include "services/tasks/tasks_self.h"

/* Names of a walk: none, or the last one ended as well. */
static bool names_end(const char *names, uint32_t len)
{
	return !len || !names[len - 1];
}

bool tasks_check_process(const struct kmn_event *rec)
{
	return rec->pid && rec->start_ns;
}

bool tasks_check_exec(const struct kmn_event *rec)
{
	const struct task_exec *x = (const struct task_exec *)rec;

	return tasks_check_process(rec) && x->names_len <= TASK_NAMES + 256 &&
	       x->exe_len + x->cwd_len == x->names_len && x->args_len <= TASK_ARGS_HERE &&
	       x->names_len + x->args_len <= TASK_TEXT && x->args_len <= x->args_total &&
	       x->args_total <= TASK_ARGS_MAX && names_end(x->text, x->exe_len) &&
	       names_end(x->text + x->exe_len, x->cwd_len);
}

bool tasks_check_part(const struct kmn_event *rec)
{
	const struct task_part *p = (const struct task_part *)rec;

	if (!tasks_check_process(rec) || p->len > TASK_PART_DATA || p->walk.end > KMN_WALK_NONE)
		return false;
	if (p->what == TASK_PART_ARGS)
		return p->offset <= TASK_ARGS_MAX && p->offset + p->len <= TASK_ARGS_MAX;
	return (p->what == TASK_PART_EXE || p->what == TASK_PART_CWD) && names_end(p->data, p->len);
}

bool tasks_check_cgroup(const struct kmn_event *rec)
{
	const struct task_cgroup *c = (const struct task_cgroup *)rec;

	return rec->cgroup_id && c->op <= TASK_CGROUP_ATTACH && c->path_len < TASK_CGROUP_PATH;
}
