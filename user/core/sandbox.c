#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/auto.h"
#include "core/sandbox.h"
#include "core/sandbox_filter.h"

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif
#define CAP_NUMBER_MAX 64 /* sets are 64 bits wide */
#define HELPER_STACK 8192

/* linux/landlock.h of the oldest build host may be missing; the ABI is fixed. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#define LANDLOCK_FS_ALL_V1 ((1ULL << 13) - 1) /* all rights of the first version, Linux 5.13 */

static int fail(char *why, size_t len, const char *step)
{
	int r = -errno;

	(void)snprintf(why, len, "%s: %s", step, strerror(-r));
	return r;
}

/* The kernel would rather kill a worker than the sensor, whose score the worker inherited. */
static void offer_to_oom(void)
{
	kmn_auto(fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, "1000", 4); /* a wish: without it the sandbox is as tight */
}

static uint32_t leave_namespaces(void)
{
	static const struct {
		int flag;
		uint32_t bit;
	} own[] = { { CLONE_NEWNET, SANDBOX_NET },
		    { CLONE_NEWIPC, SANDBOX_IPC },
		    { CLONE_NEWUTS, SANDBOX_UTS } };
	uint32_t bits = getpid() == 1 ? SANDBOX_PID : 0; /* by clone(), see worker_spawn.c */

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (!unshare(own[i].flag))
			bits |= own[i].bit;
	return bits;
}

/* Shares its fs_struct with the worker, so this moves the worker's root too. */
static int into_own_fdinfo(void *unused)
{
	(void)unused;
	return chroot("/proc/self/fdinfo") || chdir("/");
}

/* With the helper's death its /proc folder has no entries, and nothing can ever be made in it. No
 * writable folder is needed, so it works in an empty root as well. */
static int root_is_dead_proc(void)
{
	char stack[HELPER_STACK] __attribute__((aligned(16)));
	int status = 0, flags = CLONE_FS | CLONE_VM | CLONE_VFORK | SIGCHLD;
	pid_t pid = clone(into_own_fdinfo, stack + sizeof(stack), flags, NULL);

	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status ? -EPERM : 0;
}

/* Where /proc does not allow it: a folder that is gone already. */
static int root_is_removed_folder(void)
{
	static const char *const parents[] = { "/run", "/dev/shm", "/tmp" };

	for (size_t i = 0; i < sizeof(parents) / sizeof(*parents); i++) {
		char path[64];
		kmn_auto(fd) int fd = -1;

		(void)snprintf(path, sizeof(path), "%s/komainu-worker-XXXXXX", parents[i]);
		if (!mkdtemp(path))
			continue;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)rmdir(path);
		if (fd >= 0 && !fchdir(fd) && !chroot(".") && !chdir("/"))
			return 0;
	}
	return -EPERM;
}

static int root_is_empty(void)
{
	DIR *d = opendir("/");
	const struct dirent *e;
	int n = 0;

	if (!d)
		return errno == ESRCH || errno == ENOENT; /* that process is gone */
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	(void)closedir(d);
	return !n;
}

static uint32_t leave_file_system(void)
{
	if (root_is_dead_proc() < 0 && root_is_removed_folder() < 0)
		return 0;
	return root_is_empty() && access("/proc", F_OK) && access("/etc", F_OK) ? SANDBOX_ROOT : 0;
}

static int set_limits(const struct sandbox_limits *l, char *why, size_t len)
{
	const struct {
		int what;
		uint64_t value;
	} all[] = {
#ifndef KMN_SANITIZED /* the sanitizer's shadow is terabytes of address space */
		{ RLIMIT_AS, l->memory_bytes },
#endif
		{ RLIMIT_FSIZE, l->file_bytes },
		{ RLIMIT_NOFILE, l->fds },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NPROC, 0 },
		{ RLIMIT_MEMLOCK, 0 },
		{ RLIMIT_MSGQUEUE, 0 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct rlimit r = { all[i].value, all[i].value }, old;

		if (getrlimit(all[i].what, &old))
			return fail(why, len, "getrlimit");
		if (old.rlim_max < r.rlim_max) /* stricter already, and cannot be raised */
			r.rlim_cur = r.rlim_max = old.rlim_max;
		if (setrlimit(all[i].what, &r))
			return fail(why, len, "setrlimit");
	}
	return 0;
}

static int drop_uid(char *why, size_t len)
{
	if (geteuid()) /* not root: no right to change it, and no need */
		return 0;
	if (setgroups(0, NULL))
		return fail(why, len, "setgroups");
	if (setresgid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY))
		return fail(why, len, "setresgid");
	if (setresuid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY))
		return fail(why, len, "setresuid");
	return 0;
}

/* Before the uid goes: it needs CAP_SETPCAP. */
static void drop_bounding(void)
{
	for (int cap = 0; cap < CAP_NUMBER_MAX; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* judged by bounding_is_empty() */
}

static int bounding_is_empty(void)
{
	for (int cap = 0; cap < CAP_NUMBER_MAX; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			return 0;
	return 1;
}

static int drop_caps(char *why, size_t len)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* permitted rules it */
	if (syscall(SYS_capset, &head, none))
		return fail(why, len, "capset");
	return 0;
}

static uint32_t shut_by_landlock(void)
{
	struct {
		uint64_t handled_access_fs;
	} all = { LANDLOCK_FS_ALL_V1 };
	kmn_auto(fd) int fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);

	if (fd < 0) /* Linux below 5.13, or not in lsm= */
		return 0;
	return syscall(SYS_landlock_restrict_self, fd, 0) ? 0 : SANDBOX_LANDLOCK;
}

/* Read back what the kernel holds, rather than believe the calls above. */
static uint32_t check_rights(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct c[2] = { { ~0U, ~0U, ~0U }, { ~0U, ~0U, ~0U } };
	uid_t u[3] = { 0 };
	gid_t g[3] = { 0 };
	uint32_t bits = 0;

	if (!getresuid(&u[0], &u[1], &u[2]) && u[0] && u[1] && u[2] &&
	    !getresgid(&g[0], &g[1], &g[2]) && g[0] && g[1] && g[2])
		bits |= SANDBOX_UID;
	if (!syscall(SYS_capget, &head, c) && !(c[0].effective | c[0].permitted | c[0].inheritable |
						c[1].effective | c[1].permitted | c[1].inheritable))
		bits |= SANDBOX_CAPS;
	if (bounding_is_empty())
		bits |= SANDBOX_BOUNDING;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		bits |= SANDBOX_NNP;
	if (!prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
		bits |= SANDBOX_LIMITS;
	return bits;
}

int sandbox_enter(const struct sandbox_limits *limits, char *why, size_t why_len)
{
	uint32_t bits;
	int r;

	offer_to_oom();
	bits = leave_namespaces() | leave_file_system();
	drop_bounding();
	r = drop_uid(why, why_len);
	if (r < 0)
		return r;
	r = drop_caps(why, why_len);
	if (r < 0)
		return r;
	r = set_limits(limits, why, why_len); /* after the uid: RLIMIT_NPROC counts per uid */
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) /* a change of uid had cleared it */
		return fail(why, why_len, "prctl");
	bits |= shut_by_landlock() | check_rights();
	r = sandbox_filter_load();
	if (r < 0) {
		errno = -r;
		return fail(why, why_len, "seccomp");
	}
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SANDBOX_FILTER_MODE)
		bits |= SANDBOX_SECCOMP;
	return (int)bits;
}

void sandbox_text(uint32_t bits, unsigned uid, char *out, size_t len)
{
	static const char *const words[SANDBOX_BITS] = {
		"",	   "no capabilities", "empty bounding set", "no_new_privs", "seccomp",
		"limits",  "empty root",      "landlock",	    "no network",   "own ipc",
		"own uts", "own pids",
	};
	int n = snprintf(out, len, bits & SANDBOX_UID ? "uid %u" : "uid %u (root)", uid);
	const char *before = ", ";

	for (int want = 1; want >= 0; want--) {
		for (int i = 1; i < SANDBOX_BITS; i++) {
			if ((bits >> i & 1) != (unsigned)want || n < 0 || (size_t)n >= len)
				continue;
			n += snprintf(out + n, len - (size_t)n, "%s%s", before, words[i]);
			before = ", ";
		}
		before = "; not: ";
	}
}
