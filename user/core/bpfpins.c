#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "core/bpfpins.h"
#include "core/tcfilter.h"

KMN_AUTO_DEFINE(DIR *, closedir)

void bpfpins_link_path(const char *root, const char *hook, const char *suffix, char *out,
		       size_t size)
{
	int n = snprintf(out, size, "%s/links/", root);

	(void)snprintf(out + n, size - (size_t)n, "%s%s", hook, suffix);
	for (char *c = out + n; *c; c++)
		if (*c == '/' || *c == '.')
			*c = *c == '/' ? ':' : '_';
}

int bpfpins_mkdir(const char *path)
{
	char part[BPFOBJ_PATH];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return kmn_err(-ENAMETOOLONG, "bpf: %s", path);
	for (char *c = part + 1;; c++) {
		char was = *c;

		if (was != '/' && was)
			continue;
		*c = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return kmn_err(-errno, "bpf: mkdir %s", part);
		*c = was;
		if (!was)
			return 0;
	}
}

/* Unlink all in a folder, then the folder: pins have no depth. Counts into *n what held a link. */
static int drop_folder(const char *path, unsigned *n)
{
	kmn_auto(closedir) DIR *dir = opendir(path);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(dirfd(dir), e->d_name, 0) < 0)
			r = kmn_err(-errno, "bpf: unlink %s/%s", path, e->d_name);
		else if (n)
			(*n)++;
	}
	if (!r && rmdir(path) < 0)
		r = -errno;
	return r;
}

/* Call fn for each instance folder v<abi>/<number> below root. */
static void each_instance(const char *root,
			  void (*fn)(void *arg, const char *path, unsigned abi, __u32 number),
			  void *arg)
{
	kmn_auto(closedir) DIR *top = opendir(root);
	struct dirent *e, *f;

	while (top && (e = readdir(top))) {
		kmn_auto(closedir) DIR *dir = NULL;
		char path[BPFOBJ_PATH], sub[2 * BPFOBJ_PATH];
		unsigned abi;
		__u32 number;

		if (sscanf(e->d_name, "v%u", &abi) != 1)
			continue;
		(void)snprintf(path, sizeof(path), "%s/v%u", root, abi);
		dir = opendir(path);
		while (dir && (f = readdir(dir)))
			if (sscanf(f->d_name, "%u", &number) == 1) {
				(void)snprintf(sub, sizeof(sub), "%s/%u", path, number);
				fn(arg, sub, abi, number);
			}
	}
}

static void highest(void *arg, const char *path, unsigned abi, __u32 number)
{
	__u32 *max = arg;

	(void)path;
	(void)abi;
	if (number > *max)
		*max = number;
}

int bpfpins_find(struct bpfobj *b)
{
	char path[BPFOBJ_PATH], target[64];
	unsigned abi;
	__u32 live;
	ssize_t n;
	int r;

	(void)snprintf(path, sizeof(path), "%s/links", b->root);
	r = bpfpins_mkdir(path);
	if (r < 0)
		return r;
	b->instance = 0;
	each_instance(b->root, highest, &b->instance);
	b->instance++;
	(void)snprintf(path, sizeof(path), "%s/current", b->root);
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		if (sscanf(target, "v%u/%u", &abi, &live) == 2)
			(void)snprintf(b->live, sizeof(b->live), "%s/v%u/%u", b->root, abi, live);
		if (b->live[0] && abi == KMN_ABI)
			memcpy(b->prev, b->live, sizeof(b->prev));
	}
	(void)snprintf(b->own, sizeof(b->own), "%s/v%u/%u", b->root, KMN_ABI, b->instance);
	return bpfpins_mkdir(b->own);
}

static void drop_other(void *arg, const char *path, unsigned abi, __u32 number)
{
	const struct bpfobj *b = arg;

	(void)abi;
	if (!b || number != b->instance)
		(void)drop_folder(path, NULL); /* logged; the next start tries again */
}

/* Pins of hooks that no longer exist: an interface that went, a program that this version lacks. */
static void drop_orphans(struct bpfobj *b)
{
	char path[BPFOBJ_PATH], want[BPFOBJ_PATH];
	kmn_auto(closedir) DIR *dir = NULL;
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "%s/links", b->root);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		bool known = e->d_name[0] == '.';

		for (struct hook *h = hook_next(b->hooks, NULL); h && !known;
		     h = hook_next(b->hooks, h)) {
			bpfpins_link_path(b->root, h->key, "", want, sizeof(want));
			known = !strncmp(strrchr(want, '/') + 1, e->d_name,
					 strlen(strrchr(want, '/') + 1));
		}
		if (!known && unlinkat(dirfd(dir), e->d_name, 0) == 0)
			log_info("bpf: dropped the stale link %s", e->d_name);
	}
}

void bpfobj_drop_previous(struct bpfobj *b)
{
	char now[BPFOBJ_PATH], next[BPFOBJ_PATH], target[64];

	(void)snprintf(now, sizeof(now), "%s/current", b->root);
	(void)snprintf(next, sizeof(next), "%s/current~next", b->root);
	(void)snprintf(target, sizeof(target), "v%u/%u", KMN_ABI, b->instance);
	(void)unlink(next); /* of a start that died here */
	if (symlink(target, next) < 0 || rename(next, now) < 0) {
		(void)kmn_err(-errno, "bpf: %s: mark this instance as the live one", now);
		return; /* the folders stay: the next start must find what is live */
	}
	drop_orphans(b);
	each_instance(b->root, drop_other, b);
}

static void drop_stray(void *arg, const char *path, unsigned abi, __u32 number)
{
	const struct bpfobj *b = arg;

	(void)abi;
	if (number != b->instance && strcmp(path, b->live) != 0)
		(void)drop_folder(path, NULL); /* logged; the next start tries again */
}

void bpfobj_keep_previous(struct bpfobj *b)
{
	if (b->live[0])
		each_instance(b->root, drop_stray, b);
	else
		bpfobj_drop_previous(b);
}

static void drop_any(void *arg, const char *path, unsigned abi, __u32 number)
{
	(void)abi;
	(void)number;
	(void)drop_folder(path, arg);
}

int bpfobj_unload_all(const char *pin_root, unsigned *n)
{
	kmn_auto(closedir) DIR *top = NULL;
	char path[BPFOBJ_PATH];
	struct dirent *e;
	int r, first;

	*n = 0;
	first = tcfilter_remove_all(BPFOBJ_TC_HANDLE, BPFOBJ_TC_PRIORITY, n);
	(void)snprintf(path, sizeof(path), "%s/links", pin_root);
	r = drop_folder(path, n);
	if (r < 0 && !first)
		first = r;
	each_instance(pin_root, drop_any, n);
	(void)snprintf(path, sizeof(path), "%s/current", pin_root);
	(void)unlink(path);
	top = opendir(pin_root);
	while (top && (e = readdir(top))) /* the empty v<abi> folders */
		if (e->d_name[0] == 'v')
			(void)unlinkat(dirfd(top), e->d_name, AT_REMOVEDIR);
	if (rmdir(pin_root) < 0 && errno != ENOENT && !first)
		first = kmn_err(-errno, "bpf: rmdir %s", pin_root);
	return first;
}
