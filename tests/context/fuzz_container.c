#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "context/cgroup_path.h"
#include "context/container.h"
#include "context/runtime_json.h"

/* Paths of cgroups and files of runtimes. The first byte says which; what comes out must lie inside
 * what went in, and an id must be fit for a path. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct text part, struct text whole)
{
	if (part.p && (part.p < whole.p || part.p + part.len > whole.p + whole.len))
		abort();
}

static void take(void *self, enum container_fact fact, const char *key, const char *value)
{
	size_t *sum = self;

	if (!value || (fact == CONTAINER_FACT_LABEL) != (key != NULL))
		abort();
	*sum += strlen(value) + (key ? strlen(key) : 0); /* read every byte of both */
}

static void match(struct text path)
{
	struct cgroup_match m;

	cgroup_match(path, &m);
	inside(m.id, path);
	inside(m.namespace_, path);
	inside(m.pod_uid, path);
	inside(m.cgroup, path);
	if ((m.kind == CGROUP_HOST) != !m.id.p || (m.id.p && !cgroup_id_is_safe(m.id)))
		abort();
	if (m.kind != CGROUP_HOST &&
	    (m.cgroup.p != path.p || m.id.p + m.id.len > path.p + path.len))
		abort();
}

/* A table of the smallest size, fed with lines: "m /path" made, "d" removed, "r /path" renamed,
 * each with the id that the second byte names. */
static void feed(const char *p, const char *end)
{
	struct container_limits limits = { .cgroups = 64,
					   .containers = 64,
					   .host_root = "/nowhere" };
	struct container_table *c = container_table_new(&limits);
	struct container_view v;

	if (!c)
		abort();
	for (uint64_t now = 1; p + 2 <= end; now++) {
		const char *line = memchr(p, '\n', (size_t)(end - p));
		const char *stop = line ? line : end;
		uint64_t id = (uint8_t)p[1];
		struct text path = { p + 2, stop > p + 2 ? (uint32_t)(stop - p - 2) : 0 };

		if (p[0] == 'm')
			(void)container_cgroup_made(c, id, path, now);
		else if (p[0] == 'd')
			(void)container_cgroup_removed(c, id, now);
		else if (p[0] == 'r')
			(void)container_cgroup_renamed(c, id, path, now);
		else
			container_tick(c, now << 30);
		if (container_describe(c, id, &v) && (!v.id.len || v.id.len > CGROUP_ID_MAX))
			abort();
		p = stop + 1;
	}
	container_table_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t sum = 0;
	struct container_facts out = { take, &sum };
	char *text;

	if (!size)
		return 0;
	text = malloc(size); /* exact, so that one byte too far is seen */
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	switch (data[0]) {
	case 'o':
		(void)runtime_json_oci(text, size - 1, &out);
		break;
	case 'd':
		(void)runtime_json_docker(text, size - 1, &out);
		break;
	case 'r':
		(void)runtime_json_runc(text, size - 1, &out);
		break;
	case 's':
		(void)runtime_json_storage(text, size - 1, "id", &out);
		break;
	case 't':
		feed(text, text + size - 1);
		break;
	default:
		match((struct text){ text, (uint32_t)size - 1 });
	}
	free(text);
	return 0;
}
