#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "context/bolt.h"
#include "context/container_self.h"
#include "context/host_file.h"
#include "context/runtime_json.h"

#define CONTAINERD_TASKS "run/containerd/io.containerd.runtime.v2.task"
#define CONTAINERD_DATABASE "var/lib/containerd/io.containerd.metadata.v1.bolt"
#define NAMESPACES_MAX \
	16 /* of containerd, searched for a container whose cgroup does not tell it */

/* What is read of one container, put together before any of it counts. */
struct reading {
	struct container_table *c;
	struct container e; /* as it will be; labels apart, for they stand last in its text */
	char id[CGROUP_ID_MAX + 1], sandbox[CGROUP_ID_MAX + 1], labels[CONTAINER_TEXT];
	size_t labels_len;
	bool cgroup_told, cgroup_fits; /* the last file names cgroups; this one's is among them */
	bool crio;
};

static void free_text(char *p)
{
	free(p);
}
KMN_AUTO_DEFINE(char *, free_text)

/* Does the file's cgroup mean that of the entry? It is a path of the hierarchy, one of the file
 * system, or slice:prefix:ID for systemd, whose unit's name has been matched already. */
static bool cgroup_fits(const struct reading *r, const char *told)
{
	struct text own = container_span(&r->e, r->e.cgroup);
	size_t len = strlen(told), front;

	if (told[0] != '/')
		return memchr(own.p, ':', own.len) || strchr(told, ':');
	if (len < own.len || memcmp(told + len - own.len, own.p, own.len))
		return false;
	front = len - own.len;
	return !front || !strncmp(told, "/sys/fs/cgroup", 14) ||
	       (strlen(r->c->cgroup_root) == front && !strncmp(told, r->c->cgroup_root, front));
}

static void put_first(struct container *e, struct span *s, const char *value)
{
	if (!s->known && *value)
		container_put(e, s, text_of(value));
}

static void put_label(struct reading *r, const char *key, const char *value)
{
	size_t k = strlen(key) + 1, v = strlen(value) + 1, room = sizeof(r->labels) - r->labels_len;

	if (k > room || v > room - k) /* a shorter one may still fit */
		return;
	memcpy(r->labels + r->labels_len, key, k);
	memcpy(r->labels + r->labels_len + k, value, v);
	r->labels_len += k + v;
}

static void take(void *self, enum container_fact fact, const char *key, const char *value)
{
	struct reading *r = self;

	switch (fact) {
	case CONTAINER_FACT_NAME:
		put_first(&r->e, &r->e.name, value);
		break;
	case CONTAINER_FACT_IMAGE:
		put_first(&r->e, &r->e.image, value);
		break;
	case CONTAINER_FACT_POD:
		put_first(&r->e, &r->e.pod, value);
		break;
	case CONTAINER_FACT_NAMESPACE:
		put_first(&r->e, &r->e.namespace_, value);
		break;
	case CONTAINER_FACT_POD_UID:
		put_first(&r->e, &r->e.pod_uid, value);
		break;
	case CONTAINER_FACT_CGROUP:
		r->cgroup_told = true;
		r->cgroup_fits |= cgroup_fits(r, value);
		break;
	case CONTAINER_FACT_CRIO:
		r->crio = true;
		break;
	case CONTAINER_FACT_SANDBOX:
		if (cgroup_id_is_safe(text_of(value)))
			memcpy(r->sandbox, value, strlen(value) + 1);
		break;
	case CONTAINER_FACT_LABEL:
		put_label(r, key, value);
		break;
	case CONTAINER_FACT_ID:
		break;
	}
}

static bool refused(struct reading *r, const char *name, int err)
{
	if (!err)
		return false;
	if (err != -ENOENT && err != -ENOTDIR) {
		r->c->stats.refused_files++;
		log_debug("context: container %s: %s: %s", r->id, name, strerror(-err));
	}
	return true;
}

typedef int parser(const char *json, size_t len, const struct container_facts *out);

/* The file dir/name; true: it is there, and does not speak of another cgroup. */
static bool read_one(struct reading *r, int dir, const char *name, parser *parse)
{
	kmn_auto(free_text) char *text = NULL;
	struct container_facts out = { take, r };
	size_t len;

	r->cgroup_told = r->cgroup_fits = false;
	if (refused(r, name, host_read(dir, name, RUNTIME_JSON_MAX, &text, &len)) ||
	    refused(r, name, parse(text, len, &out)))
		return false;
	return !r->cgroup_told || r->cgroup_fits;
}

/* ---- the runtimes ---- */

static bool read_docker(struct reading *r)
{
	kmn_auto(fd) int all = host_folder(r->c->host_root, "var/lib/docker/containers");
	kmn_auto(fd) int own = all < 0 ? -1 : host_enter(all, r->id);

	if (own < 0 || !read_one(r, own, "config.v2.json", runtime_json_docker))
		return false;
	r->e.runtime = RUNTIME_DOCKER;
	return true;
}

static int read_database(void *self, uint64_t at, void *out, size_t len)
{
	ssize_t n = pread(*(const int *)self, out, len, (off_t)at);

	return n < 0 ? -errno : (size_t)n == len ? 0 : -ENODATA;
}

static void take_label(void *self, struct text key, struct text value)
{
	struct reading *r = self;
	char k[256], v[1024];

	if (key.len >= sizeof(k) || value.len >= sizeof(v) || memchr(key.p, 0, key.len) ||
	    memchr(value.p, 0, value.len))
		return;
	memcpy(k, key.p, key.len);
	k[key.len] = 0;
	memcpy(v, value.p, value.len);
	v[value.len] = 0;
	put_label(r, k, v);
}

/* v1 / namespace / containers / id: image, labels. source: containerd metadata/buckets.go */
static int take_record(struct reading *r, struct bolt *b, const char *namespace_, const char *id)
{
	const char *const path[] = { "v1", namespace_, "containers", id };
	struct bolt_bucket *at = calloc(2, sizeof(*at)); /* 32 KiB: not for the stack */
	struct text image = { NULL, 0 };
	int turn = 0, err = at ? 0 : -ENOMEM;

	if (at)
		bolt_top(b, &at[0]);
	for (size_t i = 0; !err && i < sizeof(path) / sizeof(path[0]); i++, turn ^= 1)
		err = bolt_enter(b, &at[turn], text_of(path[i]), &at[turn ^ 1]);
	if (!err && id == r->id && !r->e.image.known &&
	    !bolt_value(b, &at[turn], text_of("image"), &image) && image.len)
		container_put(&r->e, &r->e.image, image);
	if (!err && !bolt_enter(b, &at[turn], text_of("labels"), &at[turn ^ 1]))
		(void)bolt_each(b, &at[turn ^ 1], take_label, r); /* what could be read of them */
	free(at);
	return err;
}

/* What only containerd's database has. It may change while it is read: then once more. */
static void read_record(struct reading *r, const char *namespace_)
{
	kmn_auto(fd) int dir = host_folder(r->c->host_root, CONTAINERD_DATABASE);
	kmn_auto(fd) int fd = dir < 0 ? -1 : host_open(dir, "meta.db");
	const struct container before = r->e;
	size_t labels_before = r->labels_len;

	for (int tries = 0; fd >= 0 && tries < 3; tries++) {
		struct bolt b = { .read = read_database, .self = &fd };
		bool whole = false;

		if (!bolt_open(&b)) {
			/* without them the rest stands */
			(void)take_record(r, &b, namespace_, r->id);
			if (*r->sandbox && strcmp(r->sandbox, r->id) != 0)
				(void)take_record(r, &b, namespace_, r->sandbox);
			whole = bolt_unchanged(&b);
		}
		bolt_close(&b);
		if (whole)
			return;
		r->e = before;
		r->labels_len = labels_before;
	}
}

static bool read_task(struct reading *r, int tasks, const char *namespace_)
{
	kmn_auto(fd) int space = host_enter(tasks, namespace_);
	kmn_auto(fd) int own = space < 0 ? -1 : host_enter(space, r->id);

	if (own < 0 || !read_one(r, own, "config.json", runtime_json_oci))
		return false;
	if (r->e.state != CONTAINER_SURE && !r->cgroup_fits)
		return false; /* it has to confirm the name */
	r->e.runtime = !strcmp(namespace_, "moby") ? RUNTIME_DOCKER : RUNTIME_CONTAINERD;
	read_record(r, namespace_);
	if (!r->e.name.known && !r->e.pod.known) /* by ctr: it has no other name */
		container_put(&r->e, &r->e.name, text_of(r->id));
	return true;
}

static void close_dir(DIR *d)
{
	(void)closedir(d);
}
KMN_AUTO_DEFINE(DIR *, close_dir)

/* Which namespace it is in only its folder tells. */
static bool read_any_task(struct reading *r, int tasks)
{
	int fd = openat(tasks, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	kmn_auto(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (int i = 0; i < NAMESPACES_MAX && (entry = readdir(d)) != NULL; i++)
		if (cgroup_id_is_safe(text_of(entry->d_name)) && read_task(r, tasks, entry->d_name))
			return true;
	return false;
}

static bool read_containerd(struct reading *r)
{
	kmn_auto(fd) int tasks = host_folder(r->c->host_root, CONTAINERD_TASKS);
	struct text space = container_span(&r->e, r->e.ctr_namespace);
	char name[CGROUP_ID_MAX + 1];

	if (tasks < 0)
		return false;
	if (!cgroup_id_is_safe(space))
		return r->e.state == CONTAINER_SURE && read_any_task(r, tasks);
	memcpy(name, space.p, space.len);
	name[space.len] = 0;
	return read_task(r, tasks, name);
}

static int parse_storage(const char *json, size_t len, const struct container_facts *out)
{
	const struct reading *r = out->self;

	return runtime_json_storage(json, len, r->id, out);
}

/* One folder of containers/storage: names are in one file for all, the rest in each one's own. The
 * cgroup that it names may be that of a pod: the id in the name is enough. */
static bool read_stored(struct reading *r, const char *folder)
{
	kmn_auto(fd) int all = host_folder(r->c->host_root, folder);
	kmn_auto(fd) int own = all < 0 ? -1 : host_enter(all, r->id);
	kmn_auto(fd) int data = own < 0 ? -1 : host_enter(own, "userdata");
	bool found;

	found = all >= 0 && (read_one(r, all, "containers.json", parse_storage) ||
			     read_one(r, all, "volatile-containers.json", parse_storage));
	found |= data >= 0 && read_one(r, data, "config.json", runtime_json_oci);
	return found;
}

/* podman and CRI-O, with the storage drivers that they have. */
static bool read_storage(struct reading *r)
{
	static const char *const folders[] = {
		"var/lib/containers/storage/overlay-containers",
		"run/containers/storage/overlay-containers",
		"var/lib/containers/storage/vfs-containers",
		"run/containers/storage/vfs-containers",
		"var/lib/containers/storage/btrfs-containers",
		"run/containers/storage/btrfs-containers",
	};
	bool found = false;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		found |= read_stored(r, folders[i]);
	if (found)
		r->e.runtime = r->crio ? RUNTIME_CRIO : RUNTIME_PODMAN;
	return found;
}

static bool read_runc(struct reading *r)
{
	kmn_auto(fd) int all = host_folder(r->c->host_root, "run/runc");
	kmn_auto(fd) int own = all < 0 ? -1 : host_enter(all, r->id);

	if (own < 0 || !read_one(r, own, "state.json", runtime_json_runc) || !r->cgroup_fits)
		return false;
	r->e.runtime = RUNTIME_RUNC;
	return true;
}

/* A try that failed leaves nothing of what it read. */
static bool attempt(struct reading *r, const struct container *from,
		    bool (*read)(struct reading *r))
{
	if (read(r))
		return true;
	r->e = *from;
	r->labels_len = 0;
	r->crio = false;
	*r->sandbox = 0;
	return false;
}

int runtime_files_read(struct container_table *c, struct container *e)
{
	static bool (*const readers[RUNTIMES])(struct reading * r) = {
		[RUNTIME_DOCKER] = read_docker,	 [RUNTIME_CONTAINERD] = read_containerd,
		[RUNTIME_PODMAN] = read_storage, [RUNTIME_CRIO] = read_storage,
		[RUNTIME_RUNC] = read_runc,
	};
	static bool (*const any[])(struct reading * r) = { read_docker, read_containerd,
							   read_storage, read_runc };
	struct text id = container_span(e, e->id);
	struct reading r = { .c = c, .e = *e };
	bool found = false;

	if (!cgroup_id_is_safe(id)) { /* matched ones are; one more look costs nothing */
		c->stats.refused_names++;
		return 0;
	}
	memcpy(r.id, id.p, id.len);
	if (e->runtime != RUNTIME_UNKNOWN)
		found = attempt(&r, e, readers[e->runtime]);
	else
		for (size_t i = 0; !found && i < sizeof(any) / sizeof(any[0]); i++)
			found = attempt(&r, e, any[i]);
	if (!found)
		return 0;
	*e = r.e;
	e->labels = (struct span){ .at = e->used, .known = true };
	if (r.labels_len > sizeof(e->text) - e->used) /* whole pairs only */
		r.labels_len = 0;
	memcpy(e->text + e->used, r.labels, r.labels_len);
	e->labels.len = (uint16_t)r.labels_len;
	e->used = (uint16_t)(e->used + r.labels_len);
	return 1;
}
