// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* running: tell exactly of the processes that run when the sensor starts, as /proc does not.
 * hooks   iter/task, read once at the start; an object of its own, which some kernels refuse
 * maps    none
 * sends   struct task_running to whoever reads the iterator
 * fails   open: then /proc alone tells */
#include "lib/trace.bpf.h"
#include "lib/cgroup.bpf.h"
#include "lib/file.bpf.h"
#include "lib/task.bpf.h"
#include "task/task_abi.h"

SEC("iter/task")
int task_running(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct task_running r = {};
	struct mm_struct *mm;
	struct file *exe;

	if (!t || t->pid != t->tgid) /* the end, or a thread */
		return 0;
	r.pid = t->tgid;
	r.start_ns = kmn_start_ns(t);
	r.parent_start_ns = kmn_start_ns(t->real_parent);
	r.cgroup_id = kmn_cgroup_id(t);
	mm = t->mm;
	exe = mm ? mm->exe_file : NULL;
	if (exe)
		r.flags = kmn_file_identify(exe, &r.exe_id);
	bpf_seq_write(ctx->meta->seq, &r,
		      sizeof(r)); /* the buffer is full: the kernel calls again */
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
