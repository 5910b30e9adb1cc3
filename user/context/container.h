#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/text.h"

/* What an event says of a container; views like process_view. id empty: not in a container. */
struct container_view {
	struct text id;	     /* full id, 64 hex digits with most runtimes */
	struct text runtime; /* containerd docker podman cri-o runc; "unknown" */
	struct text name, image, pod, namespace_;
	uint64_t cgroup_id;
};

/* cgroup id -> container, kept from cgroup_mkdir records and a walk at start; bounded. Of cgroups
 * inside one another the outermost that is a container's counts: what a container makes below its
 * own cgroup, under whatever name, stays its own. */
struct container_table;

#define CONTAINER_CGROUPS 8192		 /* cgroups remembered, those of the host included */
#define CONTAINER_CAPACITY 2048		 /* containers remembered */
#define CONTAINER_KEEP_NS 30000000000ULL /* a removed one is wanted this long */
#define CONTAINER_TEXT 2048 /* bytes of names and labels of one container; more is left out */
#define CONTAINER_LOOKUPS 8 /* containers whose files one tick reads */
#define CONTAINER_HOT 8	    /* cgroups that were just made, looked at in each tick */
#define CONTAINER_HOT_NS 400000000ULL /* for so long: a container may come and go within 50 ms */
#define CONTAINER_NOW_TRIES 3	      /* looks at a start inside, beside those of ticks */
#define CONTAINER_NOW_LOOKS 64	      /* of these for all containers, in a second */

struct container_limits {
	uint32_t cgroups, containers; /* 0: as above */
	const char *host_root; /* NULL: ""; where the runtimes' folders are: "/host", copied */
};

/* limits NULL: the defaults. NULL: no memory; logged. */
struct container_table *container_table_new(const struct container_limits *limits);
void container_table_free(struct container_table *c);		      /* NULL is allowed */
uint64_t container_table_memory_max(const struct container_table *c); /* bytes, by formula */

/* False and an empty view when the cgroup is not a container's. Never waits: names come from the
 * runtime's files as soon as a look-up has read them. A cgroup that nobody told of is looked for by
 * the next tick. */
bool container_describe(struct container_table *t, uint64_t cgroup_id, struct container_view *v);

/* A label of the container, by key: {NULL, 0} when it has none, or the files do not tell. Docker
 * and CRI-O tell their labels; see docs/context.md. */
struct text container_label(struct container_table *c, uint64_t cgroup_id, const char *key);
/* The uid of the Kubernetes pod, from the cgroup's path or the files. */
struct text container_pod_uid(struct container_table *c, uint64_t cgroup_id);

/* What records say, on the event path: no file is read. path: from the root of the hierarchy, as
 * the kernel writes it ("/system.slice/docker-ID.scope"); NUL is not needed. True: it was news. */
bool container_cgroup_made(struct container_table *c, uint64_t id, struct text path,
			   uint64_t now_ns);
bool container_cgroup_removed(struct container_table *c, uint64_t id, uint64_t now_ns);
bool container_cgroup_renamed(struct container_table *c, uint64_t id, struct text path,
			      uint64_t now_ns);

/* Take in the cgroups below cgroup_root (kernel->cgroup_root; "": none, 0 is returned), which is
 * remembered, so that later cgroups of unknown path can be found. At start only: reads folders,
 * allocates. Number of cgroups, or -errno, logged. */
int container_walk(struct container_table *c, const char *cgroup_root, uint64_t now_ns);

/* Off the event path, once a second or whenever container_wants_tick() says so: read the files of
 * at most CONTAINER_LOOKUPS containers, each tried a few times with growing pauses, since the file
 * may come after the cgroup; find cgroups of unknown path. */
void container_tick(struct container_table *c, uint64_t now_ns);
/* A program starts in the cgroup: read the files of its container now, unless they have been. A
 * runtime has written them by then, so the first event from inside can name its container. Bounded:
 * CONTAINER_NOW_TRIES for one container, CONTAINER_NOW_LOOKS a second for all. True: they told. */
bool container_look_now(struct container_table *c, uint64_t cgroup_id, uint64_t now_ns);
/* Something new is to be looked up: call container_tick() every few 10 ms until it is not. */
bool container_wants_tick(const struct container_table *c);
/* The cgroup of what may be a container was just made, and its files are not there yet: call
 * container_tick() every few ms until they are, or CONTAINER_HOT_NS has passed. */
bool container_is_hot(const struct container_table *c);

struct container_stats {
	uint64_t cgroups, cgroups_max, containers,
		containers_max; /* in the table now; there is room */
	uint64_t removed_kept;	/* of these cgroups: removed, kept for late events */
	uint64_t made, removed, renamed, doubles;
	uint64_t evicted_cgroups;	   /* still there: found again when asked for */
	uint64_t evicted_containers;	   /* still running: the table is too small for this host */
	uint64_t lookups, found, given_up; /* of files: tries, containers whose names they told, and
					      containers for which there were none */
	uint64_t found_now;	/* of found: at the start of a program, by container_look_now() */
	uint64_t refused_files; /* too large, not JSON, not a plain file; logged at debug */
	uint64_t refused_names; /* ids that cannot be part of a path */
	uint64_t unknown;	/* cgroups asked for whose path was not known */
	uint64_t resolved;	/* of these: found by a tick */
	uint64_t bytes;
};
void container_table_stats(const struct container_table *c, struct container_stats *s);
