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

/* cgroup id -> container, kept from cgroup_mkdir records and a walk at start; bounded. */
struct container_table;

/* False and an empty view when the cgroup is not a container's. Never waits: names come from the
 * runtime's files as soon as a background look-up has read them. */
bool container_describe(struct container_table *t, uint64_t cgroup_id, struct container_view *v);
