/* Credential changes: told at once where the kernel takes fentry, and by the next record always. */
#include <sys/syscall.h>
#include <linux/capability.h>
#include "task/cred.skel.h"
#include "task/feed.h"

static struct cred_bpf *cred; /* NULL: this kernel refuses fentry */

static int setup(void **state)
{
	static const struct feed_options plain;
	struct feed *f = feed_open(&plain);
	struct kernel k = {};
	int r;

	*state = f;
	assert_int_equal(kernel_probe(&k), 0);
	cred = cred_bpf__open();
	assert_non_null(cred);
	cred->rodata->kmn_cgroup_subsys = k.cgroup_subsys;
	assert_int_equal(bpf_map__reuse_fd(cred->maps.kmn_telemetry,
					   bpf_map__fd(f->skel->maps.kmn_telemetry)),
			 0);
	r = k.has[KERNEL_FENTRY] ? cred_bpf__load(cred) : -EPERM;
	if (!r)
		r = cred_bpf__attach(cred);
	if (r) {
		assert_false(k.has[KERNEL_FENTRY]); /* where it works it must work for us */
		cred_bpf__destroy(cred);
		cred = NULL;
	}
	return 0;
}

static int teardown(void **state)
{
	if (cred)
		cred_bpf__destroy(cred);
	feed_close(*state);
	return 0;
}

static void become(void *arg)
{
	const int *ids = arg;

	if (setresgid((gid_t)ids[1], (gid_t)ids[1], (gid_t)ids[1]) ||
	    setresuid((uid_t)ids[0], (uid_t)ids[0], (uid_t)ids[0]))
		_exit(97);
	_exit(0);
}

static void a_change_of_user_is_told_at_once_with_both_users(void **state)
{
	int ids[] = { 1234, 2345 }, status;
	const struct task_cred *ev;
	pid_t pid;

	if (!cred)
		skip();
	feed_forget(*state);
	pid = feed_child(become, ids, &status);
	assert_int_equal(status, 0);
	feed_drain(*state);
	assert_int_equal(feed_count(*state, TASK_EV_CRED, pid), 2);
	ev = feed_find(*state, TASK_EV_CRED, pid, 0); /* the groups */
	assert_int_equal(ev->old.gid, 0);
	assert_int_equal(ev->who.creds.gid, 2345);
	assert_int_equal(ev->who.creds.uid, 0);
	assert_int_equal(ev->old.uid, 0);
	ev = feed_find(*state, TASK_EV_CRED, pid, 1); /* the user, and with it the capabilities */
	assert_int_equal(ev->old.uid, 0);
	assert_int_equal(ev->old.gid, 2345);
	assert_int_equal(ev->who.creds.uid, 1234);
	assert_int_equal(ev->who.creds.euid, 1234);
	assert_int_equal(ev->who.creds.suid, 1234);
	assert_true(ev->old.cap_effective != 0);
	assert_int_equal(ev->who.creds.cap_effective, 0);
	assert_int_equal(ev->who.creds.cap_permitted, 0);
	assert_int_equal(ev->who.ppid, getpid());
	assert_int_equal(
		ev->head.start_ns,
		((const struct task_fork *)feed_find(*state, TASK_EV_FORK, pid, 0))->head.start_ns);
	assert_int_equal(ev->head.cgroup_id,
			 ((const struct task_fork *)feed_find(*state, TASK_EV_FORK, pid, 0))
				 ->head.cgroup_id);
}

static void drop_one(void *arg)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	(void)arg;
	if (syscall(SYS_capget, &head, data))
		_exit(96);
	data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective &= ~CAP_TO_MASK(CAP_NET_ADMIN);
	_exit(syscall(SYS_capset, &head, data) != 0);
}

static void a_capability_that_is_dropped_is_told(void **state)
{
	const struct task_cred *ev;
	int status;
	pid_t pid;

	if (!cred)
		skip();
	feed_forget(*state);
	pid = feed_child(drop_one, NULL, &status);
	assert_int_equal(status, 0);
	feed_drain(*state);
	assert_int_equal(feed_count(*state, TASK_EV_CRED, pid), 1);
	ev = feed_find(*state, TASK_EV_CRED, pid, 0);
	assert_int_equal(ev->old.cap_effective ^ ev->who.creds.cap_effective,
			 1ULL << CAP_NET_ADMIN);
	assert_int_equal(ev->old.cap_permitted, ev->who.creds.cap_permitted);
}

static void start_tiny(void *arg)
{
	char *argv[] = { "t", NULL };

	execv(arg, argv);
}

static void a_plain_start_of_a_program_is_no_change(void **state)
{
	char path[64];
	int status;
	pid_t pid;

	if (!cred)
		skip();
	(void)snprintf(path, sizeof(path), "/tmp/komainu-cred-%d", getpid());
	feed_tiny(path);
	feed_forget(*state);
	pid = feed_child(start_tiny, path, &status);
	unlink(path);
	assert_int_equal(status, 0);
	feed_drain(*state);
	assert_int_equal(feed_count(*state, TASK_EV_EXEC, pid), 1);
	assert_int_equal(feed_count(*state, TASK_EV_CRED, pid), 0);
}

static void the_exit_tells_the_new_user_on_every_kernel(void **state)
{
	int ids[] = { 1234, 2345 }, status;
	const struct task_exit *ev;
	pid_t pid;

	feed_forget(*state);
	pid = feed_child(become, ids, &status);
	assert_int_equal(status, 0);
	feed_drain(*state);
	ev = feed_find(*state, TASK_EV_EXIT, pid, 0);
	assert_non_null(ev);
	assert_int_equal(ev->who.creds.uid, 1234);
	assert_int_equal(ev->who.creds.gid, 2345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_of_user_is_told_at_once_with_both_users),
		cmocka_unit_test(a_capability_that_is_dropped_is_told),
		cmocka_unit_test(a_plain_start_of_a_program_is_no_change),
		cmocka_unit_test(the_exit_tells_the_new_user_on_every_kernel),
	};

	if (geteuid()) {
		puts("needs root");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
