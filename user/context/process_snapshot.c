#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "base/auto.h"
#include "base/log.h"
#include "context/process_self.h"

#define DELETED " (deleted)" /* what the kernel puts behind the path of a file without a name */
#define FILE_MAX 16384	     /* bytes of status or cgroup that are read */

struct snap {
	struct process_table *t;
	const struct process_host *host;
	int root;   /* proc_root, borrowed */
	bool exact; /* the start of the process in hand is no tick */
	char exe[PROCESS_PATH_KEPT + sizeof(DELETED)], cwd[PROCESS_PATH_KEPT];
	char args[PROCESS_ARGS_KEPT + 1], text[FILE_MAX];
};

static void close_dir(DIR *d)
{
	(void)closedir(d);
}
KMN_AUTO_DEFINE(DIR *, close_dir)

/* Bytes of a file of the process with a NUL behind them, which is not counted; -errno. */
static ssize_t read_all(int dir, const char *name, char *out, size_t size)
{
	kmn_auto(fd) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) != 0) {
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	out[len] = 0;
	return (ssize_t)len;
}

/* stat: pid (comm) state ppid ... starttime is the 22nd; comm may hold anything, even ") R 1".
 * source: proc(5) */
static int read_stat(struct snap *s, int dir, uint32_t *ppid, uint64_t *start_ns)
{
	ssize_t n = read_all(dir, "stat", s->text, sizeof(s->text));
	unsigned long long ticks;
	char *p;

	if (n < 0)
		return (int)n;
	p = strrchr(s->text, ')');
	if (!p || sscanf(p + 1,
			 " %*c %u %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			 "%*d %*d %llu",
			 ppid, &ticks) != 2)
		return -EINVAL;
	*start_ns = ticks * PROCESS_TICK_NS;
	return 0;
}

static int read_creds(struct snap *s, int dir, struct process_creds *c)
{
	ssize_t n = read_all(dir, "status", s->text, sizeof(s->text));
	unsigned long long effective, permitted;
	const char *uid, *gid, *prm, *eff;
	char login[16];

	if (n < 0)
		return (int)n;
	uid = strstr(s->text, "\nUid:"); /* the name before them is escaped: no line feed in it */
	gid = strstr(s->text, "\nGid:");
	prm = strstr(s->text, "\nCapPrm:");
	eff = strstr(s->text, "\nCapEff:");
	if (!uid || !gid || !prm || !eff ||
	    sscanf(uid, "\nUid: %u %u %u", &c->uid, &c->euid, &c->suid) != 3 ||
	    sscanf(gid, "\nGid: %u %u", &c->gid, &c->egid) != 2 ||
	    sscanf(prm, "\nCapPrm: %llx", &permitted) != 1 ||
	    sscanf(eff, "\nCapEff: %llx", &effective) != 1)
		return -EINVAL;
	c->cap_permitted = permitted;
	c->cap_effective = effective;
	c->login_uid = UINT32_MAX;
	if (read_all(dir, "loginuid", login, sizeof(login)) > 0)
		c->login_uid = (uint32_t)strtoul(login, NULL, 10);
	return 0;
}

static struct text read_link(int dir, const char *name, char *out, size_t size)
{
	ssize_t n = readlinkat(dir, name, out, size);

	return n > 0 ? (struct text){ out, (uint32_t)n } : (struct text){ NULL, 0 };
}

/* The path of the executable, and what the kernel's marks in it say. A file may really be called
 * "x (deleted)": then it has a link still. */
static void read_exe(struct snap *s, int dir, struct process_exec *x)
{
	const size_t mark = sizeof(DELETED) - 1;
	struct stat st;

	x->exe = read_link(dir, "exe", s->exe, sizeof(s->exe));
	if (x->exe.len < mark || memcmp(s->exe + x->exe.len - mark, DELETED, mark) ||
	    fstatat(dir, "exe", &st, 0) < 0 || st.st_nlink)
		return;
	x->exe.len -= (uint32_t)mark;
	x->flags |= PROCESS_DELETED;
	if (x->exe.len >= 7 && !memcmp(s->exe, "/memfd:", 7))
		x->flags |= PROCESS_MEMFD;
}

/* The line of the hierarchy that holds containers: "4:cpu,pids:/path", or "0::/path" for v2. */
static char *find_cgroup(char *lines, const char *controller)
{
	size_t want = strlen(controller);

	for (char *line = lines; line && *line;) {
		char *end = strchr(line, '\n'), *names, *path;

		if (end)
			*end++ = 0;
		names = strchr(line, ':');
		path = names ? strchr(++names, ':') : NULL;
		if (path) {
			*path++ = 0;
			if (!want && !*names)
				return path;
			for (char *p = names; want && *p; p += strcspn(p, ","), p += *p == ',')
				if (!strncmp(p, controller, want) && (!p[want] || p[want] == ','))
					return path;
		}
		line = end;
	}
	return NULL;
}

static uint64_t read_cgroup(struct snap *s, int dir)
{
	const char *root = s->host->cgroup_root, *path;
	char whole[FILE_MAX];
	struct stat st;
	int n;

	if (!root || !*root || read_all(dir, "cgroup", s->text, sizeof(s->text)) <= 0)
		return 0;
	path = find_cgroup(s->text, s->host->cgroup_name ? s->host->cgroup_name : "");
	if (!path || !strncmp(path, "/..", 3)) /* beyond what this cgroup namespace shows */
		return 0;
	n = snprintf(whole, sizeof(whole), "%s%s", root, path);
	if (n < 0 || (size_t)n >= sizeof(whole) || stat(whole, &st) < 0)
		return 0;
	return st.st_ino; /* of a cgroup the inode number is the id: kernfs, 5.5 and later */
}

int process_read_identity(const struct process_host *host, int dir, uint64_t *start_ns,
			  uint64_t *cgroup_id)
{
	struct snap s = { .host = host };
	uint32_t ppid;
	int r = read_stat(&s, dir, &ppid, start_ns);

	if (!r)
		*cgroup_id = read_cgroup(&s, dir);
	return r;
}

static int by_pid(const void *key, const void *known)
{
	uint32_t a = *(const uint32_t *)key, b = ((const struct process_running *)known)->pid;

	return a < b ? -1 : a > b;
}

/* What the kernel has told of the process in hand; NULL: nothing, or of another with its pid. */
static const struct process_running *find_known(const struct snap *s, const struct process_who *who)
{
	const struct process_running *k = NULL;

	if (s->host->known)
		k = bsearch(&who->pid, s->host->known, s->host->n_known, sizeof(*k), by_pid);
	return k && k->start_ns / PROCESS_TICK_NS == who->start_ns / PROCESS_TICK_NS ? k : NULL;
}

/* The identity of the executable: the kernel's, or what stat(2) shows. */
static void identify(struct snap *s, int dir, struct process_exec *x)
{
	const struct process_running *k = find_known(s, &x->who);
	struct stat st;

	if (k) {
		x->who.start_ns = k->start_ns;
		x->who.parent_start_ns = k->parent_start_ns;
		if (k->cgroup_id)
			x->who.cgroup_id = k->cgroup_id;
		x->exe_id = k->exe_id;
		x->flags |= k->flags;
		s->exact = true;
		return;
	}
	s->exact = false;
	if (x->exe.p && !fstatat(dir, "exe", &st, 0)) {
		x->exe_id.ino = st.st_ino;
		x->exe_id.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	}
}

static void keep(struct snap *s, const struct process_exec *x)
{
	const struct process_who *who = &x->who;
	struct process_entry *e = process_find(s->t, who->pid, who->start_ns);

	if (e) { /* a record came before, or an earlier snapshot */
		if (!e->cgroup_id)
			e->cgroup_id = who->cgroup_id;
		if (!e->ppid)
			e->ppid = who->ppid;
		if (!e->image && !e->exit_ns)
			process_image_set(s->t, e, x);
		return;
	}
	e = process_make(s->t, who->pid, who->start_ns, who->start_ns, NULL);
	e->bits = PROCESS_BIT_CREDS | PROCESS_BIT_CREDS_SHOWN | (s->exact ? 0 : PROCESS_BIT_TICKS);
	e->source = PROCESS_SNAPSHOT;
	e->ppid = who->ppid;
	e->parent_start_ns = who->parent_start_ns;
	e->cgroup_id = who->cgroup_id;
	e->creds = who->creds;
	process_image_set(s->t, e, x);
}

/* One process; -errno when it is gone, or was another one in between. */
static int take_process(struct snap *s, const char *name)
{
	kmn_auto(fd) int dir = openat(s->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct process_exec x = { .who = { .pid = (uint32_t)strtoul(name, NULL, 10) } };
	uint32_t ppid;
	uint64_t start_ns;
	ssize_t n;
	int r;

	if (dir < 0)
		return -errno;
	r = read_stat(s, dir, &x.who.ppid, &x.who.start_ns);
	if (r < 0)
		return r;
	r = read_creds(s, dir, &x.who.creds);
	if (r < 0)
		return r;
	x.who.cgroup_id = read_cgroup(s, dir);
	read_exe(s, dir, &x);
	x.cwd = read_link(dir, "cwd", s->cwd, sizeof(s->cwd));
	n = read_all(dir, "cmdline", s->args, sizeof(s->args));
	if (n > 0)
		x.args = (struct text){ s->args, (uint32_t)n };
	if (n == PROCESS_ARGS_KEPT)
		x.flags |= PROCESS_ARGS_CUT; /* there may be more */
	identify(s, dir, &x);
	/* an exec meanwhile would mix two programs, but its record follows and replaces both */
	r = read_stat(s, dir, &ppid, &start_ns);
	if (r < 0)
		return r;
	keep(s, &x);
	return 0;
}

/* Do the pids of proc_root mean the same to kill(2)? */
static bool our_pids(int root)
{
	char self[16] = "";
	ssize_t n = readlinkat(root, "self", self, sizeof(self) - 1);

	return n > 0 && strtol(self, NULL, 10) == getpid();
}

int process_snapshot(struct process_table *t, const struct process_host *host)
{
	kmn_auto(close_dir) DIR *d = opendir(host->proc_root);
	struct snap *s;
	struct dirent *entry;
	int taken = 0;

	if (!d)
		return kmn_err(-errno, "context: %s", host->proc_root);
	s = calloc(1, sizeof(*s));
	if (!s)
		return kmn_err(-ENOMEM, "context: snapshot of the processes");
	s->t = t;
	s->host = host;
	s->root = dirfd(d);
	t->pids_are_ours = our_pids(s->root);
	while ((entry = readdir(d)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]) && !take_process(s, entry->d_name))
			taken++;
	free(s);
	return taken;
}
