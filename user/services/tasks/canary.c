#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "core/command.h"
#include "services/tasks/canary.h"

#define DIR_PREFIX "komainu-canary-"

int tasks_canary_open(struct tasks_canary *c, uint32_t instance, bool own_pids)
{
	c->instance = instance;
	c->own_pids = own_pids;
	c->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return c->exe < 0 ? -errno : 0;
}

void tasks_canary_sweep(const char *cgroup_root)
{
	DIR *dir = cgroup_root[0] ? opendir(cgroup_root) : NULL;
	const size_t n = sizeof(DIR_PREFIX) - 1;
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		long pid = strncmp(d->d_name, DIR_PREFIX, n) ? 0 : strtol(d->d_name + n, NULL, 10);

		if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
			(void)unlinkat(dirfd(dir), d->d_name, AT_REMOVEDIR); /* or in use: stays */
	}
	if (dir)
		closedir(dir);
}

void tasks_canary_close(struct tasks_canary *c)
{
	if (c->pid && !c->reaped)
		(void)waitpid(c->pid, NULL, 0); /* it ends by itself within milliseconds */
	if (c->dir[0])
		(void)rmdir(c->dir);
	if (c->exe >= 0)
		close(c->exe);
	c->exe = -1;
	c->pid = 0;
	c->dir[0] = '\0';
}

static void make_cgroup(struct tasks_canary *c, const char *root)
{
	c->why[0] = '\0';
	(void)snprintf(c->dir, sizeof(c->dir), "%s/" DIR_PREFIX "%d-%" PRIx64, root, (int)getpid(),
		       c->nonce);
	if (root[0] && !mkdir(c->dir, 0755))
		return;
	(void)snprintf(c->why, sizeof(c->why), "no cgroup can be made in %s: %s",
		       root[0] ? root : "(none mounted)", root[0] ? strerror(errno) : "ENOENT");
	c->dir[0] = '\0';
}

/* -1 where no cgroup could be made. */
static int open_procs(const struct tasks_canary *c)
{
	char name[sizeof(c->dir) + 16];

	if (!c->dir[0])
		return -1;
	(void)snprintf(name, sizeof(name), "%s/cgroup.procs", c->dir);
	return open(name, O_WRONLY | O_CLOEXEC);
}

/* In the child, on its parent's memory (vfork): system calls only, and nothing is written to. */
static _Noreturn void child(const struct tasks_canary *c, int procs, char *const *argv)
{
	static char *const env[] = { NULL };

	if (procs >= 0)
		(void)!write(procs, "0", 1); /* refused: its record does not come, which tells */
	(void)syscall(SYS_execveat, c->exe, "", argv, env, AT_EMPTY_PATH);
	_exit(127);
}

int tasks_canary_send(struct tasks_canary *c, const char *cgroup_root, uint64_t gen,
		      uint64_t now_ns)
{
	char nonce[24];
	char *argv[] = { (char *)CANARY_ARGV0, nonce, NULL };
	int procs;
	pid_t pid;

	if (c->wanted)
		return -EBUSY;
	if (c->exe < 0)
		return -ENOENT;
	c->nonce = now_ns;
	c->seen = 0;
	c->gen = gen;
	c->cgroup_id = 0;
	c->slowest_ns -= c->slowest_ns / 4; /* a stall is forgotten in time */
	c->sent_ns = now_ns;
	(void)snprintf(nonce, sizeof(nonce), "%" PRIx64, c->nonce);
	make_cgroup(c, cgroup_root);
	procs = open_procs(c);
	pid = vfork();
	if (!pid)
		child(c, procs, argv);
	if (procs >= 0)
		close(procs);
	if (pid < 0)
		return -errno;
	c->pid = pid;
	c->reaped = false;
	c->sent++;
	c->wanted = c->own_pids ? TASKS_PROOF_EXEC : TASKS_PROOF_PROCESS;
	c->wanted |= c->dir[0] ? TASKS_PROOF_CGROUP : 0U;
	return 0;
}

uint64_t tasks_canary_limit_ns(const struct tasks_canary *c)
{
	uint64_t limit = TASKS_CANARY_TIMES * c->slowest_ns;

	if (!c->slowest_ns)
		return TASKS_CANARY_FIRST_NS;
	if (limit < TASKS_CANARY_NS)
		return TASKS_CANARY_NS;
	return limit < TASKS_CANARY_MAX_NS ? limit : TASKS_CANARY_MAX_NS;
}

bool tasks_canary_over(struct tasks_canary *c, uint64_t now_ns)
{
	if (!c->wanted)
		return false;
	if (!c->reaped && waitpid(c->pid, NULL, WNOHANG) != 0)
		c->reaped = true;
	if (c->reaped && c->dir[0] && (!rmdir(c->dir) || errno == ENOENT))
		c->dir[0] = '\0';
	if (c->seen == c->wanted && c->reaped) {
		c->brought++;
		return true;
	}
	if (now_ns - c->sent_ns < tasks_canary_limit_ns(c))
		return false;
	c->missed++;
	return true;
}

static void see(struct tasks_canary *c, const struct kmn_event *rec, uint32_t proof)
{
	uint64_t took = clock_boot_ns() - c->sent_ns;

	if (rec->instance != c->instance)
		return;
	c->seen |= proof & c->wanted;
	if (took > c->slowest_ns)
		c->slowest_ns = took;
}

/* Also of another instance's canary (a takeover), which is none of our business but no event. */
bool tasks_canary_exec(struct tasks_canary *c, const struct kmn_event *rec, struct text args)
{
	char want[sizeof(CANARY_ARGV0) + 24];
	int n;

	if (args.len < sizeof(CANARY_ARGV0) ||
	    memcmp(args.p, CANARY_ARGV0, sizeof(CANARY_ARGV0)) != 0)
		return false;
	n = snprintf(want, sizeof(want), "%s%c%" PRIx64, CANARY_ARGV0, 0, c->nonce) + 1;
	if (args.len != (uint32_t)n || memcmp(args.p, want, (size_t)n) != 0)
		return false; /* somebody who imitates it: an event like any other */
	see(c, rec, TASKS_PROOF_EXEC);
	return true;
}

static bool about_child(const struct tasks_canary *c, const struct kmn_event *rec)
{
	return c->pid && !c->own_pids && rec->pid == (uint32_t)c->pid && rec->time_ns >= c->sent_ns;
}

bool tasks_canary_fork(struct tasks_canary *c, const struct kmn_event *rec)
{
	if (!about_child(c, rec) || !c->wanted)
		return false;
	see(c, rec, TASKS_PROOF_FORK);
	return true;
}

bool tasks_canary_exit(struct tasks_canary *c, const struct kmn_event *rec)
{
	if (!about_child(c, rec) || !c->wanted)
		return false;
	see(c, rec, TASKS_PROOF_EXIT);
	return true;
}

static bool named(const struct tasks_canary *c, const struct task_cgroup *rec)
{
	char want[64];
	size_t n = (size_t)snprintf(want, sizeof(want), "/" DIR_PREFIX "%d-%" PRIx64, (int)getpid(),
				    c->nonce);

	return rec->path_len >= n && !memcmp(rec->path + rec->path_len - n, want, n);
}

bool tasks_canary_cgroup(struct tasks_canary *c, const struct task_cgroup *rec)
{
	static const uint32_t proofs[] = { [TASK_CGROUP_MKDIR] = TASKS_PROOF_MKDIR,
					   [TASK_CGROUP_RMDIR] = TASKS_PROOF_RMDIR,
					   [TASK_CGROUP_ATTACH] = TASKS_PROOF_ATTACH };

	if (rec->op >= sizeof(proofs) / sizeof(*proofs))
		return false;
	if (!c->cgroup_id && rec->op == TASK_CGROUP_MKDIR && c->wanted & TASKS_PROOF_MKDIR &&
	    (named(c, rec) || (!rec->path_len && rec->head.pid == (uint32_t)getpid())))
		c->cgroup_id = rec->head.cgroup_id;
	if (!c->cgroup_id || rec->head.cgroup_id != c->cgroup_id)
		return false;
	see(c, &rec->head, proofs[rec->op]);
	return true;
}
