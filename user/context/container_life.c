#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "context/container_self.h"
#include "context/runtime_json.h"

#define ROOM_MIN 64
#define ROOM_MAX (1U << 20)
#define TRIES 9				/* for the files of one container: over 13 seconds */
#define FIRST_PAUSE_NS (50 * NS_PER_MS) /* doubled after each try */
#define WALK_DEPTH 32
#define WALK_PAUSE_NS (10 * NS_PER_S)
#define KERNFS_HANDLE 0xfe /* FILEID_KERNFS. source: include/linux/exportfs.h */
/* While the files of one container are read: the largest file, its strings, its tree (a node and a
 * key for each value), and before or after them a page of a database. */
#define READING_BYTES (RUNTIME_JSON_MAX * 3ULL + RUNTIME_JSON_VALUES * 96ULL)

/* ---- new and free ---- */

static uint32_t bits_for(uint32_t n)
{
	uint32_t bits = 1;

	while ((1U << bits) < n)
		bits++;
	return bits;
}

static uint32_t within(uint32_t n, uint32_t otherwise)
{
	n = n ? n : otherwise;
	return n < ROOM_MIN ? ROOM_MIN : n > ROOM_MAX ? ROOM_MAX : n;
}

uint64_t container_table_memory_max(const struct container_table *c)
{
	return sizeof(*c) + (c->n_cgroups + 1ULL) * sizeof(*c->cgroup) +
	       (c->n_containers + 1ULL) * sizeof(*c->container) + (sizeof(uint32_t) << c->id_bits) +
	       (sizeof(uint32_t) << c->path_bits) + READING_BYTES;
}

struct container_table *container_table_new(const struct container_limits *limits)
{
	static const struct container_limits defaults = { 0 };
	struct container_table *c = calloc(1, sizeof(*c));
	const char *root;

	limits = limits ? limits : &defaults;
	root = limits->host_root ? limits->host_root : "";
	if (!c) {
		(void)kmn_err(-ENOMEM, "context: container table");
		return NULL;
	}
	c->n_cgroups = within(limits->cgroups, CONTAINER_CGROUPS);
	c->n_containers = within(limits->containers, CONTAINER_CAPACITY);
	c->id_bits = bits_for(c->n_cgroups);
	c->path_bits = bits_for(c->n_containers);
	c->cgroup = calloc(c->n_cgroups + 1ULL, sizeof(*c->cgroup));
	c->container = calloc(c->n_containers + 1ULL, sizeof(*c->container));
	c->by_id = calloc((size_t)1 << c->id_bits, sizeof(*c->by_id));
	c->by_path = calloc((size_t)1 << c->path_bits, sizeof(*c->by_path));
	if (strlen(root) >= sizeof(c->host_root) || !c->cgroup || !c->container || !c->by_id ||
	    !c->by_path) {
		(void)kmn_err(strlen(root) >= sizeof(c->host_root) ? -ENAMETOOLONG : -ENOMEM,
			      "context: table of %u containers", c->n_containers);
		container_table_free(c);
		return NULL;
	}
	memcpy(c->host_root, root, strlen(root));
	for (uint32_t i = c->n_cgroups; i; i--) {
		c->cgroup[i].next = c->free_cgroup;
		c->free_cgroup = i;
	}
	for (uint32_t i = c->n_containers; i; i--) {
		c->container[i].next = c->free_container;
		c->free_container = i;
	}
	/* without the seed only the spread suffers */
	(void)!getrandom(&c->seed, sizeof(c->seed), GRND_NONBLOCK);
	return c;
}

void container_table_free(struct container_table *c)
{
	if (!c)
		return;
	free(c->cgroup);
	free(c->container);
	free(c->by_id);
	free(c->by_path);
	free(c);
}

/* ---- the hierarchy on disk ---- */

struct walk {
	struct container_table *c;
	uint64_t now_ns;
	int n;
	size_t len;
	char path[4096];
};

static void close_dir(DIR *d)
{
	(void)closedir(d);
}
KMN_AUTO_DEFINE(DIR *, close_dir)

/* The folder of fd, which is taken, and what is below; its path is that of w. */
static void walk_down(struct walk *w, int fd, int depth)
{
	kmn_auto(close_dir) DIR *d = fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!d || fstat(fd, &st) < 0) {
		if (!d)
			close(fd);
		return;
	}
	container_cgroup_seen(w->c, st.st_ino, (struct text){ w->path, (uint32_t)w->len },
			      w->now_ns);
	w->n++;
	while (depth < WALK_DEPTH && (uint32_t)w->n < w->c->n_cgroups && (entry = readdir(d))) {
		size_t before = w->len, len = strlen(entry->d_name);
		int below;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    before + 1 + len >= sizeof(w->path))
			continue;
		below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0)
			continue; /* gone by now */
		w->path[w->len++] = '/';
		memcpy(w->path + w->len, entry->d_name, len);
		w->len += len;
		walk_down(w, below, depth + 1);
		w->len = before;
	}
}

static int walk(struct container_table *c, uint64_t now_ns)
{
	int fd = open(c->cgroup_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct walk *w;
	int n;

	if (fd < 0)
		return kmn_err(-errno, "context: cgroups in %s", c->cgroup_root);
	w = calloc(1, sizeof(*w));
	if (!w) {
		close(fd);
		return kmn_err(-ENOMEM, "context: cgroups in %s", c->cgroup_root);
	}
	w->c = c;
	w->now_ns = now_ns;
	walk_down(w, fd, 0);
	n = w->n;
	free(w);
	c->walk_wanted = false;
	c->next_walk_ns = now_ns + WALK_PAUSE_NS;
	return n;
}

int container_walk(struct container_table *c, const char *cgroup_root, uint64_t now_ns)
{
	if (!cgroup_root || !*cgroup_root)
		return 0;
	if (strlen(cgroup_root) >= sizeof(c->cgroup_root))
		return kmn_err(-ENAMETOOLONG, "context: cgroups in %s", cgroup_root);
	memcpy(c->cgroup_root, cgroup_root, strlen(cgroup_root) + 1);
	return walk(c, now_ns);
}

/* Where is the cgroup of this id? In kernfs the id is the whole of a file handle. -errno. */
static int path_of_id(int root, uint64_t id, char *path, size_t size)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} handle = { .h = { .handle_bytes = sizeof(id), .handle_type = KERNFS_HANDLE } };
	kmn_auto(fd) int fd = -1;
	char link[64];
	ssize_t n;

	memcpy(handle.room + sizeof(struct file_handle), &id, sizeof(id));
	fd = open_by_handle_at(root, &handle.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, size - 1);
	if (n < 0)
		return -errno;
	path[n] = 0;
	return 0;
}

static void resolve(struct container_table *c, uint64_t now_ns)
{
	kmn_auto(fd) int root =
		*c->cgroup_root ? open(c->cgroup_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	size_t front = strlen(c->cgroup_root);
	char path[4096];

	for (uint32_t i = 0; root >= 0 && i < c->n_unknown; i++) {
		int r = path_of_id(root, c->unknown[i], path, sizeof(path));

		if (r == -EPERM || r == -EOPNOTSUPP || r == -ENOSYS) {
			c->walk_wanted = true;
			break;
		}
		if (r < 0 || strncmp(path, c->cgroup_root, front))
			continue; /* gone, or mounted elsewhere */
		container_cgroup_seen(c, c->unknown[i], text_of(path + front), now_ns);
		c->stats.resolved++;
	}
	c->n_unknown = 0;
}

/* ---- names ---- */

static void look_up(struct container_table *c, struct container *e, uint64_t now_ns)
{
	bool found;

	c->stats.lookups++;
	if (++e->tries == CONTAINER_EAGER_TRIES)
		c->eager--;
	found = runtime_files_read(c, e) == 1;
	if (found) {
		c->stats.found++;
		container_settle(c, e, true);
	} else if (e->tries == TRIES) {
		c->stats.given_up++;
		container_settle(c, e, false);
	} else {
		e->next_try_ns = now_ns + (FIRST_PAUSE_NS << (e->tries - 1));
	}
}

/* Those that were just made: no try of theirs is counted. */
static void look_at_hot(struct container_table *c, uint64_t now_ns)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < c->n_hot; i++) {
		struct container *e = container_at(c, c->hot[i]);

		if (!e || !e->waiting || now_ns >= c->hot_until_ns[i])
			continue;
		c->stats.lookups++;
		if (runtime_files_read(c, e) == 1) {
			c->stats.found++;
			container_settle(c, e, true);
			continue;
		}
		c->hot[left] = c->hot[i];
		c->hot_until_ns[left++] = c->hot_until_ns[i];
	}
	c->n_hot = left;
}

bool container_look_now(struct container_table *c, uint64_t cgroup_id, uint64_t now_ns)
{
	struct cgroup *g = container_cgroup_find(c, cgroup_id);
	struct container *e = g ? container_at(c, g->container) : NULL;

	if (now_ns - c->now_since_ns >= NS_PER_S) {
		c->now_since_ns = now_ns;
		c->now_left = CONTAINER_NOW_LOOKS;
	}
	if (!e || !e->waiting || e->now_tries == CONTAINER_NOW_TRIES || !c->now_left)
		return false;
	c->now_left--;
	e->now_tries++;
	c->stats.lookups++;
	if (runtime_files_read(c, e) != 1)
		return false; /* the ticks go on */
	c->stats.found++;
	c->stats.found_now++;
	container_settle(c, e, true);
	return true;
}

void container_tick(struct container_table *c, uint64_t now_ns)
{
	uint32_t left = CONTAINER_LOOKUPS;

	look_at_hot(c, now_ns);
	if (c->n_unknown)
		resolve(c, now_ns);
	if (c->walk_wanted && *c->cgroup_root && now_ns >= c->next_walk_ns)
		(void)walk(c, now_ns); /* logged */
	for (uint32_t i = 0; i < c->n_containers && c->waiting && left; i++) {
		struct container *e;

		c->cursor = c->cursor % c->n_containers + 1;
		e = &c->container[c->cursor];
		if (e->state == CONTAINER_FREE || !e->waiting || now_ns < e->next_try_ns)
			continue;
		look_up(c, e, now_ns);
		left--;
	}
}
