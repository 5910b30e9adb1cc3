#include <string.h>
#include "services/tasks/join.h"

struct text tasks_path(const char *names, uint32_t len, bool cut, char *out)
{
	uint32_t at = TASKS_PATH_ROOM;

	for (uint32_t i = 0; i < len;) {
		uint32_t n = (uint32_t)strnlen(names + i, len - i);

		if (at < n + 1 + 3) /* cannot be: names and their NULs fit into less */
			break;
		at -= n;
		memcpy(out + at, names + i, n);
		out[--at] = '/';
		i += n + 1;
	}
	if (cut) {
		at -= 3;
		memcpy(out + at, "...", 3);
	} else if (at == TASKS_PATH_ROOM) {
		out[--at] = '/';
	}
	return (struct text){ out + at, TASKS_PATH_ROOM - at };
}

uint32_t tasks_lacks(const struct task_exec *rec)
{
	uint32_t lack = 0;

	if (rec->args_len < rec->args_total)
		lack |= TASKS_LACK_ARGS;
	if (rec->flags & TASK_EXEC_EXE_PART)
		lack |= TASKS_LACK_EXE;
	if (rec->flags & TASK_EXEC_CWD_PART)
		lack |= TASKS_LACK_CWD;
	if (rec->flags & TASK_EXEC_NO_PATH)
		lack |= TASKS_LACK_EXE_PROC | TASKS_LACK_CWD_PROC;
	return lack;
}

static struct text keep(char *to, struct text from, size_t room)
{
	uint32_t n = from.len < room ? from.len : (uint32_t)room;

	if (!from.p)
		return (struct text){ NULL, 0 };
	memmove(to, from.p, n);
	return (struct text){ to, n };
}

struct tasks_join *tasks_join_keep(struct tasks_join *slots, const struct task_exec *rec,
				   const struct process_exec *x, uint64_t now_ns)
{
	for (unsigned i = 0; i < TASKS_JOINS; i++) {
		struct tasks_join *s = &slots[i];

		if (s->used)
			continue;
		s->used = true;
		s->lack = tasks_lacks(rec);
		s->instance = rec->head.instance;
		s->begun_ns = now_ns;
		s->exec = *x;
		s->exec.exe = keep(s->exe, x->exe, sizeof(s->exe));
		s->exec.cwd = keep(s->cwd, x->cwd, sizeof(s->cwd));
		s->exec.args = keep(s->args, x->args, sizeof(s->args));
		s->args_total = rec->args_total;
		return s;
	}
	return NULL;
}

struct tasks_join *tasks_join_oldest(struct tasks_join *slots)
{
	struct tasks_join *oldest = &slots[0];

	for (unsigned i = 1; i < TASKS_JOINS; i++)
		if (slots[i].begun_ns < oldest->begun_ns)
			oldest = &slots[i];
	return oldest;
}

static struct tasks_join *find(struct tasks_join *slots, const struct task_part *part)
{
	for (unsigned i = 0; i < TASKS_JOINS; i++) {
		const struct process_who *who = &slots[i].exec.who;

		if (slots[i].used && who->pid == part->head.pid &&
		    who->start_ns == part->head.start_ns && who->exec_id == part->exec_id &&
		    slots[i].instance == part->head.instance)
			return &slots[i];
	}
	return NULL;
}

static void add_args(struct tasks_join *s, const struct task_part *part)
{
	uint32_t have = s->exec.args.len;

	/* a part before this one is lost, or memory could not be read: keep what is sure */
	if (part->offset != have || !part->len || have + part->len > s->args_total) {
		s->exec.flags |= PROCESS_ARGS_CUT;
		s->lack &= ~(uint32_t)TASKS_LACK_ARGS;
		return;
	}
	memcpy(s->args + have, part->data, part->len);
	s->exec.args = (struct text){ s->args, have + part->len };
	if (s->exec.args.len == s->args_total)
		s->lack &= ~(uint32_t)TASKS_LACK_ARGS;
}

static void add_path(struct tasks_join *s, const struct task_part *part)
{
	bool exe = part->what == TASK_PART_EXE, cut = part->walk.end == KMN_WALK_CUT;
	struct text path = tasks_path(part->data, part->len, cut, exe ? s->exe : s->cwd);

	if (exe)
		s->exec.exe = path;
	else
		s->exec.cwd = path;
	s->lack &= ~(uint32_t)(exe ? TASKS_LACK_EXE : TASKS_LACK_CWD);
	if (cut)
		s->lack |= exe ? TASKS_LACK_EXE_PROC : TASKS_LACK_CWD_PROC;
}

struct tasks_join *tasks_join_part(struct tasks_join *slots, const struct task_part *part)
{
	struct tasks_join *s = find(slots, part);

	if (!s)
		return NULL;
	if (part->what == TASK_PART_ARGS)
		add_args(s, part);
	else
		add_path(s, part);
	return s;
}

void tasks_join_found(struct tasks_join *s, uint32_t which, struct text path)
{
	bool exe = which == TASKS_LACK_EXE_PROC;

	if (path.len && path.len <= TASKS_PATH_ROOM) {
		struct text kept = keep(exe ? s->exe : s->cwd, path, TASKS_PATH_ROOM);

		if (exe)
			s->exec.exe = kept;
		else
			s->exec.cwd = kept;
	} else if (exe) {
		s->exec.flags |= PROCESS_PATH_CUT;
	}
	s->lack &= ~which;
}

void tasks_join_give_up(struct tasks_join *s)
{
	if (s->lack & TASKS_LACK_ARGS)
		s->exec.flags |= PROCESS_ARGS_CUT;
	if (s->lack & (TASKS_LACK_EXE | TASKS_LACK_EXE_PROC))
		s->exec.flags |= PROCESS_PATH_CUT;
	s->lack = 0;
}
