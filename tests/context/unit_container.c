#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "context/bolt_make.h"
#include "context/cgroup_path.h"
#include "context/container.h"
#include "context/count_malloc.h"
#include "context/host_file.h"

/* Paths as each runtime makes them, and a folder with the files that they write. */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "6b5b9e2c-1f7a-4f0e-9d2b-0123456789ab"
#define UID_ "6b5b9e2c_1f7a_4f0e_9d2b_0123456789ab"
#define S(n) ((uint64_t)(n)*NS_PER_S)

static char root[] = "/tmp/komainu-container-XXXXXX";
static struct container_view v;

static const char *below(const char *path)
{
	static char text[4][4096];
	static int turn;
	char *p = text[turn++ % 4];

	(void)snprintf(p, sizeof(text[0]), "%s/%s", root, path);
	return p;
}

static void make_folders(const char *path) /* all but the last part */
{
	char text[4096];

	(void)snprintf(text, sizeof(text), "%s", path);
	for (char *p = text + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		assert_true(!mkdir(text, 0755) || errno == EEXIST);
		*p = '/';
	}
}

static void put_bytes(const char *path, const char *bytes, size_t len)
{
	int fd;

	make_folders(below(path));
	fd = open(below(path), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void put_file(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static int one_gone(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	struct container_limits limits = { .host_root = root };

	memcpy(strstr(root, "container-") + 10, "XXXXXX", 6);
	if (!mkdtemp(root))
		return -1;
	*state = container_table_new(&limits);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	container_table_free(*state);
	return nftw(root, one_gone, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is(struct text t, const char *s)
{
	if (t.len == strlen(s) && !memcmp(t.p ? t.p : "", s, t.len))
		return true;
	print_message("has \"%.*s\", not \"%s\"\n", (int)t.len, t.p ? t.p : "", s);
	return false;
}

static bool made(struct container_table *c, uint64_t id, const char *path)
{
	return container_cgroup_made(c, id, text_of(path), S(1));
}

static struct container_stats stats_of(const struct container_table *c)
{
	struct container_stats s;

	container_table_stats(c, &s);
	return s;
}

static void ticks(struct container_table *c, int seconds)
{
	for (int i = 0; i < seconds; i++)
		container_tick(c, S(100 + i));
}

/* ---- paths ---- */

static void each_runtime_names_its_cgroups(void **state)
{
	static const struct {
		const char *path;
		enum cgroup_kind kind;
		enum runtime runtime;
		const char *id, *pod, *cgroup;
	} cases[] = {
		/* docker: systemd, cgroupfs, a parent of the user's choice */
		{ "/system.slice/docker-" ID ".scope", CGROUP_CONTAINER, RUNTIME_DOCKER, ID, "",
		  "/system.slice/docker-" ID ".scope" },
		{ "/docker/" ID, CGROUP_CONTAINER, RUNTIME_DOCKER, ID, "", "/docker/" ID },
		{ "/mine/" ID, CGROUP_CONTAINER, RUNTIME_UNKNOWN, ID, "", "/mine/" ID },
		/* Kubernetes: systemd, cgroupfs, and one meant for the other */
		{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
		  ".slice/cri-containerd-" ID ".scope",
		  CGROUP_CONTAINER, RUNTIME_CONTAINERD, ID, UID_,
		  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
		  ".slice/cri-containerd-" ID ".scope" },
		{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope/container",
		  CGROUP_CONTAINER, RUNTIME_CRIO, ID, UID_,
		  "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope" },
		{ "/kubepods/besteffort/pod" UID "/" ID, CGROUP_CONTAINER, RUNTIME_UNKNOWN, ID, UID,
		  "/kubepods/besteffort/pod" UID "/" ID },
		{ "/kubepods/pod" UID "/crio-" ID, CGROUP_CONTAINER, RUNTIME_CRIO, ID, UID,
		  "/kubepods/pod" UID "/crio-" ID },
		{ "/system.slice/containerd.service/kubepods-besteffort-pod" UID_
		  ".slice:cri-containerd:" ID,
		  CGROUP_CONTAINER, RUNTIME_CONTAINERD, ID, UID_,
		  "/system.slice/containerd.service/kubepods-besteffort-pod" UID_
		  ".slice:cri-containerd:" ID },
		/* podman: root, in a pod, without root, cgroupfs */
		{ "/machine.slice/libpod-" ID ".scope", CGROUP_CONTAINER, RUNTIME_PODMAN, ID, "",
		  "/machine.slice/libpod-" ID ".scope" },
		{ "/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope/container",
		  CGROUP_CONTAINER, RUNTIME_PODMAN, ID, "",
		  "/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope" },
		{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
		  CGROUP_CONTAINER, RUNTIME_PODMAN, ID, "",
		  "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope" },
		{ "/libpod_parent/libpod-" ID, CGROUP_CONTAINER, RUNTIME_PODMAN, ID, "",
		  "/libpod_parent/libpod-" ID },
		/* inside a container: its own, whatever the names there are */
		{ "/docker/" ID "/docker/" ID2, CGROUP_CONTAINER, RUNTIME_DOCKER, ID, "",
		  "/docker/" ID },
		{ "/system.slice/docker-" ID ".scope/init.scope", CGROUP_CONTAINER, RUNTIME_DOCKER,
		  ID, "", "/system.slice/docker-" ID ".scope" },
		{ "/docker/" ID "/crio-conmon-" ID2 ".scope", CGROUP_CONTAINER, RUNTIME_DOCKER, ID,
		  "", "/docker/" ID },
		{ "//docker//" ID "/", CGROUP_CONTAINER, RUNTIME_DOCKER, ID, "", "//docker//" ID },
		/* names that anyone may give: the files must confirm them */
		{ "/default/web", CGROUP_MAYBE, RUNTIME_UNKNOWN, "web", "", "/default/web" },
		{ "/web", CGROUP_MAYBE, RUNTIME_UNKNOWN, "web", "", "/web" },
		{ "/system.slice/runc-web.scope", CGROUP_MAYBE, RUNTIME_RUNC, "web", "",
		  "/system.slice/runc-web.scope" },
		/* the host's */
		{ "/", CGROUP_HOST, 0, "", "", "" },
		{ "", CGROUP_HOST, 0, "", "", "" },
		{ "/init.scope", CGROUP_HOST, 0, "", "", "" },
		{ "/system.slice/ssh.service", CGROUP_HOST, 0, "", "", "" },
		{ "/kubepods.slice/kubepods-pod" UID_ ".slice", CGROUP_HOST, 0, "", "", "" },
		{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope",
		  CGROUP_HOST, 0, "", "", "" },
		{ "/machine.slice/libpod-conmon-" ID ".scope", CGROUP_HOST, 0, "", "", "" },
		{ "/libpod_parent/conmon", CGROUP_HOST, 0, "", "", "" },
		{ "/system.slice/docker-short.scope", CGROUP_HOST, 0, "", "", "" },
		{ "/system.slice/docker-" ID "0.scope", CGROUP_HOST, 0, "", "", "" },
		{ "/system.slice/docker.service", CGROUP_HOST, 0, "", "", "" },
		{ "/a b/c d", CGROUP_HOST, 0, "", "", "" },
		{ "/x/..", CGROUP_HOST, 0, "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cgroup_match m;

		cgroup_match(text_of(cases[i].path), &m);
		assert_int_equal(m.kind, cases[i].kind);
		assert_int_equal(m.runtime, cases[i].runtime);
		assert_true(is(m.id, cases[i].id));
		assert_true(is(m.pod_uid, cases[i].pod));
		assert_true(is(m.cgroup, cases[i].cgroup));
	}
}

static void an_id_that_cannot_be_a_file_name_is_refused(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "a/b", "a b", "a\nb", "é", "a\\b", "a:b"
	};
	static const char *const good[] = { "a", "...", "A-1_b.c", ID };
	char long_id[CGROUP_ID_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cgroup_id_is_safe(text_of(bad[i])));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(cgroup_id_is_safe(text_of(good[i])));
	memset(long_id, 'a', sizeof(long_id));
	assert_true(cgroup_id_is_safe((struct text){ long_id, CGROUP_ID_MAX }));
	assert_false(cgroup_id_is_safe((struct text){ long_id, CGROUP_ID_MAX + 1 }));
	assert_false(cgroup_id_is_safe((struct text){ "a\0b", 3 }));
}

/* ---- the table ---- */

static void a_container_is_known_by_the_path_before_any_file_is_read(void **state)
{
	struct container_table *c = *state;

	assert_true(made(c, 7, "/system.slice/docker-" ID ".scope"));
	assert_true(made(c, 8, "/system.slice/ssh.service"));
	assert_true(container_describe(c, 7, &v));
	assert_true(is(v.id, ID));
	assert_true(is(v.runtime, "docker"));
	assert_null(v.name.p);
	assert_int_equal(v.cgroup_id, 7);
	assert_false(container_describe(c, 8, &v));
	assert_int_equal(v.id.len, 0);
	assert_int_equal(v.cgroup_id, 0);
	assert_false(container_describe(c, 0, &v));
	assert_false(made(c, 7, "/system.slice/docker-" ID ".scope")); /* the other instance */
	assert_int_equal(stats_of(c).doubles, 1);
}

static void a_cgroup_inside_a_container_is_the_container(void **state)
{
	struct container_table *c = *state;

	made(c, 1, "/docker/" ID);
	made(c, 2, "/docker/" ID "/init.scope");
	made(c, 3, "/docker/" ID "/docker/" ID2); /* its forged child, or docker in docker */
	made(c, 4, "/docker/" ID "/libpod-conmon-x");
	for (uint64_t id = 1; id <= 4; id++) {
		assert_true(container_describe(c, id, &v));
		assert_true(is(v.id, ID));
	}
	assert_int_equal(stats_of(c).containers, 1);
}

static void a_child_that_is_told_first_makes_its_container_known(void **state)
{
	struct container_table *c = *state;

	made(c, 2, "/docker/" ID "/inner");
	made(c, 1, "/docker/" ID);
	assert_true(container_describe(c, 2, &v));
	assert_true(container_cgroup_removed(c, 1, S(2)));
	made(c, 3, "/docker/" ID); /* the same name again is another one */
	assert_int_equal(stats_of(c).containers, 2);
}

static void a_removed_container_is_told_of_until_room_is_needed(void **state)
{
	struct container_limits limits = { .cgroups = 64, .containers = 64, .host_root = root };
	struct container_table *c = container_table_new(&limits);
	char path[256];

	(void)state;
	assert_non_null(c);
	made(c, 1, "/docker/" ID);
	assert_true(container_cgroup_removed(c, 1, S(2)));
	assert_false(container_cgroup_removed(c, 1, S(2)));
	assert_true(container_describe(c, 1, &v));
	for (uint64_t i = 2; i < 70; i++) {
		(void)snprintf(path, sizeof(path), "/docker/%064llx", (unsigned long long)i);
		made(c, i, path);
	}
	assert_false(container_describe(c, 1, &v));
	assert_int_equal(stats_of(c).evicted_cgroups, 69 - 64 - 1); /* one was gone already */
	assert_int_equal(stats_of(c).evicted_containers, 69 - 64 - 1);
	assert_true(container_describe(c, 69, &v));
	assert_true(stats_of(c).cgroups <= 64 && stats_of(c).containers <= 64);
	container_table_free(c);
}

static void a_renamed_cgroup_is_judged_by_its_new_name(void **state)
{
	struct container_table *c = *state;

	made(c, 1, "/docker/" ID);
	assert_true(container_cgroup_renamed(c, 1, text_of("/docker/" ID2), S(2)));
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.id, ID2));
	assert_false(container_cgroup_renamed(c, 1, text_of("/docker/" ID2), S(2)));
	assert_true(container_cgroup_renamed(c, 1, text_of("/plain"), S(2)));
	assert_false(container_describe(c, 1, &v));
}

static void names_that_are_no_paths_are_the_hosts(void **state)
{
	struct container_table *c = *state;
	static char deep[4000];

	assert_true(made(c, 1, "docker/" ID)); /* not from the root */
	assert_true(container_cgroup_made(c, 2, (struct text){ "/docker/\0" ID, 73 }, S(1)));
	memset(deep, 'x', sizeof(deep));
	deep[0] = '/';
	memcpy(deep + 3000, "/" ID, 65);
	assert_true(container_cgroup_made(c, 3, (struct text){ deep, 3065 }, S(1)));
	for (int i = 0; i < 4000; i += 2)
		memcpy(deep + i, "/a", 2);
	assert_true(container_cgroup_made(c, 4, (struct text){ deep, 4000 }, S(1)));
	assert_true(container_cgroup_made(c, 5, (struct text){ NULL, 0 }, S(1)));
	assert_false(made(c, 0, "/docker/" ID));
	for (uint64_t id = 1; id <= 5; id++)
		assert_false(container_describe(c, id, &v));
	ticks(c, 40);
	assert_int_equal(stats_of(c).containers, 0);
	assert_int_equal(stats_of(c).refused_names, 2); /* too long to be kept */
}

/* ---- files ---- */

static void docker_tells_name_image_and_labels(void **state)
{
	struct container_table *c = *state;

	put_file("var/lib/docker/containers/" ID "/config.v2.json",
		 "{\"ID\":\"" ID "\",\"Name\":\"/shop-db\",\"Image\":\"sha256:00\",\"Config\":{"
		 "\"Image\":\"postgres:16\",\"Labels\":{\"app\":\"cart\",\"empty\":\"\","
		 "\"io.kubernetes.pod.name\":\"p\",\"io.kubernetes.pod.namespace\":\"shop\"}}}");
	made(c, 1, "/system.slice/docker-" ID ".scope");
	assert_true(container_wants_tick(c));
	ticks(c, 1);
	assert_false(container_wants_tick(c));
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.name, "shop-db"));
	assert_true(is(v.image, "postgres:16"));
	assert_true(is(v.pod, "p"));
	assert_true(is(v.namespace_, "shop"));
	assert_true(is(container_label(c, 1, "app"), "cart"));
	assert_non_null(container_label(c, 1, "empty").p);
	assert_null(container_label(c, 1, "none").p);
	assert_int_equal(stats_of(c).found, 1);
}

static void containerd_tells_pod_namespace_name_and_image(void **state)
{
	struct container_table *c = *state;

	put_file("run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "/config.json",
		 "{\"ociVersion\":\"1.0.2\",\"annotations\":{"
		 "\"io.kubernetes.cri.container-name\":\"web\","
		 "\"io.kubernetes.cri.image-name\":\"registry.example/web:2\","
		 "\"io.kubernetes.cri.sandbox-name\":\"web-7c9\","
		 "\"io.kubernetes.cri.sandbox-namespace\":\"shop\","
		 "\"io.kubernetes.cri.sandbox-uid\":\"" UID "\"},"
		 "\"linux\":{\"cgroupsPath\":\"kubepods-pod" UID_ ".slice:cri-containerd:" ID
		 "\"}}");
	made(c, 1, "/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope");
	made(c, 2, "/kubepods/pod" UID "/" ID); /* the same files with cgroupfs; no cgroup fits */
	ticks(c, 1);
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.runtime, "containerd"));
	assert_true(is(v.name, "web"));
	assert_true(is(v.image, "registry.example/web:2"));
	assert_true(is(v.pod, "web-7c9"));
	assert_true(is(v.namespace_, "shop"));
	assert_true(is(container_pod_uid(c, 1), UID));
	assert_true(container_describe(c, 2, &v));
	assert_true(is(v.runtime, "containerd")); /* the files told which */
	assert_true(is(container_pod_uid(c, 2), UID));
}

static void containerds_database_tells_image_and_labels(void **state)
{
	static const char database[] = "var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db";
	struct container_table *c = *state;
	static struct bolt_file f;

	put_file("run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "/config.json",
		 "{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"" ID2 "\"}}");
	bolt_containerd(&f, "k8s.io", ID, "registry.example/web:2", "app", "cart");
	put_bytes(database, (char *)f.bytes, f.len);
	made(c, 1, "/system.slice/cri-containerd-" ID ".scope");
	ticks(c, 1);
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.image, "registry.example/web:2"));
	assert_true(is(container_label(c, 1, "app"), "cart"));
	/* the pod's own container has the labels of the pod */
	bolt_containerd(&f, "k8s.io", ID2, "pause", "tier", "front");
	bolt_head(f.bytes, 1, 9, 3); /* an old head: not to be followed */
	put_bytes(database, (char *)f.bytes, f.len);
	made(c, 2, "/kubepods/cri-containerd-" ID ".scope");
	ticks(c, 1);
	assert_true(container_describe(c, 2, &v));
	assert_null(v.image.p);
	assert_true(is(container_label(c, 2, "tier"), "front"));
	/* a broken one costs nothing but itself */
	memset(f.bytes + 2 * BOLT_PAGE, 0xff, BOLT_PAGE);
	put_bytes(database, (char *)f.bytes, f.len);
	made(c, 3, "/broken/cri-containerd-" ID ".scope");
	put_bytes(database, (char *)f.bytes, 100);
	made(c, 4, "/short/cri-containerd-" ID ".scope");
	ticks(c, 1);
	assert_true(container_describe(c, 3, &v) && container_describe(c, 4, &v));
	assert_true(is(v.name, ID));
	assert_null(v.image.p);
}

static void ctr_is_a_container_only_when_its_files_name_the_cgroup(void **state)
{
	struct container_table *c = *state;

	put_file("run/containerd/io.containerd.runtime.v2.task/default/web/config.json",
		 "{\"linux\":{\"cgroupsPath\":\"/default/web\"}}");
	put_file("run/containerd/io.containerd.runtime.v2.task/default/other/config.json",
		 "{\"linux\":{\"cgroupsPath\":\"/elsewhere/other\"}}");
	made(c, 1, "/default/web");
	made(c, 2, "/default/other");
	made(c, 3, "/default/nothing");
	made(c, 4, "/default/web/inner"); /* before the files were read */
	assert_false(container_describe(c, 1, &v));
	ticks(c, 1);
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.id, "web"));
	assert_true(is(v.name, "web"));
	assert_true(is(v.runtime, "containerd"));
	assert_true(container_describe(c, 4, &v));
	assert_true(is(v.id, "web"));
	made(c, 5, "/default/web/later");
	assert_true(container_describe(c, 5, &v));
	assert_true(is(v.id, "web"));
	ticks(c, 60);
	assert_false(container_describe(c, 2, &v));
	assert_false(container_describe(c, 3, &v));
	assert_true(container_describe(c, 4, &v)); /* given up for itself, not for what it is in */
	assert_true(is(v.id, "web"));
	assert_false(container_wants_tick(c));
}

static void podman_tells_name_and_image(void **state)
{
	struct container_table *c = *state;

	put_file("var/lib/containers/storage/overlay-containers/containers.json",
		 "[{\"id\":\"" ID2 "\",\"names\":[\"no\"]},{\"id\":\"" ID "\",\"names\":[\"db\"],"
		 "\"image\":\"00\",\"metadata\":\"{\\\"image-name\\\":\\\"localhost/db:1\\\","
		 "\\\"name\\\":\\\"db\\\"}\"}]");
	put_file("var/lib/containers/storage/overlay-containers/" ID "/userdata/config.json",
		 "{\"annotations\":{\"org.opencontainers.image.stopSignal\":\"15\"},"
		 "\"linux\":{\"cgroupsPath\":\"/libpod_parent/libpod-" ID "\"}}");
	made(c, 1, "/libpod_parent/libpod-" ID);
	ticks(c, 1);
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.runtime, "podman"));
	assert_true(is(v.name, "db"));
	assert_true(is(v.image, "localhost/db:1"));
}

static void crio_tells_pod_and_labels(void **state)
{
	struct container_table *c = *state;

	put_file("run/containers/storage/overlay-containers/" ID "/userdata/config.json",
		 "{\"annotations\":{\"io.kubernetes.cri-o.ContainerID\":\"" ID "\","
		 "\"io.kubernetes.container.name\":\"web\",\"io.kubernetes.pod.name\":\"web-7c9\","
		 "\"io.kubernetes.pod.namespace\":\"shop\",\"io.kubernetes.pod.uid\":\"" UID "\","
		 "\"io.kubernetes.cri-o.ImageName\":\"registry.example/web:2\","
		 "\"io.kubernetes.cri-o.Labels\":\"{\\\"app\\\":\\\"cart\\\"}\"}}");
	made(c, 1, "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope");
	made(c, 2, "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope");
	ticks(c, 1);
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.runtime, "cri-o"));
	assert_true(is(v.name, "web"));
	assert_true(is(v.image, "registry.example/web:2"));
	assert_true(is(v.pod, "web-7c9"));
	assert_true(is(container_label(c, 1, "app"), "cart"));
	assert_false(container_describe(c, 2, &v));
}

static void runc_is_confirmed_by_the_cgroups_in_its_state(void **state)
{
	struct container_table *c = *state;

	put_file("run/runc/web/state.json",
		 "{\"id\":\"web\",\"cgroup_paths\":{\"pids\":\"/sys/fs/cgroup/pids/jobs/web\"},"
		 "\"config\":{\"labels\":[\"bundle=/srv/web\",\"novalue\"]}}");
	put_file("run/runc/evil/state.json",
		 "{\"id\":\"evil\",\"cgroup_paths\":{\"\":\"/sys/fs/cgroup/jobs/web2\"}}");
	put_file("run/runc/silent/state.json", "{\"id\":\"silent\",\"cgroup_paths\":{}}");
	made(c, 1, "/jobs/web");
	made(c, 2, "/jobs/evil");
	made(c, 4, "/jobs/silent");
	made(c, 3, "/other/jobs/web");
	ticks(c, 60);
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.runtime, "runc"));
	assert_true(is(v.name, "web"));
	assert_null(v.image.p);
	assert_true(is(container_label(c, 1, "bundle"), "/srv/web"));
	assert_false(container_describe(c, 2, &v));
	assert_false(container_describe(c, 3, &v));
	assert_false(container_describe(c, 4, &v));
}

static void a_file_that_comes_late_is_found_and_one_that_never_comes_is_given_up(void **state)
{
	struct container_table *c = *state;

	made(c, 1, "/docker/" ID);
	made(c, 2, "/docker/" ID2);
	ticks(c, 3);
	put_file("var/lib/docker/containers/" ID "/config.v2.json",
		 "{\"Name\":\"/late\",\"Config\":{\"Image\":\"i\"}}");
	ticks(c, 60);
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.name, "late"));
	assert_true(container_describe(c, 2, &v)); /* its cgroup says what it is */
	assert_null(v.name.p);
	assert_int_equal(stats_of(c).given_up, 1);
	assert_int_equal(stats_of(c).lookups, 9 + 4); /* and no more */
}

static void a_tick_looks_up_a_few_and_the_next_goes_on(void **state)
{
	struct container_table *c = *state;
	char path[256];

	for (uint64_t i = 1; i <= 30; i++) {
		(void)snprintf(path, sizeof(path), "/docker/%064llx", (unsigned long long)i);
		made(c, i, path);
	}
	container_tick(c, S(100));
	assert_int_equal(stats_of(c).lookups, CONTAINER_LOOKUPS);
	assert_true(container_wants_tick(c));
	for (int i = 0; i < 3; i++)
		container_tick(c, S(100));
	assert_int_equal(stats_of(c).lookups, 30); /* each once: it is too early for more */
	assert_true(container_wants_tick(c));
	for (int i = 0; i < 40; i++)
		container_tick(c, S(101) + i * 20 * NS_PER_MS);
	assert_false(container_wants_tick(c)); /* now once a second is enough */
	assert_true(stats_of(c).lookups > 100);
}

static void the_start_of_a_program_finds_the_name_at_once(void **state)
{
	struct container_table *c = *state;

	made(c, 1, "/jobs/fast");
	assert_false(container_look_now(c, 1, S(1))); /* runc itself: its file comes later */
	assert_false(container_describe(c, 1, &v));
	put_file("run/runc/fast/state.json",
		 "{\"id\":\"fast\",\"cgroup_paths\":{\"\":\"/sys/fs/cgroup/jobs/fast\"}}");
	assert_true(container_look_now(c, 1, S(1)));
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.name, "fast"));
	assert_false(container_look_now(c, 1, S(1)));  /* known */
	assert_false(container_look_now(c, 99, S(1))); /* no cgroup of ours */
	assert_int_equal(stats_of(c).lookups, 2);
	assert_int_equal(stats_of(c).found_now, 1);
}

static void a_container_that_is_gone_within_moments_was_seen(void **state)
{
	struct container_table *c = *state;

	made(c, 1, "/jobs/brief");
	assert_true(container_is_hot(c));
	for (int i = 0; i < 20; i++) /* each tick looks, though no try is due */
		container_tick(c, S(1) + i * 3 * NS_PER_MS);
	assert_false(container_describe(c, 1, &v));
	put_file("run/runc/brief/state.json",
		 "{\"id\":\"brief\",\"cgroup_paths\":{\"\":\"/sys/fs/cgroup/jobs/brief\"}}");
	container_tick(c, S(1) + 63 * NS_PER_MS);
	assert_int_equal(unlink(below("run/runc/brief/state.json")), 0);
	assert_false(container_is_hot(c));
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.name, "brief"));
	for (uint64_t i = 2; i < 2 + 2 * CONTAINER_HOT; i++) { /* one that is none cools down */
		char path[64];

		(void)snprintf(path, sizeof(path), "/jobs/none-%llu", (unsigned long long)i);
		made(c, i, path);
	}
	container_tick(c, S(1) + CONTAINER_HOT_NS - 1);
	assert_true(container_is_hot(c));
	container_tick(c, S(1) + CONTAINER_HOT_NS);
	assert_false(container_is_hot(c));
}

static void looks_at_starts_are_bounded(void **state)
{
	struct container_table *c = *state;
	char path[256];

	for (uint64_t i = 1; i <= CONTAINER_NOW_LOOKS; i++) {
		(void)snprintf(path, sizeof(path), "/docker/%064llx", (unsigned long long)i);
		made(c, i, path);
	}
	for (int i = 0; i < 100; i++)
		(void)container_look_now(c, 1, S(10) + i);
	assert_int_equal(stats_of(c).lookups, CONTAINER_NOW_TRIES); /* of one container */
	for (int i = 0; i < 100; i++)
		for (uint64_t id = 1; id <= CONTAINER_NOW_LOOKS; id++)
			(void)container_look_now(c, id, S(10) + i);
	assert_int_equal(stats_of(c).lookups, CONTAINER_NOW_LOOKS); /* of all, in a second */
	(void)container_look_now(c, CONTAINER_NOW_LOOKS, S(11));
	assert_int_equal(stats_of(c).lookups, CONTAINER_NOW_LOOKS + 1);
}

static void links_and_strange_files_are_not_followed(void **state)
{
	struct container_table *c = *state;
	const char *good = "{\"Name\":\"/leak\",\"Config\":{\"Image\":\"i\"}}";
	char target[4096];

	put_file("secret/config.v2.json", good);
	make_folders(below("var/lib/docker/containers/x"));
	/* the folder of a container as a link, its file as a link, as a pipe, as a folder */
	(void)snprintf(target, sizeof(target), "%s/secret", root);
	assert_int_equal(symlink(target, below("var/lib/docker/containers/" ID)), 0);
	make_folders(below("var/lib/docker/containers/" ID2 "/x"));
	assert_int_equal(symlink("../../../../../secret/config.v2.json",
				 below("var/lib/docker/containers/" ID2 "/config.v2.json")),
			 0);
	made(c, 1, "/docker/" ID);
	made(c, 2, "/docker/" ID2);
	ticks(c, 60);
	assert_true(container_describe(c, 1, &v) && !v.name.p);
	assert_true(container_describe(c, 2, &v) && !v.name.p);
	assert_int_equal(unlink(below("var/lib/docker/containers/" ID2 "/config.v2.json")), 0);
	assert_int_equal(mkfifo(below("var/lib/docker/containers/" ID2 "/config.v2.json"), 0600),
			 0);
	assert_true(container_cgroup_removed(c, 2, S(1)));
	made(c, 3, "/docker/" ID2);
	ticks(c, 60); /* a pipe would stop it */
	assert_true(container_describe(c, 3, &v) && !v.name.p);
	/* the administrator's own links are: /var/lib/docker elsewhere */
	assert_int_equal(rename(below("var/lib/docker"), below("moved")), 0);
	assert_int_equal(symlink("/moved", below("var/lib/docker")), 0);
	put_file("moved/containers/" ID "b/config.v2.json", "");
	assert_int_equal(unlink(below("moved/containers/" ID2 "/config.v2.json")), 0);
	put_file("moved/containers/" ID2 "/config.v2.json", good);
	assert_true(container_cgroup_removed(c, 3, S(1)));
	made(c, 4, "/docker/" ID2);
	ticks(c, 1);
	assert_true(container_describe(c, 4, &v));
	assert_true(is(v.name, "leak"));
}

static void hostile_json_is_refused_or_harmless(void **state)
{
	struct container_table *c = *state;
	char *big = malloc((1 << 20) + 2);
	static const char path[] = "var/lib/docker/containers/" ID "/config.v2.json";
	static const char *const bad[] = {
		"",
		"null",
		"[]",
		"{",
		"{\"Config\":[]}",
		"{\"Name\":\"x\"}",
		"\"Config\"",
		"{}}",
		"{\"Name\":{},\"Config\":{\"Image\":[]}}",
	};
	uint64_t id = 1;

	assert_non_null(big);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) + 3; i++, id++) {
		if (i < sizeof(bad) / sizeof(bad[0])) {
			put_file(path, bad[i]);
		} else if (id % 3 == 0) { /* deep */
			memset(big, '[', 5000);
			put_bytes(path, big, 5000);
		} else if (id % 3 == 1) { /* large */
			memset(big, ' ', (1 << 20) + 1);
			memcpy(big, "{\"Name\":\"big\",\"Config\":{}}", 26);
			put_bytes(path, big, (1 << 20) + 1);
		} else { /* of more values than the tree may have */
			memset(big, ',', 1 << 19);
			memcpy(big, "{\"Name\":\"many\",\"Config\":{\"a\":[1", 31);
			for (int k = 31; k < 1 << 19; k++)
				big[k] = k % 2 ? ',' : '1';
			memcpy(big + (1 << 19) - 4, "1]}}", 4);
			put_bytes(path, big, 1 << 19);
		}
		made(c, id, "/docker/" ID);
		ticks(c, 60);
		assert_true(container_describe(c, id, &v));
		assert_null(v.name.p);
		assert_null(v.image.p);
		assert_true(container_cgroup_removed(c, id, S(1)));
	}
	assert_true(stats_of(c).refused_files >= id - 2);
	free(big);
}

static void more_names_and_labels_than_fit_are_left_out(void **state)
{
	struct container_table *c = *state;
	static char json[16384], image[1800];
	int n;

	memset(image, 'i', sizeof(image) - 1);
	n = snprintf(json, sizeof(json),
		     "{\"Name\":\"/n\",\"Config\":{\"Image\":\"%s\",\"Labels\":{\"fits\":\"1\"",
		     image);
	for (int i = 0; i < 200; i++)
		n += snprintf(json + n, sizeof(json) - (size_t)n, ",\"key%d\":\"value\"", i);
	(void)snprintf(json + n, sizeof(json) - (size_t)n, "}}}");
	put_file("var/lib/docker/containers/" ID "/config.v2.json", json);
	made(c, 1, "/docker/" ID);
	ticks(c, 1);
	assert_true(container_describe(c, 1, &v));
	assert_true(is(v.id, ID));
	assert_true(is(v.name, "n"));
	assert_true(is(v.image, image));
	assert_null(container_label(c, 1, "key199").p);
}

/* ---- cgroups that nobody told of ---- */

static void a_walk_takes_in_what_is_there(void **state)
{
	struct container_table *c = *state;
	struct stat st;

	make_folders(below("cg/docker/" ID "/inner/x"));
	make_folders(below("cg/system.slice/x"));
	assert_int_equal(symlink("..", below("cg/loop")), 0);
	assert_int_equal(container_walk(c, below("cg"), S(1)), 5);
	assert_int_equal(lstat(below("cg/docker/" ID "/inner"), &st), 0);
	assert_true(container_describe(c, st.st_ino, &v));
	assert_true(is(v.id, ID));
	assert_int_equal(lstat(below("cg/system.slice"), &st), 0);
	assert_false(container_describe(c, st.st_ino, &v));
	assert_int_equal(stats_of(c).unknown, 0);
	assert_int_equal(container_walk(c, "", S(1)), 0);
	assert_int_equal(container_walk(c, below("nowhere"), S(1)), -ENOENT);
}

static void an_unknown_cgroup_is_asked_for_once_per_tick_and_counted(void **state)
{
	struct container_table *c = *state;

	for (uint64_t i = 0; i < 1000; i++)
		assert_false(container_describe(c, 1000 + i % 100, &v));
	assert_int_equal(stats_of(c).unknown, 1000);
	assert_true(container_wants_tick(c));
	ticks(c, 1);
	assert_false(container_wants_tick(c));
}

static void describing_and_feeding_allocates_nothing(void **state)
{
	struct container_table *c = *state;
	char path[128];

	count_malloc_begin();
	for (uint64_t i = 1; i <= 20000; i++) {
		(void)snprintf(path, sizeof(path), "/docker/%064llx", (unsigned long long)i);
		made(c, i, path);
		assert_true(container_describe(c, i, &v));
		if (i > 100)
			(void)container_cgroup_removed(c, i - 100, S(1));
	}
	assert_int_equal(count_malloc_n, 0);
	assert_true(stats_of(c).cgroups <= CONTAINER_CGROUPS);
	assert_true(stats_of(c).containers <= CONTAINER_CAPACITY);
	assert_int_equal(stats_of(c).evicted_containers, 0);
	assert_int_equal(stats_of(c).bytes, container_table_memory_max(c));
	assert_true(stats_of(c).bytes <= 12 << 20);
}

static void the_counting_of_allocations_counts(void **state)
{
	void *volatile p;

	(void)state;
	count_malloc_begin();
	p = malloc(10);
	free(p);
	assert_int_equal(count_malloc_n, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_runtime_names_its_cgroups),
		cmocka_unit_test(an_id_that_cannot_be_a_file_name_is_refused),
		CASE(a_container_is_known_by_the_path_before_any_file_is_read),
		CASE(a_cgroup_inside_a_container_is_the_container),
		CASE(a_child_that_is_told_first_makes_its_container_known),
		CASE(a_removed_container_is_told_of_until_room_is_needed),
		CASE(a_renamed_cgroup_is_judged_by_its_new_name),
		CASE(names_that_are_no_paths_are_the_hosts),
		CASE(docker_tells_name_image_and_labels),
		CASE(containerd_tells_pod_namespace_name_and_image),
		CASE(containerds_database_tells_image_and_labels),
		CASE(ctr_is_a_container_only_when_its_files_name_the_cgroup),
		CASE(podman_tells_name_and_image),
		CASE(crio_tells_pod_and_labels),
		CASE(runc_is_confirmed_by_the_cgroups_in_its_state),
		CASE(a_file_that_comes_late_is_found_and_one_that_never_comes_is_given_up),
		CASE(a_tick_looks_up_a_few_and_the_next_goes_on),
		CASE(the_start_of_a_program_finds_the_name_at_once),
		CASE(a_container_that_is_gone_within_moments_was_seen),
		CASE(looks_at_starts_are_bounded),
		CASE(links_and_strange_files_are_not_followed),
		CASE(hostile_json_is_refused_or_harmless),
		CASE(more_names_and_labels_than_fit_are_left_out),
		CASE(a_walk_takes_in_what_is_there),
		CASE(an_unknown_cgroup_is_asked_for_once_per_tick_and_counted),
		CASE(describing_and_feeding_allocates_nothing),
		cmocka_unit_test(the_counting_of_allocations_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
