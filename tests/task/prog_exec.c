/* What the records of bpf/task say of a program start, each against what the kernel did. */
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include "task/feed.h"

static char dir[40]; /* the test's own folder */

static int setup(void **state)
{
	static const struct feed_options plain;

	*state = feed_open(&plain);
	return 0;
}

static int teardown(void **state)
{
	feed_close(*state);
	return 0;
}

struct start {
	const char *path;
	char *const *argv;
	const char *cwd;
	int fd; /* with path "": execveat */
};

static void start(void *arg)
{
	const struct start *s = arg;
	static char *const none[] = { NULL };

	if (s->cwd && chdir(s->cwd))
		_exit(98);
	if (!*s->path)
		syscall(SYS_execveat, s->fd, "", s->argv, none, AT_EMPTY_PATH);
	else
		execve(s->path, s->argv, none);
}

/* Start it and return its exec record; every child must have ended well. */
static const struct task_exec *run(struct feed *f, struct start *s)
{
	int status;
	pid_t pid;

	feed_forget(f);
	pid = feed_child(start, s, &status);
	assert_int_equal(status, 0);
	feed_drain(f);
	assert_int_equal(feed_count(f, TASK_EV_EXEC, pid), 1);
	return feed_find(f, TASK_EV_EXEC, pid, 0);
}

static const char *exe_of(const struct task_exec *ev)
{
	static char path[PATH_MAX];

	return feed_path(ev->text, ev->exe_len, path, sizeof(path));
}

/* The identity of a file on the test's tmpfs as the kernel tells it in another way: its file handle
 * begins with the generation. source: mm/shmem.c, shmem_encode_fh() */
static struct kmn_file_id id_of(const char *path)
{
	struct {
		struct file_handle h;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = { .h.handle_bytes = MAX_HANDLE_SZ };
	struct kmn_file_id id = {};
	struct stat st;
	int mount_id;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(name_to_handle_at(AT_FDCWD, path, &handle.h, &mount_id, 0), 0);
	id.ino = st.st_ino;
	id.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	memcpy(&id.gen, handle.h.f_handle, sizeof(id.gen));
	return id;
}

static void in_dir(char *out, size_t size, const char *name)
{
	assert_true(snprintf(out, size, "%s/%s", dir, name) < (int)size);
}

static void a_start_names_file_folder_arguments_and_parents(void **state)
{
	char exe[128], cwd[PATH_MAX];
	char *argv[] = { "tiny", "-s", "two words", NULL };
	struct start s = { exe, argv, dir, -1 };
	const struct task_exec *ev;
	struct kmn_file_id id;
	char args[64];

	in_dir(exe, sizeof(exe), "tiny");
	ev = run(*state, &s);
	id = id_of(exe);
	assert_string_equal(exe_of(ev), exe);
	assert_string_equal(feed_path(ev->text + ev->exe_len, ev->cwd_len, cwd, sizeof(cwd)), dir);
	assert_int_equal(feed_args(*state, ev, args, sizeof(args)), 18);
	assert_memory_equal(args, "tiny\0-s\0two words", 18);
	assert_memory_equal(&ev->exe_id, &id, sizeof(id));
	assert_int_equal(ev->who.ppid, getpid());
	assert_int_equal(ev->who.creds.uid, 0);
	assert_int_equal(ev->old_tid, ev->head.pid);
	assert_int_equal(ev->head.tid, ev->head.pid);
	assert_int_equal(ev->head.instance, 77);
	assert_int_equal(ev->flags, 0);
	assert_true(ev->head.cgroup_id != 0);
}

static void arguments_come_whole_up_to_the_bound_and_are_marked_beyond(void **state)
{
	static const size_t sizes[] = { 1,    2,    511,   512,	  513,	 4096,
					4608, 4609, 65535, 65536, 65537, 102400 };
	static char arg[102400], got[TASK_ARGS_MAX];
	char exe[128];
	char *argv[] = { arg, NULL };
	struct start s = { exe, argv, NULL, -1 };

	in_dir(exe, sizeof(exe), "tiny");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t want = sizes[i] < TASK_ARGS_MAX ? sizes[i] : TASK_ARGS_MAX;
		const struct task_exec *ev;

		for (size_t j = 0; j < sizes[i] - 1; j++)
			arg[j] = (char)('a' + j % 23);
		arg[sizes[i] - 1] = '\0';
		ev = run(*state, &s);
		assert_int_equal(ev->args_total, want);
		assert_int_equal(feed_args(*state, ev, got, sizeof(got)), want);
		assert_memory_equal(got, arg, want);
		assert_int_equal(!!(ev->flags & TASK_EXEC_ARGS_CUT), sizes[i] > TASK_ARGS_MAX);
	}
}

static void none_one_and_255_arguments_are_told_as_they_are(void **state)
{
	static const unsigned counts[] = { 1, 2, 255 };
	static char *argv[300], got[8192];
	char exe[128];
	struct start s = { exe, argv, NULL, -1 };

	in_dir(exe, sizeof(exe), "tiny");
	for (unsigned i = 0; i < 3; i++) {
		const struct task_exec *ev;
		unsigned nuls = 0;
		size_t n;

		for (unsigned j = 0; j < 300; j++)
			argv[j] = j < counts[i] ? "argument" : NULL;
		ev = run(*state, &s);
		n = feed_args(*state, ev, got, sizeof(got));
		assert_int_equal(n, counts[i] * 9);
		for (size_t j = 0; j < n; j++)
			nuls += !got[j];
		assert_int_equal(nuls, counts[i]);
	}
	argv[0] = NULL; /* kernels from 5.18 on make it one empty argument */
	assert_true(run(*state, &s)->args_total <= 1);
}

static void a_memfd_and_a_deleted_program_are_flagged(void **state)
{
	char exe[128], tiny[128], buf[4096];
	char *argv[] = { "x", NULL };
	struct start s = { "", argv, NULL, memfd_create("evil", MFD_CLOEXEC) };
	const struct task_exec *ev;
	int from;

	in_dir(tiny, sizeof(tiny), "tiny");
	from = open(tiny, O_RDONLY | O_CLOEXEC);
	assert_true(s.fd >= 0 && from >= 0);
	assert_true(write(s.fd, buf, (size_t)read(from, buf, sizeof(buf))) > 0);
	ev = run(*state, &s);
	assert_int_equal(ev->flags & 0xff, KMN_FILE_MEMFD);
	assert_true(ev->flags & TASK_EXEC_EXE_DETACHED);
	assert_string_equal(exe_of(ev), "/memfd:evil");
	close(s.fd);
	close(from);

	in_dir(exe, sizeof(exe), "gone");
	feed_tiny(exe);
	s.fd = open(exe, O_RDONLY | O_CLOEXEC);
	assert_int_equal(unlink(exe), 0);
	ev = run(*state, &s);
	assert_int_equal(ev->flags & 0xff, KMN_FILE_DELETED);
	assert_string_equal(exe_of(ev), exe);
	close(s.fd);
	/* one name of two is gone: the file lives, what it was called by does not */
	in_dir(buf, sizeof(buf), "other");
	feed_tiny(exe);
	assert_int_equal(link(exe, buf), 0);
	s.fd = open(exe, O_RDONLY | O_CLOEXEC);
	assert_int_equal(unlink(exe), 0);
	ev = run(*state, &s);
	assert_int_equal(ev->flags & 0xff, KMN_FILE_DELETED);
	close(s.fd);
	unlink(buf);
}

static void a_script_is_told_with_its_interpreter(void **state)
{
	char script[128], tiny[128], text[256], args[256];
	char *argv[] = { "ignored", "a", NULL };
	struct start s = { script, argv, NULL, -1 };
	const struct task_exec *ev;
	int fd;

	in_dir(script, sizeof(script), "script");
	in_dir(tiny, sizeof(tiny), "tiny");
	fd = open(script, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	assert_true(fd >= 0 && dprintf(fd, "#!%s -x\n", tiny) > 0);
	close(fd);
	ev = run(*state, &s);
	assert_true(ev->flags & TASK_EXEC_SCRIPT);
	assert_string_equal(exe_of(ev), tiny);
	fd = snprintf(text, sizeof(text), "%s%c-x%c%s%ca", tiny, 0, 0, script, 0) + 1;
	assert_int_equal(feed_args(*state, ev, args, sizeof(args)), fd);
	assert_memory_equal(args, text, (size_t)fd);
}

/* Make a folder at depth below dir and go there; steps of name. */
static int deep(unsigned depth, const char *name)
{
	int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; i < depth; i++) {
		int next;

		assert_true(!mkdirat(at, name, 0755) || errno == EEXIST);
		next = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	return at;
}

static void deep_run(struct feed *f, unsigned depth, const char *name, bool whole)
{
	static char got[8192], want[65536];
	char *argv[] = { "t", NULL };
	struct start s = { "", argv, NULL, -1 };
	const struct task_part *part = NULL;
	const struct task_exec *ev;
	int at = deep(depth, name), here = open(".", O_PATH | O_CLOEXEC);
	size_t n = (size_t)snprintf(want, sizeof(want), "%s", dir);

	for (unsigned i = 0; i < depth; i++)
		n += (size_t)snprintf(want + n, sizeof(want) - n, "/%s", name);
	assert_int_equal(fchdir(at), 0);
	feed_tiny("t");
	snprintf(want + n, sizeof(want) - n, "/t");
	s.fd = open("t", O_RDONLY | O_CLOEXEC);
	ev = run(f, &s);
	for (unsigned i = 0; (part = feed_find(f, TASK_EV_PART, (pid_t)ev->head.pid, i)); i++)
		if (part->what == TASK_PART_EXE)
			break;
	if (!(ev->flags & TASK_EXEC_EXE_PART)) {
		assert_string_equal(exe_of(ev), want);
		assert_null(part);
	} else {
		assert_non_null(part);
		assert_int_equal(part->walk.end, whole ? KMN_WALK_ROOT : KMN_WALK_CUT);
		if (whole)
			assert_string_equal(feed_path(part->data, part->len, got, sizeof(got)),
					    want);
	}
	assert_int_equal(fchdir(here), 0);
	close(s.fd);
	close(at);
	close(here);
}

static void a_deep_path_comes_whole_and_a_deeper_one_is_marked(void **state)
{
	static char name[201];

	memset(name, 'n', 200);
	deep_run(*state, 8, "d", true);
	deep_run(*state, 60, "d", true);  /* more steps than the record's walk takes */
	deep_run(*state, 5, name, true);  /* more bytes than the record has */
	deep_run(*state, 18, name, true); /* near the room of a part */
	deep_run(*state, TASK_WALK_PART + 10, "d", false);
	deep_run(*state, 30, name, false);
}

static void *exec_in_thread(void *arg)
{
	start(arg);
	return NULL;
}

static void start_from_a_thread(void *arg)
{
	pthread_t t;

	if (!pthread_create(&t, NULL, exec_in_thread, arg))
		pthread_join(t, NULL);
}

static void a_thread_that_execs_becomes_the_process(void **state)
{
	char exe[128];
	char *argv[] = { "t", NULL };
	struct start s = { exe, argv, NULL, -1 };
	const struct task_exec *ev;
	const struct task_fork *fork_ev;
	int status;
	pid_t pid;

	in_dir(exe, sizeof(exe), "tiny");
	feed_forget(*state);
	pid = feed_child(start_from_a_thread, &s, &status);
	assert_int_equal(status, 0);
	feed_drain(*state);
	fork_ev = feed_find(*state, TASK_EV_FORK, pid, 0);
	ev = feed_find(*state, TASK_EV_EXEC, pid, 0);
	assert_non_null(fork_ev);
	assert_non_null(ev);
	assert_true(ev->old_tid != (uint32_t)pid);
	assert_int_equal(ev->head.start_ns, fork_ev->head.start_ns);
	assert_int_equal(feed_find(*state, TASK_EV_EXIT, pid, 0) != NULL, 1);
	/* neither the thread's birth nor the old leader's end is a process's */
	assert_int_equal(feed_count(*state, TASK_EV_FORK, pid), 1);
	assert_int_equal(feed_count(*state, TASK_EV_EXIT, pid), 1);
	assert_int_equal(feed_count(*state, TASK_EV_FORK, (pid_t)ev->old_tid), 0);
	assert_int_equal(feed_count(*state, TASK_EV_EXIT, (pid_t)ev->old_tid), 0);
}

static void as_nobody(void *arg)
{
	if (setgid(65534) || setuid(65534))
		_exit(97);
	start(arg);
}

static void a_setuid_program_shows_both_users(void **state)
{
	char exe[128];
	char *argv[] = { "t", NULL };
	struct start s = { exe, argv, NULL, -1 };
	const struct task_exec *ev;
	int status;
	pid_t pid;

	in_dir(exe, sizeof(exe), "suid");
	feed_tiny(exe);
	assert_int_equal(chmod(exe, 04755), 0);
	feed_forget(*state);
	pid = feed_child(as_nobody, &s, &status);
	assert_int_equal(status, 0);
	feed_drain(*state);
	ev = feed_find(*state, TASK_EV_EXEC, pid, 0);
	assert_non_null(ev);
	assert_int_equal(ev->who.creds.uid, 65534);
	assert_int_equal(ev->who.creds.euid, 0);
	assert_int_equal(ev->who.creds.gid, 65534);
	assert_true(ev->who.creds.cap_effective != 0);
	unlink(exe);
}

static void start_by_vfork(void *arg)
{
	const struct start *s = arg;
	pid_t pid = vfork();

	if (!pid) {
		execve(s->path, s->argv, NULL);
		_exit(96);
	}
	_exit(pid < 0 || waitpid(pid, NULL, 0) != pid);
}

static void a_vforked_child_is_a_process_of_its_own(void **state)
{
	char exe[128];
	char *argv[] = { "t", NULL };
	struct start s = { exe, argv, NULL, -1 };
	const struct kmn_event *e = NULL;
	const struct task_fork *child = NULL;
	int status;
	pid_t pid;

	in_dir(exe, sizeof(exe), "tiny");
	feed_forget(*state);
	pid = feed_child(start_by_vfork, &s, &status);
	assert_int_equal(status, 0);
	feed_drain(*state);
	while ((e = feed_next(*state, e)))
		if (e->kind == TASK_EV_FORK &&
		    ((const struct task_fork *)e)->who.ppid == (uint32_t)pid)
			child = (const void *)e;
	assert_non_null(child);
	assert_int_equal(child->from_pid, pid);
	assert_int_equal(feed_count(*state, TASK_EV_EXEC, (pid_t)child->head.pid), 1);
	assert_int_equal(feed_count(*state, TASK_EV_EXIT, (pid_t)child->head.pid), 1);
	assert_int_equal(feed_count(*state, TASK_EV_EXIT, pid), 1);
}

static void *last_word(void *arg)
{
	usleep(20000);
	_exit((int)(intptr_t)arg);
}

static void leader_leaves_first(void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, last_word, arg))
		_exit(95);
	pthread_exit(NULL);
}

static void killed(void *arg)
{
	raise((int)(intptr_t)arg);
}

static void a_process_ends_once_with_the_code_that_wait_reports(void **state)
{
	struct {
		void (*act)(void *);
		int arg;
	} ways[] = { { leader_leaves_first, 7 }, { killed, SIGKILL }, { killed, SIGTERM } };

	for (unsigned i = 0; i < 3; i++) {
		const struct task_exit *ev;
		unsigned n;
		int status;
		pid_t pid;

		feed_forget(*state);
		pid = feed_child(ways[i].act, (void *)(intptr_t)ways[i].arg, &status);
		feed_drain(*state);
		/* two threads that end at the same moment both see that none is left: the process
		 * table drops the second word, and it says the same */
		n = feed_count(*state, TASK_EV_EXIT, pid);
		assert_in_range(n, 1, 2);
		for (unsigned k = 0; k < n; k++) {
			ev = feed_find(*state, TASK_EV_EXIT, pid, k);
			assert_non_null(ev);
			assert_int_equal(ev->code, status);
		}
	}
}

static void overlay_child(void *arg)
{
	struct start *s = arg;
	char opts[512], path[128];

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(77);
	snprintf(opts, sizeof(opts), "lowerdir=%s/ov/lower,upperdir=%s/ov/upper,workdir=%s/ov/work",
		 dir, dir, dir);
	snprintf(path, sizeof(path), "%s/ov/merged", dir);
	if (mount("overlay", path, "overlay", 0, opts))
		_exit(77);
	start(s);
}

static void an_overlay_file_is_known_by_its_layer(void **state)
{
	static const char *const layers[] = { "lower", "upper" };
	char *argv[] = { "t", NULL };
	char exe[160], real[160], base[64];
	struct start s = { exe, argv, NULL, -1 };

	/* the layers on a tmpfs of their own: an overlay's upper layer cannot lie on an overlay */
	snprintf(base, sizeof(base), "%s/ov", dir);
	assert_int_equal(mkdir(base, 0755), 0);
	assert_int_equal(mount("komainu-test", base, "tmpfs", 0, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(real, sizeof(real), "%s/%s", base,
			 ((const char *[]){ "lower", "upper", "work", "merged" })[i]);
		assert_int_equal(mkdir(real, 0755), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct task_exec *ev;
		struct kmn_file_id id;
		int status;
		pid_t pid;

		snprintf(real, sizeof(real), "%s/%s/in-%s", base, layers[i], layers[i]);
		snprintf(exe, sizeof(exe), "%s/merged/in-%s", base, layers[i]);
		feed_tiny(real);
		id = id_of(real);
		feed_forget(*state);
		pid = feed_child(overlay_child, &s, &status);
		if (status == 77 << 8) {
			umount(base);
			skip();
		}
		assert_int_equal(status, 0);
		feed_drain(*state);
		ev = feed_find(*state, TASK_EV_EXEC, pid, 0);
		assert_non_null(ev);
		assert_string_equal(exe_of(ev), exe);
		assert_memory_equal(&ev->exe_id, &id, sizeof(id));
		assert_int_equal(ev->flags & 0xff, KMN_FILE_OVERLAY | (i ? KMN_FILE_UPPER : 0));
	}
	assert_int_equal(umount(base), 0);
	rmdir(base);
}

static void without_kernel_reads_the_identity_is_still_there(void **state)
{
	static const struct feed_options blind = { .no_probe_read = true };
	char exe[128];
	char *argv[] = { "t", "arg", NULL };
	struct start s = { exe, argv, NULL, -1 };
	struct feed *f = feed_open(&blind);
	const struct task_exec *ev;
	struct kmn_file_id id;
	char args[64];

	(void)state;
	in_dir(exe, sizeof(exe), "tiny");
	ev = run(f, &s);
	id = id_of(exe);
	assert_true(ev->flags & TASK_EXEC_NO_PATH);
	assert_int_equal(ev->exe_len, 0);
	assert_memory_equal(&ev->exe_id, &id, sizeof(id));
	assert_int_equal(feed_args(f, ev, args, sizeof(args)), 6);
	assert_memory_equal(args, "t\0arg", 6);
	feed_close(f);
}

/* Each start of the sensor waits for the verifier, whose budget is a million. When this was written
 * it took 96,355 on 5.10 and 6.1, 59,776 on 6.12 and 57,212 on 6.18; four to seven times as many
 * when the walk kept its place in registers, where each step is a state of its own. */
#define VERIFIED_MAX 110000

static void the_verifier_is_soon_done_with_a_start(void **state)
{
	static char log[1 << 16];
	struct task_bpf *skel = task_bpf__open();
	struct bpf_program *p;
	const char *at;
	unsigned n;

	(void)state;
	assert_non_null(skel);
	bpf_object__for_each_program(p, skel->obj)(void)
		bpf_program__set_autoload(p, p == skel->progs.task_exec);
	assert_int_equal(bpf_program__set_log_buf(skel->progs.task_exec, log, sizeof(log)), 0);
	assert_int_equal(bpf_program__set_log_level(skel->progs.task_exec, 4), 0); /* statistics */
	assert_int_equal(task_bpf__load(skel), 0);
	at = strstr(log, "processed ");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "processed %u insns", &n), 1);
	print_message("%.*s\n", (int)strcspn(at, "\n"), at);
	assert_in_range(n, 1, VERIFIED_MAX);
	task_bpf__destroy(skel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_verifier_is_soon_done_with_a_start),
		cmocka_unit_test(a_start_names_file_folder_arguments_and_parents),
		cmocka_unit_test(arguments_come_whole_up_to_the_bound_and_are_marked_beyond),
		cmocka_unit_test(none_one_and_255_arguments_are_told_as_they_are),
		cmocka_unit_test(a_memfd_and_a_deleted_program_are_flagged),
		cmocka_unit_test(a_script_is_told_with_its_interpreter),
		cmocka_unit_test(a_deep_path_comes_whole_and_a_deeper_one_is_marked),
		cmocka_unit_test(a_thread_that_execs_becomes_the_process),
		cmocka_unit_test(a_setuid_program_shows_both_users),
		cmocka_unit_test(a_vforked_child_is_a_process_of_its_own),
		cmocka_unit_test(a_process_ends_once_with_the_code_that_wait_reports),
		cmocka_unit_test(an_overlay_file_is_known_by_its_layer),
		cmocka_unit_test(without_kernel_reads_the_identity_is_still_there),
	};
	char tiny[128];
	int r;

	if (geteuid()) {
		puts("needs root");
		return 77;
	}
	/* a tmpfs: the same file system on every machine, whatever its root lies on */
	snprintf(dir, sizeof(dir), "/tmp/komainu-exec-%d", getpid());
	if (mkdir(dir, 0755) || mount("komainu-test", dir, "tmpfs", 0, NULL))
		return 1;
	in_dir(tiny, sizeof(tiny), "tiny");
	feed_tiny(tiny);
	r = cmocka_run_group_tests(tests, setup, teardown);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return r;
}
