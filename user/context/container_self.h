#pragma once
#include "context/cgroup_path.h"
#include "context/container.h"

/* Inside the container table. Numbers name entries, 0 is none. */

enum container_state {
	CONTAINER_FREE,
	CONTAINER_SURE,	 /* its cgroup's name or its runtime's files say so */
	CONTAINER_MAYBE, /* the files will tell */
	CONTAINER_NOT,	 /* they told of none: kept so that it is not asked again */
};

/* A part of the text of an entry. */
struct span {
	uint16_t at, len;
	bool known;
};

struct container_ref { /* of an entry that may have been given to another since */
	uint32_t number, generation;
};

struct container {
	uint64_t cgroup_id, path_hash;
	uint64_t removed_ns, next_try_ns;
	struct container_ref outer; /* what encloses it, should this be none */
	uint32_t generation, next, newer, older;
	uint8_t state, runtime, tries, now_tries;
	bool waiting; /* files are to be read */
	struct span id, cgroup, ctr_namespace, pod_uid, name, image, pod, namespace_;
	struct span labels; /* key NUL value NUL ..., the last in text */
	uint16_t used;
	char text[CONTAINER_TEXT];
};

struct cgroup {
	uint64_t id, removed_ns;
	struct container_ref container; /* number 0: the host's */
	uint32_t next, newer, older;
	bool used;
};

struct ends {
	uint32_t newest, oldest, n;
};

#define CONTAINER_EAGER_TRIES 4	 /* over the first third of a second */
#define CONTAINER_UNKNOWN_MAX 64 /* cgroups of unknown path that one tick looks for */

struct container_table {
	struct cgroup *cgroup;	     /* [cgroups + 1] */
	struct container *container; /* [containers + 1] */
	uint32_t *by_id, *by_path;   /* buckets */
	uint32_t n_cgroups, n_containers, id_bits, path_bits;
	uint32_t free_cgroup, free_container;
	struct ends cgroups_live, cgroups_removed; /* by last use; by the order of their ends */
	struct ends live, nots, removed;
	uint32_t waiting, eager, cursor; /* eager: of those waiting, tried a few times at most */
	uint64_t unknown[CONTAINER_UNKNOWN_MAX];
	uint32_t n_unknown;
	uint64_t seed, next_walk_ns;
	struct container_ref hot[CONTAINER_HOT]; /* made by hot_until_ns - CONTAINER_HOT_NS */
	uint64_t hot_until_ns[CONTAINER_HOT];
	uint32_t n_hot;
	uint64_t now_since_ns; /* since when looks at starts are counted */
	uint32_t now_left;     /* of them, in this second */
	bool walk_wanted;      /* a folder was renamed: its children have other paths now */
	char host_root[256], cgroup_root[256];
	struct container_stats stats;
};

struct text container_span(const struct container *c, struct span s);
/* Add a text; one for which there is no room stays unknown. */
void container_put(struct container *c, struct span *s, struct text t);
struct container *container_at(const struct container_table *c, struct container_ref ref);
/* It was asked for: others are forgotten first. e may be NULL. */
void container_used(struct container_table *c, struct cgroup *g, struct container *e);
/* What it is a part of, MAYBEs left out; NULL: nothing known to be a container. */
struct container *container_outermost(struct container_table *c, struct container_ref ref);
struct cgroup *container_cgroup_find(struct container_table *c, uint64_t id);
void container_forget_cgroup(struct container_table *c, struct cgroup *g);
/* path is where the cgroup is now, whatever was known. */
void container_cgroup_seen(struct container_table *c, uint64_t id, struct text path,
			   uint64_t now_ns);
/* The files have told (found) or not; from now on it is a container, or none. */
void container_settle(struct container_table *c, struct container *e, bool found);

/* runtime_files.c: read what the runtime wrote of e. 1: found, its texts and runtime are set; 0:
 * no file tells of it yet. */
int runtime_files_read(struct container_table *c, struct container *e);
