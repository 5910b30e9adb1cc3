#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "context/container.h"
#include "context/process.h"
#include "core/kernel.h"

/* The cgroups of this kernel: their ids, and finding one of which only the id is known. Root. */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct kernel kernel;
static struct container_view v;
static char made[3][256];
static uint64_t id[3];

/* The id of a cgroup as the kernel's own handle has it. source: name_to_handle_at(2) */
static uint64_t handle_of(const char *path)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = { .h = { .handle_bytes = MAX_HANDLE_SZ } };
	uint64_t n;
	int mount_id;

	assert_int_equal(name_to_handle_at(AT_FDCWD, path, &handle.h, &mount_id, 0), 0);
	assert_int_equal(handle.h.handle_bytes, sizeof(n));
	memcpy(&n, handle.h.f_handle, sizeof(n));
	return n;
}

static int setup(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() || kernel_probe(&kernel) < 0 || !*kernel.cgroup_root)
		return 0;
	for (int i = 0; i < 3; i++) {
		(void)snprintf(made[i], sizeof(made[i]), "%s/kmn-%d%s%s", kernel.cgroup_root,
			       getpid(), i ? "/" ID : "", i == 2 ? "/inner" : "");
		if (mkdir(made[i], 0755) < 0 || stat(made[i], &st) < 0)
			return -1;
		id[i] = st.st_ino;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 2; i >= 0; i--)
		if (*made[i])
			(void)rmdir(made[i]);
	return 0;
}

static void need_cgroups(void)
{
	if (!*made[0]) {
		print_message("needs root and a mounted cgroup hierarchy\n");
		skip();
	}
}

static void the_inode_number_of_a_cgroup_is_its_id(void **state)
{
	(void)state;
	need_cgroups();
	for (int i = 0; i < 3; i++)
		assert_int_equal(id[i], handle_of(made[i]));
}

static void the_walk_at_start_takes_in_the_containers(void **state)
{
	struct container_table *c = container_table_new(NULL);

	(void)state;
	need_cgroups();
	assert_true(container_walk(c, kernel.cgroup_root, clock_boot_ns()) >= 4);
	assert_false(container_describe(c, id[0], &v));
	for (int i = 1; i < 3; i++) {
		assert_true(container_describe(c, id[i], &v));
		assert_memory_equal(v.id.p, ID, v.id.len);
		assert_int_equal(v.id.len, strlen(ID));
	}
	container_table_free(c);
}

static void a_cgroup_that_nobody_told_of_is_found_by_its_id(void **state)
{
	struct container_table *c = container_table_new(NULL);
	struct container_stats s;
	char late[512];
	struct stat st;

	(void)state;
	need_cgroups();
	assert_true(container_walk(c, kernel.cgroup_root, clock_boot_ns()) >= 4);
	(void)snprintf(late, sizeof(late), "%s/docker-" ID ".scope", made[0]);
	assert_int_equal(mkdir(late, 0755), 0);
	assert_int_equal(stat(late, &st), 0);
	assert_false(container_describe(c, st.st_ino, &v));
	assert_true(container_wants_tick(c));
	container_tick(c, clock_boot_ns());
	assert_true(container_describe(c, st.st_ino, &v));
	assert_int_equal(v.runtime.len, strlen("docker"));
	container_table_stats(c, &s);
	assert_int_equal(s.resolved, 1);
	assert_int_equal(rmdir(late), 0);
	/* one that is gone is no harm */
	assert_false(container_describe(c, st.st_ino + 1000000, &v));
	container_tick(c, clock_boot_ns());
	container_table_free(c);
}

static void a_snapshot_knows_the_cgroup_of_a_process(void **state)
{
	struct process_host host = { .proc_root = "/proc",
				     .cgroup_root = kernel.cgroup_root,
				     .cgroup_name = kernel.cgroup_name };
	struct process_table *t = process_table_new(NULL);
	struct container_table *c = container_table_new(NULL);
	struct process_chain chain;
	char procs[512];
	int fd, pipe_to[2];
	pid_t pid;

	(void)state;
	need_cgroups();
	assert_int_equal(pipe2(pipe_to, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) { /* until the pipe closes */
		char byte;

		close(pipe_to[1]);
		_exit((int)read(pipe_to[0], &byte, 1));
	}
	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", made[2]);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "%d\n", pid) > 0);
	close(fd);
	process_table_containers(t, c);
	assert_true(container_walk(c, kernel.cgroup_root, clock_boot_ns()) >= 4);
	assert_true(process_snapshot(t, &host) > 1);
	assert_true(process_describe(t, (uint32_t)pid, 0, 0, &chain));
	assert_int_equal(chain.container.cgroup_id, id[2]);
	assert_memory_equal(chain.container.id.p, ID, strlen(ID));
	assert_true(process_describe(t, (uint32_t)getpid(), 0, 0, &chain));
	assert_int_equal(chain.container.id.len, 0);
	close(pipe_to[1]);
	close(pipe_to[0]);
	process_table_free(t);
	container_table_free(c);
	for (int i = 0; i < 100 && rmdir(made[2]) < 0; i++) /* until the child has left */
		usleep(20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_inode_number_of_a_cgroup_is_its_id),
		cmocka_unit_test(the_walk_at_start_takes_in_the_containers),
		cmocka_unit_test(a_cgroup_that_nobody_told_of_is_found_by_its_id),
		cmocka_unit_test(a_snapshot_knows_the_cgroup_of_a_process),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
