#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "control/life.h"

#define LOCK_FILE "komainu.lock"
#define PATH_BYTES 512
#define FILES_MAX 65536	 /* as many as the loop watches */
#define OOM_SCORE "-900" /* protection goes last, but before what marks itself -1000 */
#define NOTIFY_BYTES 512
#define LARGE_BYTES (256 * 1024) /* given back to the kernel when freed */
#define LIFE_TROUBLE_MAX 192	 /* all refusals together are shorter */

/* ---- folders ---- */

/* Make the parents of path. */
static int make_parents(const char *path)
{
	char part[PATH_BYTES];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - path);

		if (len >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, len);
		part[len] = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int make_folder(const char *what, const char *path, mode_t mode)
{
	kmn_auto(fd) int fd = -1;
	bool made = false;
	struct stat st;
	int r = *path == '/' ? make_parents(path) : -EINVAL;

	if (r < 0)
		return kmn_err(r, "life: %s folder %s", what, path);
	if (!mkdir(path, mode))
		made = true;
	else if (errno != EEXIST)
		return kmn_err(-errno, "life: %s folder %s", what, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return kmn_err(-errno, "life: %s folder %s", what, path);
	if (made && fchmod(fd, mode) < 0) /* whatever the umask is */
		return kmn_err(-errno, "life: %s folder %s", what, path);
	if (!made && ((st.st_uid && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH))))
		return kmn_err(-EPERM,
			       "life: %s folder %s: others may write there: chown root, chmod go-w",
			       what, path);
	return 0;
}

int life_folders(const struct cli_places *places)
{
	int r = make_folder("config", places->config_dir, 0755);

	if (!r)
		r = make_folder("state", places->state_dir, 0700);
	return r ? r : make_folder("run", places->run_dir, 0755);
}

/* ---- limits ---- */

static char refused[LIFE_TROUBLE_MAX]; /* of this process: "what, what" */
static int refused_why;		       /* errno of the last */

static void refuse(const char *what, int why)
{
	size_t len = strlen(refused);

	(void)snprintf(refused + len, sizeof(refused) - len, "%s%s", len ? ", " : "", what);
	refused_why = why;
}

static void raise_limit(int what, const char *refusal, rlim_t to)
{
	struct rlimit now, want = { to, to };

	if (getrlimit(what, &now) == 0 && to != RLIM_INFINITY && now.rlim_max != RLIM_INFINITY &&
	    now.rlim_max > to)
		want.rlim_max = now.rlim_max; /* never lower */
	if (!setrlimit(what, &want))
		return;
	refuse(refusal, errno);
	now.rlim_cur = now.rlim_max;
	(void)setrlimit(what, &now); /* as far as we may */
}

void life_limits(void)
{
	kmn_auto(fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	refused[0] = '\0';
	raise_limit(RLIMIT_MEMLOCK, "locked memory stays limited", RLIM_INFINITY);
	raise_limit(RLIMIT_NOFILE, "descriptors stay limited", FILES_MAX);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		refuse("core dumps stay possible", errno);
	if (fd < 0 || write(fd, OOM_SCORE, strlen(OOM_SCORE)) < 0)
		refuse("the sensor is not spared when memory ends", errno);
	if (*life_trouble())
		log_warn("life: %s", life_trouble());
#ifdef __GLIBC__ /* it would raise it as it goes, and keep the tables of a large policy for good \
		  */
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
#endif
}

const char *life_trouble(void)
{
	static char text[LIFE_TROUBLE_MAX + 64];
	bool rights = refused_why == EPERM || refused_why == EACCES;

	if (!*refused)
		return "";
	(void)snprintf(text, sizeof(text), "%s: %s", refused,
		       rights ? "CAP_SYS_RESOURCE is missing" : strerror(refused_why));
	return text;
}

/* ---- the only one ---- */

int life_lock(const char *run_dir, pid_t *holder)
{
	kmn_auto(fd) int fd = -1;
	char path[PATH_BYTES], pid[24] = "";
	int r = snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir);

	*holder = 0;
	if (r < 0 || (size_t)r >= sizeof(path))
		return kmn_err(-ENAMETOOLONG, "life: lock in %s", run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return kmn_err(-errno, "life: lock %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return kmn_err(-errno, "life: lock %s", path);
		if (read(fd, pid, sizeof(pid) - 1) > 0)
			*holder = (pid_t)strtol(pid, NULL, 10);
		return -EALREADY;
	}
	r = snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(fd, 0) < 0 || write(fd, pid, (size_t)r) != r)
		return kmn_err(-errno, "life: lock %s: write", path);
	r = fd;
	fd = -1;
	return r;
}

int life_begin(const struct cli_places *places)
{
	pid_t holder;
	int r;

	if (geteuid()) {
		(void)cli_need_root("run");
		return -EPERM;
	}
	r = life_folders(places);
	if (r < 0)
		return r;
	life_limits();
	r = life_lock(places->run_dir, &holder);
	if (r == -EALREADY)
		(void)cli_fail(
			CLI_NO,
			"another sensor runs already, pid %d: komainu status asks it, komainu "
			"stop ends it",
			holder);
	return r;
}

/* ---- the service manager ---- */

static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	kmn_auto(fd) int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(sun.sun_path) || (*path != '/' && *path != '@'))
		return;
	memcpy(sun.sun_path, path, len);
	if (*path == '@')
		sun.sun_path[0] = 0; /* the abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&sun,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_debug("life: notify: %s: %s", path, strerror(errno));
}

void life_notify(const char *fmt, ...)
{
	char text[NOTIFY_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a status line may be cut */
	va_end(ap);
	notify(text);
}

void life_reloading(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail on Linux */
	life_notify("RELOADING=1\nMONOTONIC_USEC=%lld",
		    (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

static void watchdog(void *arg)
{
	(void)arg;
	notify("WATCHDOG=1");
}

int life_watchdog(struct loop *loop)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long half_ms = usec ? strtoull(usec, NULL, 10) / 2000 : 0;
	int r;

	if (!half_ms || half_ms > UINT32_MAX || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	r = loop_every(loop, (uint32_t)half_ms, watchdog, NULL);
	return r < 0 ? r : 0;
}
