/* How a worker comes to life. clone() with CLONE_VFORK instead of fork(): the sensor's page tables
 * are not copied. execveat() of a descriptor instead of a path: works in an empty root, and after
 * an upgrade has replaced the file. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "core/sandbox_filter.h"
#include "core/worker_wire.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define SPAWN_STACK 16384
#define SPAWN_CLOSE_MAX 65536 /* below Linux 5.9 descriptors are closed one by one */

struct spawn {
	int self, null, sock;
	sigset_t mask;
};

/* Keep from..to-1 of nothing: the sensor's maps, rings and store are not for workers. */
static void close_between(unsigned from, unsigned to)
{
	struct rlimit r = { 0 };

	if (from >= to || !syscall(SYS_close_range, from, to - 1, 0))
		return;
	(void)getrlimit(RLIMIT_NOFILE, &r);
	if (to > r.rlim_cur)
		to = (unsigned)r.rlim_cur;
	if (to > SPAWN_CLOSE_MAX)
		to = SPAWN_CLOSE_MAX;
	for (unsigned fd = from; fd < to; fd++)
		(void)close((int)fd);
}

/* Runs on the parent's memory until it execs: system calls only, and nothing is written that the
 * parent reads. */
static int child(void *arg)
{
	static char *const argv[] = { WORKER_ARGV0, NULL };
	const struct spawn *s = arg;
#ifdef KMN_SANITIZED /* its options and its reports pass */
	char **env = environ;
	int first_null = STDIN_FILENO, last_null = STDOUT_FILENO;
#else
	char *env[] = { NULL };
	int first_null = STDIN_FILENO, last_null = STDERR_FILENO;
#endif

	(void)setsid(); /* Ctrl-C is for the sensor, which then ends its workers */
	for (int fd = first_null; fd <= last_null; fd++)
		if (dup2(s->null, fd) < 0)
			return 1;
	if (dup2(s->sock, WORKER_SOCKET) < 0)
		return 1;
	close_between(WORKER_SOCKET + 1, (unsigned)s->self);
	close_between((unsigned)s->self + 1, ~0U); /* self itself closes on exec */
	(void)sigprocmask(SIG_SETMASK, &s->mask, NULL);
	(void)syscall(SYS_execveat, s->self, "", argv, env, AT_EMPTY_PATH);
	return 1;
}

static pid_t clone_worker(struct spawn *s)
{
	char stack[SPAWN_STACK] __attribute__((aligned(16)));
	int flags = CLONE_VFORK | SIGCHLD;
	pid_t pid;

#ifndef KMN_SANITIZED /* a sanitizer keeps books on every stack */
	flags |= CLONE_VM;
#endif
	pid = clone(child, stack + sizeof(stack), flags | CLONE_NEWPID, s);
	if (pid < 0) /* no right to, or the host allows no more of them */
		pid = clone(child, stack + sizeof(stack), flags, s);
	return pid < 0 ? -errno : pid;
}

pid_t worker_spawn(int self, int null, int *sock, int *pidfd)
{
	struct spawn s = { .self = self, .null = null };
	int pair[2], r;
	sigset_t all, old;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return kmn_err(-errno, "worker: socket");
	kmn_auto(fd) int mine = pair[0], theirs = pair[1];
	s.sock = fcntl(theirs, F_DUPFD_CLOEXEC, 10); /* clear of 0-3, which dup2() fills */
	if (s.sock < 0)
		return kmn_err(-errno, "worker: socket");
	(void)sigemptyset(&s.mask); /* the sensor reads its signals from the loop; a worker dies */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old); /* no handler may run on shared memory */
	pid = clone_worker(&s);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)close(s.sock);
	if (pid < 0)
		return kmn_err(pid, "worker: start a process");
	r = (int)syscall(SYS_pidfd_open, pid, 0); /* sets close-on-exec itself */
	*pidfd = r < 0 ? -1 : r;
	*sock = mine;
	mine = -1;
	return pid;
}
