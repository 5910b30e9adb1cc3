#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Facts in the files of container runtimes. Pure: the text of a file in, facts out. */

enum container_fact {
	CONTAINER_FACT_ID,
	CONTAINER_FACT_NAME,
	CONTAINER_FACT_IMAGE,
	CONTAINER_FACT_POD,
	CONTAINER_FACT_NAMESPACE,
	CONTAINER_FACT_POD_UID,
	CONTAINER_FACT_CGROUP,	/* a cgroup of the container, as the file writes it */
	CONTAINER_FACT_CRIO,	/* CRI-O wrote it, and not podman */
	CONTAINER_FACT_SANDBOX, /* id of the pod's own container, which has the pod's labels */
	CONTAINER_FACT_LABEL,
};

/* key: of a label, else NULL. value lives as long as the call; not NULL. The first of a kind
 * counts. */
struct container_facts {
	void (*tell)(void *self, enum container_fact fact, const char *key, const char *value);
	void *self;
};

#define RUNTIME_JSON_MAX (1 << 20) /* bytes of a file */
#define RUNTIME_JSON_DEPTH 64
#define RUNTIME_JSON_VALUES 32768 /* so that memory for the tree is bounded, about 6 MiB */

/* 0; -EFBIG beyond a bound above; -EBADMSG: not JSON of this shape. json[len] must be readable and
 * 0. */
int runtime_json_oci(const char *json, size_t len, const struct container_facts *out);
int runtime_json_docker(const char *json, size_t len, const struct container_facts *out);
int runtime_json_runc(const char *json, size_t len, const struct container_facts *out);
/* containers.json of containers/storage: all containers; tells of id only, -ENOENT without it. */
int runtime_json_storage(const char *json, size_t len, const char *id,
			 const struct container_facts *out);
