#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "core/kernel.h"
#include "core/kernel_try.h"

#define BPFFS "/sys/fs/bpf"
#define BTF_FILE "/sys/kernel/btf/vmlinux"

const char *const kernel_feature_names[KERNEL_FEATURES] = {
	[KERNEL_BTF] = "btf",
	[KERNEL_BPF] = "bpf",
	[KERNEL_RINGBUF] = "ringbuf",
	[KERNEL_TP_BTF] = "tp_btf",
	[KERNEL_FENTRY] = "fentry",
	[KERNEL_LSM] = "lsm",
	[KERNEL_FMOD_RET] = "fmod_ret",
	[KERNEL_TCX] = "tcx",
	[KERNEL_CGROUP_LINK] = "cgroup_link",
	[KERNEL_SK_STORAGE] = "sk_storage",
	[KERNEL_PROBE_READ] = "probe_read",
	[KERNEL_FANOTIFY_PERM] = "fanotify_perm",
};

const char *const kernel_feature_meaning[KERNEL_FEATURES] = {
	[KERNEL_BTF] = "the kernel describes its types, so one build fits it",
	[KERNEL_BPF] = "bpf(2) works for this user",
	[KERNEL_RINGBUF] = "records come through a ring buffer",
	[KERNEL_TP_BTF] = "programs at tracepoints see kernel objects",
	[KERNEL_FENTRY] = "programs at kernel functions",
	[KERNEL_LSM] = "security hooks take programs that deny",
	[KERNEL_FMOD_RET] = "security functions take programs that deny",
	[KERNEL_TCX] = "packet programs hang as links, first in the row",
	[KERNEL_CGROUP_LINK] = "programs at the sockets of a cgroup",
	[KERNEL_SK_STORAGE] = "a socket remembers its process",
	[KERNEL_PROBE_READ] = "programs may read any kernel memory",
	[KERNEL_FANOTIFY_PERM] = "fanotify can deny an open and an exec",
};

void kernel_no(struct kernel *k, enum kernel_feature f, const char *fmt, ...)
{
	va_list ap;

	k->has[f] = false;
	va_start(ap, fmt);
	(void)vsnprintf(k->why[f], sizeof(k->why[f]), fmt, ap); /* cut: it is for a person */
	va_end(ap);
}

/* A short text file, its last line feed removed. -errno. */
static int read_line(const char *path, char *out, size_t size)
{
	kmn_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	if (n < 0)
		return -errno;
	out[n] = 0;
	out[strcspn(out, "\n")] = 0;
	return 0;
}

/* ---- lockdown and the list of LSMs ---- */

static void find_lockdown(struct kernel *k)
{
	char line[128];

	k->lockdown = LOCKDOWN_NONE;
	if (read_line("/sys/kernel/security/lockdown", line, sizeof(line)) < 0) {
		/* Without securityfs the file is missing with and without lockdown. */
		struct statfs fs;

		k->lockdown_known = !statfs("/sys/kernel/security", &fs) &&
				    fs.f_type == (__typeof__(fs.f_type))SECURITYFS_MAGIC;
		return;
	}
	k->lockdown_known = true;
	if (strstr(line, "[integrity]"))
		k->lockdown = LOCKDOWN_INTEGRITY;
	else if (strstr(line, "[confidentiality]"))
		k->lockdown = LOCKDOWN_CONFIDENTIALITY;
}

/* From 6.8 on the kernel tells without securityfs. source: include/uapi/linux/lsm.h */
static int lsm_by_syscall(char *out, size_t size)
{
	static const char *const names[] = { "capability", "selinux", "smack",	  "tomoyo",
					     "apparmor",   "yama",    "loadpin",  "safesetid",
					     "lockdown",   "bpf",     "landlock", "ima",
					     "evm",	   "ipe" };
	const unsigned first = 100, known = sizeof(names) / sizeof(names[0]);
	uint64_t ids[32];
	uint32_t bytes = sizeof(ids);
	size_t len = 0;
#ifdef SYS_lsm_list_modules
	long n = syscall(SYS_lsm_list_modules, ids, &bytes, 0);
#else
	long n = syscall(461, ids, &bytes, 0); /* the same number on every architecture */
#endif

	if (n < 0)
		return -errno;
	out[0] = 0;
	for (long i = 0; i < n && i < 32; i++) {
		const char *name = ids[i] >= first && ids[i] - first < known ? names[ids[i] - first]
									     : "unknown";
		int r = snprintf(out + len, size - len, "%s%s", i ? "," : "", name);

		if (r < 0 || (size_t)r >= size - len)
			return -E2BIG;
		len += (size_t)r;
	}
	return 0;
}

static void find_lsms(struct kernel *k)
{
	int r = read_line("/sys/kernel/security/lsm", k->lsm_list, sizeof(k->lsm_list));

	if (r < 0)
		r = lsm_by_syscall(k->lsm_list, sizeof(k->lsm_list));
	k->lsm_list_known = r == 0;
	if (r < 0) {
		k->lsm_list[0] = 0;
		return;
	}
	for (const char *p = k->lsm_list; *p; p += strcspn(p, ","), p += *p == ',')
		if (!strncmp(p, "bpf", 3) && (!p[3] || p[3] == ','))
			k->lsm_listed = true;
}

/* ---- cgroups ---- */

/* Controllers that runtimes put every container under, best first, with their names in BTF. On a
 * host whose v1 hierarchies have none of them the containers are in cgroup2. */
static const struct {
	const char *name, *btf;
} controllers[] = {
	{ "pids", "pids_cgrp_id" },	  { "memory", "memory_cgrp_id" },
	{ "devices", "devices_cgrp_id" }, { "cpu", "cpu_cgrp_id" },
	{ "freezer", "freezer_cgrp_id" }, { "blkio", "io_cgrp_id" },
};
#define CONTROLLERS (sizeof(controllers) / sizeof(controllers[0]))

#define MOUNT_MAX sizeof(((struct kernel *)0)->cgroup_root)
struct mount {
	char point[MOUNT_MAX]; /* "": none */
	bool whole;	       /* shows the hierarchy from its root */
};

struct mounts {
	struct mount cgroup2;
	struct mount v1[CONTROLLERS];
	bool any_v1; /* some hierarchy of v1, even one without controllers */
};

/* Is name one of the options, which a comma separates? */
static bool option_is_in(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',')
		if (!strncmp(p, name, len) && (!p[len] || p[len] == ',' || p[len] == '\n'))
			return true;
	return false;
}

/* Keep the first mount that is not covered by another (a container's runtime may have mounted its
 * own cgroups over the host's); one that shows the hierarchy's own root beats one that does not. */
static void keep_mount(struct mount *out, const char *below, char *const *field)
{
	/* from inside a cgroup namespace the host's own root is one above */
	bool whole = !strcmp(field[3], "/") || !strncmp(field[3], "/..", 3);
	char point[MOUNT_MAX], dev[32];
	struct stat st;
	int n;

	n = snprintf(point, sizeof(point), "%s%s", below, field[4]);
	if (n < 0 || n >= (int)sizeof(point) || (*out->point && (out->whole || !whole)))
		return;
	if (stat(point, &st) < 0)
		return;
	(void)snprintf(dev, sizeof(dev), "%u:%u", major(st.st_dev), minor(st.st_dev));
	if (strcmp(dev, field[2]) != 0)
		return;
	memcpy(out->point, point, sizeof(point));
	out->whole = whole;
}

/* One line of mountinfo, of mounts that are seen below this folder. source: proc(5) */
static void read_mount(struct mounts *m, const char *below, char *line)
{
	char *field[5], *rest = line, *type, *dash = strstr(line, " - ");

	if (!dash)
		return;
	for (int i = 0; i < 5; i++) {
		field[i] = rest;
		rest = strchr(rest, ' ');
		if (!rest)
			return;
		*rest++ = 0;
	}
	type = dash + 3;
	if (!strncmp(type, "cgroup2 ", 8)) {
		keep_mount(&m->cgroup2, below, field);
	} else if (!strncmp(type, "cgroup ", 7)) {
		const char *options = strrchr(type, ' ') + 1;

		m->any_v1 = true;
		for (size_t i = 0; i < CONTROLLERS; i++)
			if (option_is_in(options, controllers[i].name))
				keep_mount(&m->v1[i], below, field);
	}
}

static void read_mounts(struct mounts *m, const char *table, const char *below)
{
	FILE *f = fopen(table, "re");
	char line[4096];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		read_mount(m, below, line);
	fclose(f);
}

static bool in_other_mounts(void)
{
	struct stat ours, first;

	return !stat("/proc/self/ns/mnt", &ours) && !stat("/proc/1/ns/mnt", &first) &&
	       ours.st_ino != first.st_ino;
}

/* The value of a constant of enum cgroup_subsys_id in the running kernel, which its configuration
 * decides; -1: not there. */
static int subsys_index(const struct btf *btf, const char *name)
{
	int id = btf ? btf__find_by_name_kind(btf, "cgroup_subsys_id", BTF_KIND_ENUM) : -1;
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;
	const struct btf_enum *e = t ? btf_enum(t) : NULL;

	for (int i = 0; t && i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, e[i].name_off), name))
			return e[i].val;
	return -1;
}

static void find_cgroups(struct kernel *k, const struct btf *btf)
{
	struct mounts m = { 0 };

	if (in_other_mounts()) /* in a container that shares the host's processes */
		read_mounts(&m, "/proc/1/mountinfo", "/proc/1/root");
	read_mounts(&m, "/proc/self/mountinfo", "");
	k->cgroups = !m.any_v1 ? CGROUP_V2 : *m.cgroup2.point ? CGROUP_HYBRID : CGROUP_V1;
	k->cgroup_subsys = -1;
	memcpy(k->cgroup2_root, m.cgroup2.point, MOUNT_MAX);
	memcpy(k->cgroup_root, m.cgroup2.point, MOUNT_MAX);
	for (size_t i = 0; i < CONTROLLERS; i++) {
		int index = *m.v1[i].point ? subsys_index(btf, controllers[i].btf) : -1;

		if (index < 0 && (!*m.v1[i].point || btf))
			continue; /* without BTF nothing of ours runs in the kernel to need it */
		k->cgroup_subsys = index;
		memcpy(k->cgroup_root, m.v1[i].point, MOUNT_MAX);
		(void)snprintf(k->cgroup_name, sizeof(k->cgroup_name), "%s", controllers[i].name);
		return;
	}
}

/* ---- all of it ---- */

static bool bpffs_mounted(void)
{
	struct statfs fs;

	return !statfs(BPFFS, &fs) && fs.f_type == (__typeof__(fs.f_type))BPF_FS_MAGIC;
}

int kernel_probe(struct kernel *k)
{
	struct utsname name;
	struct btf *btf;
	int r;

	memset(k, 0, sizeof(*k));
	if (!uname(&name))
		(void)snprintf(k->release, sizeof(k->release), "%.64s", name.release);
	btf = access(BTF_FILE, F_OK) ? NULL : btf__parse(BTF_FILE, NULL);
	k->has[KERNEL_BTF] = btf;
	if (!btf)
		kernel_no(k, KERNEL_BTF, "this kernel does not describe its types in %s: %s",
			  BTF_FILE,
			  errno == ENOENT ? "too old, or built without BTF" : strerror(errno));
	find_lockdown(k);
	find_lsms(k);
	find_cgroups(k, btf);
	k->bpffs = bpffs_mounted();
	r = kernel_try(k, btf);
	btf__free(btf);
	return r;
}

int kernel_mount_bpffs(void)
{
	if (bpffs_mounted())
		return 0;
	if (mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return kmn_err(-errno, "kernel: mount bpffs at %s", BPFFS);
	log_info("kernel: mounted bpffs at %s", BPFFS);
	return 0;
}

const char *kernel_lockdown_name(const struct kernel *k)
{
	static const char *const names[] = { "none", "integrity", "confidentiality" };

	return k->lockdown_known ? names[k->lockdown] : "none or integrity";
}

const char *kernel_cgroups_name(const struct kernel *k)
{
	static const char *const names[] = { "v2", "hybrid", "v1" };

	return names[k->cgroups];
}

void kernel_json(const struct kernel *k, struct json *j)
{
	json_str(j, "release", k->release);
	json_str(j, "lockdown", kernel_lockdown_name(k));
	json_str(j, "cgroups", kernel_cgroups_name(k));
	json_str(j, "cgroup_root", k->cgroup_root);
	json_str(j, "cgroup2_root", k->cgroup2_root);
	json_str(j, "cgroup_controller", k->cgroup_name);
	json_i64(j, "cgroup_subsys", k->cgroup_subsys);
	json_str(j, "lsm_list", k->lsm_list_known ? k->lsm_list : NULL);
	json_bool(j, "bpffs", k->bpffs);
	json_array(j, "features");
	for (int i = 0; i < KERNEL_FEATURES; i++) {
		json_object(j, NULL);
		json_str(j, "name", kernel_feature_names[i]);
		json_str(j, "meaning", kernel_feature_meaning[i]);
		json_bool(j, "has", k->has[i]);
		json_str(j, "why", k->why[i]);
		json_end(j);
	}
	json_end(j);
}
