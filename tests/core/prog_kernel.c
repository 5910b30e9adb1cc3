#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/kernel.h"

/* What kernel_probe() says is compared with another way of asking, on whatever kernel this is. */

#define TCX_INGRESS 46 /* enum bpf_attach_type */

static int setup(void **state)
{
	struct kernel *k = malloc(sizeof(*k));

	if (!k)
		return -1;
	*state = k;
	return kernel_probe(k);
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Run fn in a child, so that what it does to itself ends with it. */
static void in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (!pid) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* assert_*() cannot be used in a child: it would run the other tests there. */
static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s (%s)\n", what, strerror(errno));
	_exit(1);
}

static void every_no_has_a_reason_and_no_yes_has_one(void **state)
{
	const struct kernel *k = *state;

	for (int f = 0; f < KERNEL_FEATURES; f++) {
		assert_non_null(kernel_feature_names[f]);
		assert_non_null(kernel_feature_meaning[f]);
		if (k->has[f])
			assert_string_equal(k->why[f], "");
		else
			assert_true(strlen(k->why[f]) > 10);
		if (!k->has[f])
			print_message("no %s: %s\n", kernel_feature_names[f], k->why[f]);
	}
}

static void root_on_a_supported_kernel_has_what_is_essential(void **state)
{
	const struct kernel *k = *state;

	assert_true(k->has[KERNEL_BPF]);
	assert_true(k->has[KERNEL_BTF]);
	assert_true(k->has[KERNEL_RINGBUF]);
	assert_true(k->has[KERNEL_TP_BTF]);
	assert_true(k->has[KERNEL_SK_STORAGE]);
}

static void maps_and_helpers_are_as_libbpf_finds_them(void **state)
{
	const struct kernel *k = *state;

	assert_int_equal(k->has[KERNEL_RINGBUF],
			 libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1);
	assert_int_equal(k->has[KERNEL_SK_STORAGE],
			 libbpf_probe_bpf_map_type(BPF_MAP_TYPE_SK_STORAGE, NULL) == 1);
	assert_int_equal(k->has[KERNEL_PROBE_READ],
			 libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT,
						 BPF_FUNC_probe_read_kernel, NULL) == 1);
}

/* Load and attach a program that returns 0, by another look-up than the product's. */
static int attach(enum bpf_prog_type type, enum bpf_attach_type attach_type, const char *name)
{
	const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int id = libbpf_find_vmlinux_btf_id(name, attach_type), prog, link;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type);

	if (id < 0)
		return id;
	opts.attach_btf_id = (__u32)id;
	prog = bpf_prog_load(type, "t_kernel", "GPL", nothing, 2, &opts);
	if (prog < 0)
		return prog;
	link = bpf_raw_tracepoint_open(NULL, prog);
	close(prog);
	if (link >= 0)
		close(link);
	return link < 0 ? link : 0;
}

static void tracing_programs_are_as_an_attach_finds_them(void **state)
{
	const struct kernel *k = *state;

	assert_int_equal(k->has[KERNEL_TP_BTF], attach(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP,
						       "sched_process_exit") == 0);
	assert_int_equal(k->has[KERNEL_FENTRY],
			 attach(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "commit_creds") == 0);
	assert_int_equal(k->has[KERNEL_LSM],
			 attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "task_setnice") == 0);
	assert_int_equal(k->has[KERNEL_FMOD_RET], attach(BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN,
							 "security_task_setnice") == 0);
}

/* A program on the loopback of a network namespace of its own. */
static int tcx_link(void)
{
	const struct bpf_insn next[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = TCX_INGRESS);
	int prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "t_kernel", "GPL", next, 2, &opts);

	if (prog < 0) /* below 6.6 the kernel does not know the number */
		return prog;
	return bpf_link_create(prog, (int)if_nametoindex("lo"), TCX_INGRESS, NULL);
}

static void check_tcx(void)
{
	struct kernel k;

	must(!kernel_probe(&k), "probe");
	must(!unshare(CLONE_NEWNET), "unshare");
	must((tcx_link() >= 0) == k.has[KERNEL_TCX], "tcx is not as a link finds it");
}

static void tcx_is_as_a_link_finds_it(void **state)
{
	(void)state;
	in_child(check_tcx);
}

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void nothing_is_left_behind(void **state)
{
	unsigned before = open_files();
	struct kernel k;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(kernel_probe(&k), 0);
	assert_int_equal(open_files(), before);
}

/* A runtime mounts a container's own cgroups over the host's, where the table of mounts still lists
 * them. What the host gave the container elsewhere, or the first process's view, shows them. */
static char elsewhere[] = "/tmp/kmn-kernel-XXXXXX";

static void under_other_cgroups(void)
{
	const char *const places[] = { "/proc/1/root/", elsewhere };
	struct kernel k;
	bool found = false;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("/sys/fs/cgroup", elsewhere, NULL, MS_BIND | MS_REC, NULL) < 0 ||
	    mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0)
		_exit(2);
	if (kernel_probe(&k) < 0)
		_exit(3);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		found = found || !strncmp(k.cgroup_root, places[i], strlen(places[i]));
	if (!found || access(k.cgroup_root, F_OK) < 0)
		_exit(4);
	if (*k.cgroup2_root && access(k.cgroup2_root, F_OK) < 0)
		_exit(5);
}

static void cgroups_are_found_though_others_are_mounted_over_them(void **state)
{
	struct kernel *k = *state;

	assert_true(*k->cgroup_root); /* each machine of the tests has some */
	assert_non_null(mkdtemp(elsewhere));
	in_child(under_other_cgroups);
	(void)rmdir(elsewhere);
}

/* /proc/cgroups has one line per subsystem, in the order of task->cgroups->subsys. It hides some on
 * newer kernels, so it is believed only when it is whole. */
static void the_index_of_the_cgroup_is_that_of_the_kernel(void **state)
{
	const struct kernel *k = *state;
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *t;
	FILE *f = fopen("/proc/cgroups", "re");
	int id, index = 0, found = -1;
	char line[256];

	assert_non_null(btf);
	assert_non_null(f);
	assert_true(access(k->cgroup_root, F_OK) == 0 || !*k->cgroup_root);
	assert_int_equal(k->cgroup_subsys >= 0, *k->cgroup_name != 0);
	while (fgets(line, sizeof(line), f)) {
		size_t len = strlen(k->cgroup_name);

		if (line[0] == '#')
			continue;
		if (len && !strncmp(line, k->cgroup_name, len) && line[len] == '\t')
			found = index;
		index++;
	}
	fclose(f);
	id = btf__find_by_name_kind(btf, "cgroup_subsys_id", BTF_KIND_ENUM);
	t = btf__type_by_id(btf, (__u32)id);
	assert_non_null(t);
	if (*k->cgroup_name && index == btf_vlen(t) - 1) /* the last one is their number */
		assert_int_equal(k->cgroup_subsys, found);
	btf__free(btf);
}

static void check_securityfs(void)
{
	struct kernel before, after;

	must(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL),
	     "unshare");
	(void)umount2("/sys/kernel/security", MNT_DETACH); /* not mounted: as well */
	must(!kernel_probe(&before), "probe without securityfs");
	must(!mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL), "mount");
	must(!kernel_probe(&after), "probe with securityfs");
	must(after.lockdown_known && after.lsm_list_known, "securityfs is not read");
	if (before.lsm_list_known) /* by the system call, from 6.8 on */
		must(strlen(before.lsm_list) == strlen(after.lsm_list) &&
			     before.lsm_listed == after.lsm_listed,
		     "the list of LSMs differs from that of the system call");
	must(before.lockdown_known == (after.lockdown == LOCKDOWN_CONFIDENTIALITY),
	     "without securityfs only confidentiality can be known");
	must(!before.lockdown_known || before.lockdown == after.lockdown, "lockdown differs");
}

static void lockdown_and_lsms_are_known_with_and_without_securityfs(void **state)
{
	(void)state;
	in_child(check_securityfs);
}

static void check_user(void)
{
	struct kernel k;

	must(!setgid(65534) && !setuid(65534), "setuid");
	must(!kernel_probe(&k), "probe");
	must(!k.has[KERNEL_BPF] && strstr(k.why[KERNEL_BPF], "root"), k.why[KERNEL_BPF]);
	must(!k.has[KERNEL_FANOTIFY_PERM], "fanotify");
	must(k.has[KERNEL_BTF] && *k.release && *k.cgroup_root, "what needs no rights");
}

static void without_root_it_says_so_and_tells_the_rest(void **state)
{
	(void)state;
	in_child(check_user);
}

static void check_seccomp(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = 4, .filter = code };
	struct kernel k;

	must(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0), "seccomp");
	must(!kernel_probe(&k), "probe");
	must(!k.has[KERNEL_BPF] && strstr(k.why[KERNEL_BPF], "seccomp"), k.why[KERNEL_BPF]);
	must(strstr(k.why[KERNEL_LSM], "not tried") != NULL, k.why[KERNEL_LSM]);
}

static void a_seccomp_filter_is_told_from_a_missing_feature(void **state)
{
	(void)state;
	in_child(check_seccomp);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_no_has_a_reason_and_no_yes_has_one),
		TEST(root_on_a_supported_kernel_has_what_is_essential),
		TEST(maps_and_helpers_are_as_libbpf_finds_them),
		TEST(tracing_programs_are_as_an_attach_finds_them),
		TEST(tcx_is_as_a_link_finds_it),
		TEST(nothing_is_left_behind),
		TEST(cgroups_are_found_though_others_are_mounted_over_them),
		TEST(the_index_of_the_cgroup_is_that_of_the_kernel),
		TEST(lockdown_and_lsms_are_known_with_and_without_securityfs),
		TEST(without_root_it_says_so_and_tells_the_rest),
		TEST(a_seccomp_filter_is_told_from_a_missing_feature),
	};

	if (geteuid()) {
		fprintf(stderr, "needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
