#pragma once
#include <stdbool.h>
#include "base/text.h"

/* What the path of a cgroup says of a container. Pure; the path is hostile. */
enum cgroup_kind {
	CGROUP_HOST,	  /* no container's, as far as the path tells */
	CGROUP_CONTAINER, /* a container's, by a name that its runtime gives */
	CGROUP_MAYBE, /* a container's if the files of the runtime say so: names anyone may use */
};

enum runtime {
	RUNTIME_UNKNOWN,
	RUNTIME_CONTAINERD,
	RUNTIME_DOCKER,
	RUNTIME_PODMAN,
	RUNTIME_CRIO,
	RUNTIME_RUNC,
	RUNTIMES,
};
extern const char *const runtime_names[RUNTIMES]; /* "unknown" "containerd" ... */

#define CGROUP_ID_MAX 128 /* bytes of a container's id; runc and ctr take any name */

struct cgroup_match {
	enum cgroup_kind kind;
	enum runtime runtime;
	struct text id;		/* inside the path */
	struct text namespace_; /* of containerd ("default"), where the path has it */
	struct text pod_uid;	/* as in the path: with systemd '_' stands for '-' */
	struct text cgroup;	/* the container's own cgroup: the path up to there */
};

/* Match path ("/kubepods/burstable/pod.../ID/child") with the layouts of the runtimes, outermost
 * first; the helpers of a container that share its name (conmon) are the host's. */
void cgroup_match(struct text path, struct cgroup_match *m);

/* May it be one component of a path: 1 to CGROUP_ID_MAX of [A-Za-z0-9_.-], not "." or ".."? */
bool cgroup_id_is_safe(struct text id);
