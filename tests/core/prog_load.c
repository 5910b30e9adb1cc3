/* Every program of every object, each alone: does this kernel's verifier take it, and after how
 * many instructions. Run on each kernel by tests/vm/matrix; the printed counts are what a change
 * under bpf/ is compared by. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/log.h"
#include "core/bpfobj.h"
#include "services/net/accept.h"

static struct kernel kernel;
static char verifier[1 << 20];

/* Types that a kernel may refuse as a whole; who needs one has another rung. */
static bool refused_type(const char *section)
{
	if (!strncmp(section, "lsm", 3))
		return !kernel.has[KERNEL_LSM];
	if (!strncmp(section, "fentry", 6))
		return !kernel.has[KERNEL_FENTRY];
	if (!strcmp(section, "fexit/inet_csk_accept"))
		return net_accept_missing(&kernel) != NULL;
	if (!strncmp(section, "fmod_ret", 8))
		return !kernel.has[KERNEL_FMOD_RET];
	return false;
}

static int only(struct bpf_object *obj, const char *name)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, obj)
	{
		int r = bpf_program__set_autoload(p, !strcmp(bpf_program__name(p), name));

		if (r < 0)
			return r;
	}
	return bpf_object__load(obj);
}

static void tell(const char *object, const struct bpf_program *p)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len) < 0)
		return;
	printf("    %-16s %-20s %6zu instructions", object, bpf_program__name(p),
	       bpf_program__insn_cnt(p));
	if (info.verified_insns) /* from 5.16 on */
		printf(", %7u verified", info.verified_insns);
	putchar('\n');
}

/* The verifier's log ends with the reason: its last lines. */
static void tell_refusal(const char *object, const char *name, const char *section, int r)
{
	const char *from = verifier + strlen(verifier);

	printf("    %s: %s (%s): %s\n", object, name, section, strerror(-r));
	for (int lines = 0; from > verifier && lines < 12; from--)
		lines += from[-1] == '\n';
	printf("%s\n", from);
}

/* 1: loaded, 0: this kernel has no such type, -1: refused. */
static int load_one(const char *path, const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = verifier,
		    .kernel_log_size = sizeof(verifier));
	struct bpf_object *obj = bpf_object__open_file(path, &opts);
	struct bpf_program *p = obj ? bpf_object__find_program_by_name(obj, name) : NULL;
	const char *object = strrchr(path, '/') + 1, *section;
	int r;

	assert_non_null(p);
	section = bpf_program__section_name(p);
	verifier[0] = '\0';
	r = only(obj, name);
	if (r == 0)
		tell(object, p);
	else if (refused_type(section))
		printf("    %-16s %-20s no %.*s on this kernel\n", object, name,
		       (int)strcspn(section, "/"), section);
	else
		tell_refusal(object, name, section, r);
	r = r == 0 ? 1 : refused_type(section) ? 0 : -1;
	bpf_object__close(obj);
	return r;
}

static void every_program_loads(void **state)
{
	const char *build = getenv("BUILD");
	unsigned loaded = 0, refused = 0;
	char pattern[4096];
	glob_t found = {};

	(void)state;
	(void)snprintf(pattern, sizeof(pattern), "%s/bpf/*/*.bpf.o", build ? build : "build");
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct bpf_object *obj = bpf_object__open_file(found.gl_pathv[i], NULL);
		struct bpf_program *p;

		assert_non_null(obj);
		bpf_object__for_each_program(p, obj)
		{
			int r = load_one(found.gl_pathv[i], bpf_program__name(p));

			loaded += r > 0;
			refused += r < 0;
		}
		bpf_object__close(obj);
	}
	globfree(&found);
	assert_true(loaded > 0);
	assert_int_equal(refused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_program_loads) };
	char pins[] = "/sys/fs/bpf/komainu-load-XXXXXX";
	struct bpfobj *b;
	unsigned removed;
	int r;

	if (geteuid()) {
		puts("needs root");
		return 77;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	log_set_level(LOG_ERROR);
	r = kernel_probe(&kernel);
	if (r < 0 || kernel_mount_bpffs() < 0 || !mkdtemp(pins))
		return 1;
	b = bpfobj_new(&kernel, NULL, pins); /* for its handlers under lockdown */
	if (!b)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	bpfobj_free(b);
	(void)bpfobj_unload_all(pins, &removed);
	(void)rmdir(pins);
	return r;
}
