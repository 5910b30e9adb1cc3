/* Any bytes as a row of records of bpf/task: what is found sound is joined and shown; nothing is
 * read beyond a record, and no slot says more than it has. */
#include <stdlib.h>
#include <string.h>
#include "services/tasks/tasks_self.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tasks_join slots[TASKS_JOINS];

static void take_exec(const struct task_exec *r, uint64_t now)
{
	static char exe[TASKS_PATH_ROOM], cwd[TASKS_PATH_ROOM];
	struct process_exec x = {
		.who = { .pid = r->head.pid,
			 .start_ns = r->head.start_ns,
			 .exec_id = r->who.exec_id },
		.exe = tasks_path(r->text, r->exe_len, r->flags & 1, exe),
		.cwd = tasks_path(r->text + r->exe_len, r->cwd_len, false, cwd),
		.args = { r->text + r->names_len, r->args_len },
	};
	static struct event ev;
	struct buf out = {};

	event_init(&ev, KMN_SVC_tasks, TASK_EV_EXEC, EVENT_TELEMETRY);
	ev.who.n = 1;
	ev.who.p[0] = (struct process_view){ .pid = 1, .exe = x.exe, .args = x.args };
	tasks_exec_text(&ev, &out);
	for (size_t i = 0; i < out.len; i++)
		if ((unsigned char)out.data[i] < 0x20)
			abort();
	buf_free(&out);
	if (tasks_lacks(r) && !tasks_join_keep(slots, r, &x, now)) {
		tasks_join_oldest(slots)->used = false;
		if (!tasks_join_keep(slots, r, &x, now))
			abort();
	}
}

static void take_part(const struct task_part *p)
{
	struct tasks_join *s = tasks_join_part(slots, p);

	if (s && (s->exec.args.len > s->args_total || s->exec.exe.len > TASKS_PATH_ROOM ||
		  s->exec.cwd.len > TASKS_PATH_ROOM))
		abort();
	if (s && !s->lack)
		s->used = false;
}

/* The first byte of each step: which kind; the next two: how many of the following bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now = 1;

	memset(slots, 0, sizeof(slots));
	while (size >= 3) {
		size_t want = *data & 1 ? sizeof(struct task_part) : sizeof(struct task_exec);
		size_t have = (size_t)data[1] << 8 | data[2];
		bool part = *data & 1;
		void *rec;

		data += 3;
		size -= 3;
		have = have < size ? have : size;
		have = have < want ? have : want;
		rec = calloc(1, want); /* exact, so that ASan sees one byte too many */
		if (!rec)
			abort();
		memcpy(rec, data, have);
		data += have;
		size -= have;
		if (part && tasks_check_part(rec))
			take_part(rec);
		else if (!part && tasks_check_exec(rec))
			take_exec(rec, now++);
		free(rec);
	}
	return 0;
}
