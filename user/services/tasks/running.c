#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "services/tasks/running.h"
#include "task/running.skel.h"
#include "task/task_abi.h"

#define STILLS_MAX 64 /* how often the kernel may say "later" while it looks for the next task */

KMN_AUTO_DEFINE(struct running_bpf *, running_bpf__destroy)
KMN_AUTO_DEFINE(struct bpf_link *, bpf_link__destroy)

struct list {
	struct process_running *p;
	uint32_t n, room;
};

static void take(struct list *l, const struct task_running *r)
{
	const uint32_t file = KMN_FILE_MEMFD | KMN_FILE_DELETED | KMN_FILE_UPPER;
	struct process_running *k = &l->p[l->n++];

	_Static_assert((int)PROCESS_MEMFD == KMN_FILE_MEMFD &&
			       (int)PROCESS_DELETED == KMN_FILE_DELETED &&
			       (int)PROCESS_UPPER == KMN_FILE_UPPER,
		       "what is known of a file has one number on both sides");
	*k = (struct process_running){ .pid = r->pid,
				       .flags = r->flags & file,
				       .start_ns = r->start_ns,
				       .parent_start_ns = r->parent_start_ns,
				       .cgroup_id = r->cgroup_id,
				       .exe_id = r->exe_id };
}

static bool has_room(struct list *l, size_t more)
{
	struct process_running *p;

	if (l->n + more <= l->room)
		return true;
	p = realloc(l->p, (l->room + 1024 + more) * sizeof(*p));
	if (!p)
		return false;
	l->p = p;
	l->room += 1024 + (uint32_t)more;
	return true;
}

/* The kernel gives whole ones, as many as fit. */
static int read_all(int fd, struct list *l)
{
	struct task_running some[64];
	int stills = 0;

	while (l->n < TASKS_RUNNING_MAX) {
		ssize_t n = read(fd, some, sizeof(some));

		if (n < 0 && (errno == EAGAIN || errno == EINTR) && stills++ < STILLS_MAX)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		if (!has_room(l, (size_t)n / sizeof(*some)))
			return -ENOMEM;
		for (size_t i = 0; i < (size_t)n / sizeof(*some); i++)
			take(l, &some[i]);
	}
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct process_running *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int ask(struct kmn_core *core, struct list *l)
{
	kmn_auto(running_bpf__destroy) struct running_bpf *skel = running_bpf__open();
	kmn_auto(bpf_link__destroy) struct bpf_link *link = NULL;
	kmn_auto(fd) int fd = -1;
	int r;

	if (!skel)
		return -errno;
	r = bpfobj_load(core->bpf, skel->skeleton, NULL); /* logged */
	if (r < 0)
		return r;
	link = bpf_program__attach_iter(skel->progs.task_running, NULL);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	return fd < 0 ? fd : read_all(fd, l);
}

int tasks_running(struct kmn_core *core, struct process_running **known, uint32_t *n, char *why,
		  size_t room)
{
	struct list l = {};
	int r = core->kernel->has[KERNEL_TP_BTF] ? ask(core, &l) : -ENOTSUP;

	*known = NULL;
	*n = 0;
	if (r < 0) {
		free(l.p);
		(void)snprintf(why, room, "the kernel refuses a task iterator: %s", strerror(-r));
		return r;
	}
	why[0] = '\0';
	qsort(l.p, l.n, sizeof(*l.p), by_pid);
	*known = l.p;
	*n = l.n;
	return 0;
}
