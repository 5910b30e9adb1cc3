/* What the programs of bpf/task cost at one exec, fork and exit, by the kernel's own count of their
 * run time (bpf_stats): of a short start, of one in a deep folder, and of one with 64 KiB of
 * arguments. */
#include "task/feed.h"

#define STARTS 1500
#define STARTS_LONG 150

static struct bpf_prog_info info_of(struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len), 0);
	return info;
}

static void report(const char *what, struct bpf_program *prog, const struct bpf_prog_info *before)
{
	struct bpf_prog_info now = info_of(prog);
	uint64_t runs = now.run_cnt - before->run_cnt;

	if (runs)
		printf("%s\tns\tmedian\t%.0f\n", what,
		       (double)(now.run_time_ns - before->run_time_ns) / (double)runs);
}

static void start(const char *path, char *const *argv)
{
	pid_t pid = vfork();

	if (!pid) {
		execv(path, argv);
		_exit(1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int round_of(const char *candidate)
{
	static const struct feed_options plain = { .no_budget = false };
	static char arg[65530];
	char dir[160] = "/tmp/komainu-bench-", path[192];
	char *argv[] = { "t", NULL, NULL };
	unsigned n = STARTS, deep = !strcmp(candidate, "deep") ? 20 : 0;
	struct bpf_prog_info before[3];
	struct feed *f = feed_open(&plain);
	struct bpf_program *prog[] = { f->skel->progs.task_exec, f->skel->progs.task_fork,
				       f->skel->progs.task_exit };
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	size_t len = strlen(dir);

	assert_true(stats >= 0);
	len += (size_t)snprintf(dir + len, sizeof(dir) - len, "%d", getpid());
	assert_int_equal(mkdir(dir, 0755), 0);
	for (unsigned i = 0; i < deep; i++) {
		len += (size_t)snprintf(dir + len, sizeof(dir) - len, "/d");
		assert_int_equal(mkdir(dir, 0755), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/t", dir);
	feed_tiny(path);
	if (!strcmp(candidate, "long")) {
		memset(arg, 'a', sizeof(arg) - 1);
		argv[1] = arg;
		n = STARTS_LONG;
	}
	for (int i = 0; i < 3; i++)
		before[i] = info_of(prog[i]);
	for (unsigned i = 0; i < n; i++) {
		start(path, argv);
		if (i % 64 == 0) /* so that the ring never fills */
			feed_forget(f);
	}
	report("task_exec", prog[0], &before[0]);
	report("task_fork", prog[1], &before[1]);
	report("task_exit", prog[2], &before[2]);
	close(stats);
	unlink(path);
	for (unsigned i = 0; i <= deep; i++) {
		rmdir(dir);
		*strrchr(dir, '/') = '\0';
	}
	feed_close(f);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "candidates")) {
		puts("short\ndeep\nlong");
		puts("goal\ttask_exec\tshort\tvalue\t2000");
		return 0;
	}
	if (argc != 3 || strcmp(argv[1], "round") != 0) {
		fprintf(stderr, "usage: %s candidates | round short|deep|long\n", argv[0]);
		return 2;
	}
	if (geteuid()) {
		puts("needs root");
		return 77;
	}
	return round_of(argv[2]);
}
