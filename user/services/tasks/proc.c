#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/auto.h"
#include "services/tasks/proc.h"

#define TICK_NS 10000000ULL /* USER_HZ is 100 on every architecture that we run on */
#define START_FIELD 22	    /* of /proc/PID/stat, in ticks; source: proc(5) */

#define INIT_PIDS 0xeffffffcU /* inode of the first pid namespace: include/linux/proc_ns.h */

bool tasks_own_pids(void)
{
	struct stat st;

	return !stat("/proc/self/ns/pid", &st) && st.st_ino != INIT_PIDS;
}

/* Did the process in this folder of /proc start at start_ns, as far as ticks tell? */
static bool same_start(int dir, uint64_t start_ns)
{
	kmn_auto(fd) int fd = openat(dir, "stat", O_RDONLY | O_CLOEXEC);
	char line[1024], *at;
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (n <= 0)
		return false;
	line[n] = '\0';
	at = strrchr(line, ')'); /* a name may hold anything, so the last one counts: field 2 */
	for (int i = 2; at && i < START_FIELD; i++)
		at = strchr(at + 1, ' ');
	return at && strtoull(at, NULL, 10) == start_ns / TICK_NS;
}

struct text tasks_proc_path(const struct process_exec *x, bool exe, char *out, size_t room)
{
	static const char gone[] = " (deleted)";
	const struct text none = { NULL, 0 };
	kmn_auto(fd) int dir = -1;
	char name[32];
	struct stat st;
	ssize_t n;

	(void)snprintf(name, sizeof(name), "/proc/%" PRIu32, x->who.pid);
	dir = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || !same_start(dir, x->who.start_ns))
		return none;
	/* Another program by now? Through an overlay the inode is another one in any case. */
	if (exe && (fstatat(dir, "exe", &st, 0) || (st.st_ino != x->exe_id.ino && x->exe_id.gen)))
		return none;
	n = readlinkat(dir, exe ? "exe" : "cwd", out, room);
	if (n <= 0 || (size_t)n >= room)
		return none;
	if (exe && (x->flags & PROCESS_DELETED) && (size_t)n > sizeof(gone) &&
	    !memcmp(out + n - (sizeof(gone) - 1), gone, sizeof(gone) - 1))
		n -= (ssize_t)sizeof(gone) - 1;
	return (struct text){ out, (uint32_t)n };
}
