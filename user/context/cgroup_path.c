#include "context/cgroup_path.h"

/* Sources: opencontainers/runc libcontainer/cgroups and its man page of --systemd-cgroup
 * (slice:prefix:name); containerd pkg/cri (cri-containerd); cri-o internal/config/cgmgr (crio,
 * crio-conmon); podman libpod/container_internal_linux.go (libpod, libpod_parent); dockerd
 * daemon/oci_linux.go (docker); kubelet pkg/kubelet/cm (kubepods, pod<UID>). */

#define HEX_ID 64 /* digits of a full id */

const char *const runtime_names[RUNTIMES] = {
	[RUNTIME_UNKNOWN] = "unknown", [RUNTIME_CONTAINERD] = "containerd",
	[RUNTIME_DOCKER] = "docker",   [RUNTIME_PODMAN] = "podman",
	[RUNTIME_CRIO] = "cri-o",      [RUNTIME_RUNC] = "runc",
};

/* prefix-ID.scope of the systemd drivers, prefix-ID of cgroupfs, and slice:prefix:ID, which a
 * runtime without systemd makes of what kubelet meant for systemd. */
static const struct {
	const char *prefix;
	enum runtime runtime;
	bool any_id; /* not only 64 digits, so that the files must confirm it */
} prefixes[] = {
	{ "docker", RUNTIME_DOCKER, false },	  { "cri-containerd", RUNTIME_CONTAINERD, false },
	{ "nerdctl", RUNTIME_CONTAINERD, false }, { "crio", RUNTIME_CRIO, false },
	{ "libpod", RUNTIME_PODMAN, false },	  { "runc", RUNTIME_RUNC, true },
};
#define PREFIXES (sizeof(prefixes) / sizeof(prefixes[0]))

static bool is_hex_id(struct text t)
{
	if (t.len != HEX_ID)
		return false;
	for (uint32_t i = 0; i < t.len; i++)
		if (!((t.p[i] >= '0' && t.p[i] <= '9') || (t.p[i] >= 'a' && t.p[i] <= 'f')))
			return false;
	return true;
}

bool cgroup_id_is_safe(struct text id)
{
	if (!id.p || !id.len || id.len > CGROUP_ID_MAX || text_is(id, ".") || text_is(id, ".."))
		return false;
	for (uint32_t i = 0; i < id.len; i++) {
		char c = id.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '.' || c == '-'))
			return false;
	}
	return true;
}

static bool begins(struct text t, const char *with)
{
	size_t n = strlen(with);

	return t.len >= n && !memcmp(t.p, with, n);
}

static bool ends(struct text t, const char *with)
{
	size_t n = strlen(with);

	return t.len >= n && !memcmp(t.p + t.len - n, with, n);
}

static struct text cut(struct text t, uint32_t front, uint32_t back)
{
	return (struct text){ t.p + front, t.len - front - back };
}

/* Units of systemd are the host's unless a pattern above says otherwise. */
static bool is_unit(struct text t)
{
	static const char *const suffixes[] = { ".slice", ".scope",  ".service", ".socket",
						".mount", ".device", ".swap",	 ".timer" };

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (ends(t, suffixes[i]))
			return true;
	return false;
}

/* pod<UID>, kubepods-besteffort-pod<UID>.slice */
static bool find_pod(struct text part, struct text *uid)
{
	struct text t = part;

	if (ends(t, ".slice")) {
		t = cut(t, 0, 6);
		if (!begins(t, "kubepods"))
			return false;
		while (t.len > 4 && memcmp(t.p, "-pod", 4))
			t = cut(t, 1, 0);
		if (t.len <= 4)
			return false;
		*uid = cut(t, 4, 0);
		return true;
	}
	if (!begins(t, "pod") || t.len <= 3)
		return false;
	*uid = cut(t, 3, 0);
	return true;
}

/* prefix-ID or prefix-ID.scope */
static bool by_prefix(struct text part, struct cgroup_match *m)
{
	bool scope = ends(part, ".scope");

	for (size_t i = 0; i < PREFIXES; i++) {
		uint32_t n = (uint32_t)strlen(prefixes[i].prefix);
		struct text id;

		if (!begins(part, prefixes[i].prefix) || part.len <= n + 1 || part.p[n] != '-')
			continue;
		id = cut(part, n + 1, 0);
		if (scope && id.len > 6)
			id = cut(id, 0, 6);
		if (is_hex_id(id) && !prefixes[i].any_id)
			m->kind = CGROUP_CONTAINER;
		else if (scope && prefixes[i].any_id && cgroup_id_is_safe(id))
			m->kind = CGROUP_MAYBE;
		else
			continue;
		m->runtime = prefixes[i].runtime;
		m->id = id;
		return true;
	}
	return false;
}

/* slice:prefix:ID as one name */
static bool by_colons(struct text part, struct cgroup_match *m)
{
	const char *first = memchr(part.p, ':', part.len), *second;
	struct text slice, id, prefix;

	if (!first)
		return false;
	second = memchr(first + 1, ':', (size_t)(part.p + part.len - first - 1));
	if (!second)
		return false;
	slice = (struct text){ part.p, (uint32_t)(first - part.p) };
	prefix = (struct text){ first + 1, (uint32_t)(second - first - 1) };
	id = (struct text){ second + 1, (uint32_t)(part.p + part.len - second - 1) };
	if (!is_hex_id(id))
		return false;
	for (size_t i = 0; i < PREFIXES; i++)
		if (text_is(prefix, prefixes[i].prefix))
			m->runtime = prefixes[i].runtime;
	m->kind = CGROUP_CONTAINER;
	m->id = id;
	(void)find_pod(slice, &m->pod_uid);
	return true;
}

/* 64 digits: a container of whatever runtime, which the folder above may name. */
static bool by_digits(struct text part, struct text above, struct cgroup_match *m)
{
	if (!is_hex_id(part))
		return false;
	m->kind = CGROUP_CONTAINER;
	m->id = part;
	if (text_is(above, "docker"))
		m->runtime = RUNTIME_DOCKER;
	else if (text_is(above, "libpod_parent"))
		m->runtime = RUNTIME_PODMAN;
	return true;
}

/* Names of no pattern: /NAMESPACE/ID of ctr, ID of runc. The innermost is asked for: a container
 * may stand below a folder of any name, and its own children are told by the table. */
static void maybe(struct text path, struct text part, struct text above, uint32_t depth,
		  struct cgroup_match *m)
{
	if (!cgroup_id_is_safe(part) || is_unit(part))
		return;
	m->kind = CGROUP_MAYBE;
	m->id = part;
	m->cgroup = path;
	if (depth == 2 && !is_unit(above) && cgroup_id_is_safe(above))
		m->namespace_ = above;
}

void cgroup_match(struct text path, struct cgroup_match *m)
{
	struct text part = { NULL, 0 }, above = { NULL, 0 };
	const char *p = path.p, *end;
	uint32_t depth = 0;

	*m = (struct cgroup_match){ .kind = CGROUP_HOST };
	if (!path.len)
		return;
	end = path.p + path.len;
	while (p < end) {
		const char *slash;

		while (p < end && *p == '/')
			p++;
		if (p == end)
			break;
		slash = memchr(p, '/', (size_t)(end - p));
		above = part;
		part = (struct text){ p, (uint32_t)((slash ? slash : end) - p) };
		p += part.len;
		depth++;
		if (begins(part, "crio-conmon-") || begins(part, "libpod-conmon-") ||
		    text_is(part, "conmon"))
			return; /* the minder outside, with the id of its container in its name */
		if (by_prefix(part, m) || by_colons(part, m) || by_digits(part, above, m)) {
			m->cgroup = (struct text){ path.p, (uint32_t)(p - path.p) };
			if (!m->pod_uid.p && above.p)
				(void)find_pod(above, &m->pod_uid);
			return;
		}
	}
	if (part.p)
		maybe(path, part, above, depth, m);
}
