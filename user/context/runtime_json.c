#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>
#include "base/auto.h"
#include "context/runtime_json.h"

KMN_AUTO_DEFINE(cJSON *, cJSON_Delete)

/* The size of the tree, before it is made: what a value, a pair and a level begin with, outside
 * strings. */
static int within_bounds(const char *json, size_t len)
{
	size_t values = 0, depth = 0;
	bool string = false;

	if (len > RUNTIME_JSON_MAX)
		return -EFBIG;
	for (size_t i = 0; i < len; i++) {
		char c = json[i];

		if (string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				string = false;
			continue;
		}
		string = c == '"';
		if (c == ',' || c == '[' || c == '{')
			values++;
		if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth)
			depth--;
		if (values > RUNTIME_JSON_VALUES || depth > RUNTIME_JSON_DEPTH)
			return -EFBIG;
	}
	return 0;
}

static int parse(const char *json, size_t len, cJSON **out)
{
	int r = within_bounds(json, len);

	if (r < 0)
		return r;
	*out = cJSON_ParseWithLength(json, len);
	return *out ? 0 : -EBADMSG;
}

static const char *string_of(const cJSON *object, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(v) && *v->valuestring ? v->valuestring : NULL;
}

static void tell(const struct container_facts *out, enum container_fact fact, const char *value)
{
	if (value)
		out->tell(out->self, fact, NULL, value);
}

static void tell_labels(const cJSON *labels, const struct container_facts *out)
{
	const cJSON *v;

	if (!cJSON_IsObject(labels))
		return;
	cJSON_ArrayForEach(v, labels) if (cJSON_IsString(v) && v->string)
		out->tell(out->self, CONTAINER_FACT_LABEL, v->string, v->valuestring);
}

/* Labels as text of JSON inside JSON, as CRI-O keeps them. */
static void tell_inner_labels(const char *json, const struct container_facts *out)
{
	kmn_auto(cJSON_Delete) cJSON *labels = NULL;

	if (json && !parse(json, strlen(json), &labels))
		tell_labels(labels, out);
}

/* What kubelet and docker say in labels. source: kubernetes pkg/kubelet/types/labels.go */
static void tell_kubernetes_labels(const cJSON *labels, const struct container_facts *out)
{
	tell(out, CONTAINER_FACT_NAME, string_of(labels, "io.kubernetes.container.name"));
	tell(out, CONTAINER_FACT_POD, string_of(labels, "io.kubernetes.pod.name"));
	tell(out, CONTAINER_FACT_NAMESPACE, string_of(labels, "io.kubernetes.pod.namespace"));
	tell(out, CONTAINER_FACT_POD_UID, string_of(labels, "io.kubernetes.pod.uid"));
}

/* config.json of the OCI runtime specification, with the annotations of containerd's CRI
 * (pkg/cri/annotations), CRI-O (pkg/annotations) and podman. */
int runtime_json_oci(const char *json, size_t len, const struct container_facts *out)
{
	kmn_auto(cJSON_Delete) cJSON *top = NULL;
	const cJSON *notes, *linux_part;
	int r = parse(json, len, &top);

	if (r < 0)
		return r;
	if (!cJSON_IsObject(top))
		return -EBADMSG;
	linux_part = cJSON_GetObjectItemCaseSensitive(top, "linux");
	tell(out, CONTAINER_FACT_CGROUP, string_of(linux_part, "cgroupsPath"));
	notes = cJSON_GetObjectItemCaseSensitive(top, "annotations");
	if (!cJSON_IsObject(notes))
		return 0;
	tell(out, CONTAINER_FACT_CRIO, string_of(notes, "io.kubernetes.cri-o.ContainerID"));
	tell(out, CONTAINER_FACT_SANDBOX, string_of(notes, "io.kubernetes.cri.sandbox-id"));
	tell(out, CONTAINER_FACT_NAME, string_of(notes, "io.kubernetes.cri.container-name"));
	tell(out, CONTAINER_FACT_IMAGE, string_of(notes, "io.kubernetes.cri.image-name"));
	tell(out, CONTAINER_FACT_POD, string_of(notes, "io.kubernetes.cri.sandbox-name"));
	tell(out, CONTAINER_FACT_NAMESPACE,
	     string_of(notes, "io.kubernetes.cri.sandbox-namespace"));
	tell(out, CONTAINER_FACT_POD_UID, string_of(notes, "io.kubernetes.cri.sandbox-uid"));
	tell_kubernetes_labels(notes, out); /* CRI-O has them here */
	tell(out, CONTAINER_FACT_NAME, string_of(notes, "io.kubernetes.cri-o.Name"));
	tell(out, CONTAINER_FACT_IMAGE, string_of(notes, "io.kubernetes.cri-o.ImageName"));
	tell(out, CONTAINER_FACT_IMAGE, string_of(notes, "io.kubernetes.cri-o.Image"));
	tell_inner_labels(string_of(notes, "io.kubernetes.cri-o.Labels"), out);
	return 0;
}

/* /var/lib/docker/containers/ID/config.v2.json. source: moby container/container.go */
int runtime_json_docker(const char *json, size_t len, const struct container_facts *out)
{
	kmn_auto(cJSON_Delete) cJSON *top = NULL;
	const cJSON *config, *labels;
	const char *name;
	int r = parse(json, len, &top);

	if (r < 0)
		return r;
	tell(out, CONTAINER_FACT_ID, string_of(top, "ID"));
	config = cJSON_GetObjectItemCaseSensitive(top, "Config");
	if (!cJSON_IsObject(config))
		return -EBADMSG;
	labels = cJSON_GetObjectItemCaseSensitive(config, "Labels");
	tell_kubernetes_labels(labels, out);
	name = string_of(top, "Name");
	tell(out, CONTAINER_FACT_NAME, name && name[0] == '/' ? name + 1 : name);
	tell(out, CONTAINER_FACT_IMAGE, string_of(config, "Image"));
	tell_labels(labels, out);
	return 0;
}

/* /run/runc/ID/state.json. source: runc libcontainer/container_linux.go */
int runtime_json_runc(const char *json, size_t len, const struct container_facts *out)
{
	kmn_auto(cJSON_Delete) cJSON *top = NULL;
	const cJSON *paths, *v;
	int r = parse(json, len, &top);

	if (r < 0)
		return r;
	paths = cJSON_GetObjectItemCaseSensitive(top, "cgroup_paths");
	if (!cJSON_IsObject(paths))
		return -EBADMSG;
	tell(out, CONTAINER_FACT_ID, string_of(top, "id"));
	tell(out, CONTAINER_FACT_NAME, string_of(top, "id"));
	cJSON_ArrayForEach(v, paths) if (cJSON_IsString(v) && *v->valuestring)
		tell(out, CONTAINER_FACT_CGROUP, v->valuestring);
	v = cJSON_GetObjectItemCaseSensitive(top, "config");
	v = cJSON_GetObjectItemCaseSensitive(v, "labels"); /* "key=value"; bundle among them */
	if (cJSON_IsArray(v)) {
		const cJSON *label;

		cJSON_ArrayForEach(label, v)
		{
			char *equal =
				cJSON_IsString(label) ? strchr(label->valuestring, '=') : NULL;

			if (!equal)
				continue;
			*equal = 0;
			out->tell(out->self, CONTAINER_FACT_LABEL, label->valuestring, equal + 1);
		}
	}
	return 0;
}

/* One container of containers.json: names, and JSON in "metadata" by podman (libpod) or CRI-O.
 * source: containers/storage containers.go, podman libpod/storage.go, cri-o internal/storage */
static void tell_stored(const cJSON *container, const struct container_facts *out)
{
	const cJSON *names = cJSON_GetObjectItemCaseSensitive(container, "names");
	const cJSON *first = cJSON_GetArrayItem(names, 0);
	const char *metadata = string_of(container, "metadata");
	kmn_auto(cJSON_Delete) cJSON *meta = NULL;

	tell(out, CONTAINER_FACT_ID, string_of(container, "id"));
	if (metadata && !parse(metadata, strlen(metadata), &meta)) {
		if (string_of(meta, "pod-id")) {
			tell(out, CONTAINER_FACT_CRIO, "");
			tell(out, CONTAINER_FACT_POD, string_of(meta, "pod-name"));
			tell(out, CONTAINER_FACT_POD_UID, string_of(meta, "uid"));
			tell(out, CONTAINER_FACT_NAMESPACE, string_of(meta, "namespace"));
		}
		tell(out, CONTAINER_FACT_IMAGE, string_of(meta, "image-name"));
		tell(out, CONTAINER_FACT_NAME, string_of(meta, "name"));
	}
	if (cJSON_IsString(first) && *first->valuestring)
		tell(out, CONTAINER_FACT_NAME, first->valuestring);
}

int runtime_json_storage(const char *json, size_t len, const char *id,
			 const struct container_facts *out)
{
	kmn_auto(cJSON_Delete) cJSON *top = NULL;
	const cJSON *v;
	int r = parse(json, len, &top);

	if (r < 0)
		return r;
	if (!cJSON_IsArray(top))
		return -EBADMSG;
	cJSON_ArrayForEach(v, top)
	{
		const char *has = string_of(v, "id");

		if (has && !strcmp(has, id)) {
			tell_stored(v, out);
			return 0;
		}
	}
	return -ENOENT;
}
