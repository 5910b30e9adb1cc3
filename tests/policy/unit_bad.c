/* Each policy of tests/policy/bad must be refused with the text of its .expected (bad_kinds: by the
 * module of fake.h, for kinds of value that no protection uses yet), and each of tests/policy/good
 * must load, and read back the same from its own print. KMN_WRITE=1 writes the .expected files
 * anew: read the difference before you commit it. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "policy/transaction.h"
#include "policy/load.h"
#include "policy/fake.h"
#include "policy/same.h"
#include "registry.h"

#define GOOD "tests/policy/good"
#define PATH_BYTES 512

static int is_yaml(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 &&
	       (!strcmp(e->d_name + n - 5, ".yaml") || !strcmp(e->d_name + n - 5, ".json"));
}

static struct worker_pool *workers; /* it reads the lists that a policy names */

/* Compile as policy check does. */
static void compile(const struct policy *p, const struct kmn_module *const *m,
		    struct policy_diag *d)
{
	for (; *m; m++) {
		void *plan = NULL;

		if ((*m)->compile && !(*m)->compile(p, workers, d, &plan))
			(*m)->plan_free(plan);
	}
}

static unsigned check(const char *path, const struct kmn_module *const *modules, struct buf *text)
{
	struct policy_diag *d = policy_diag_new();
	struct policy *p;
	unsigned errors;

	assert_non_null(d);
	p = policy_load(&path, 1, modules, d);
	if (p)
		compile(p, modules, d);
	policy_free(p);
	policy_diag_text(d, false, text);
	errors = policy_errors(d);
	policy_diag_free(d);
	return errors;
}

static void read_file(const char *path, struct buf *out)
{
	char block[4096];
	FILE *f = fopen(path, "re");
	size_t n;

	while (f && (n = fread(block, 1, sizeof(block), f)))
		buf_add(out, block, n);
	if (f)
		(void)fclose(f);
}

static void write_file(const char *path, const struct buf *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text->data, 1, text->len, f), text->len);
	assert_int_equal(fclose(f), 0);
}

/* The texts that are expected are written with glibc's words for an error number; musl has others.
 */
static void in_our_words(struct buf *want)
{
	static const char glibc[] = "Input/output error";
	struct buf out = { 0 };
	const char *from = buf_text(want), *at;

	while ((at = strstr(from, glibc))) {
		buf_add(&out, from, (size_t)(at - from));
		buf_puts(&out, strerror(EIO));
		from = at + strlen(glibc);
	}
	buf_puts(&out, from);
	buf_free(want);
	*want = out;
}

static bool as_expected(const char *folder, const char *name,
			const struct kmn_module *const *modules)
{
	char path[PATH_BYTES], expected[PATH_BYTES];
	struct buf got = { 0 }, want = { 0 };
	unsigned errors;
	bool good;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)snprintf(expected, sizeof(expected), "%s/%.*s.expected", folder,
		       (int)strlen(name) - 5, name);
	errors = check(path, modules, &got);
	if (getenv("KMN_WRITE"))
		write_file(expected, &got);
	read_file(expected, &want);
	in_our_words(&want);
	good = errors && !strcmp(buf_text(&got), buf_text(&want));
	if (!good)
		print_message("%s: %u errors\n--- expected\n%s+++ got\n%s", path, errors,
			      buf_text(&want), buf_text(&got));
	for (size_t i = 0; i < got.len; i++) /* nothing of the file acts on a terminal */
		if ((unsigned char)got.data[i] < 0x20 && got.data[i] != '\n') {
			print_message("%s: control character in the text\n", path);
			good = false;
		}
	buf_free(&got);
	buf_free(&want);
	return good;
}

static void refuse_all(const char *folder, const struct kmn_module *const *modules, int least)
{
	struct dirent **names;
	unsigned wrong = 0;
	int n = scandir(folder, &names, is_yaml, alphasort);

	assert_true(n >= least);
	for (int i = 0; i < n; i++) {
		wrong += !as_expected(folder, names[i]->d_name, modules);
		free(names[i]);
	}
	free(names);
	assert_int_equal(wrong, 0);
}

static void every_bad_policy_is_refused_with_its_text(void **state)
{
	(void)state;
	refuse_all("tests/policy/bad", kmn_roof.modules, 100);
}

static void every_wrong_kind_of_value_is_refused_with_its_text(void **state)
{
	(void)state;
	refuse_all("tests/policy/bad_kinds", fake_modules, 10);
}

static struct policy *load_text(const struct buf *text)
{
	struct policy_diag *d = policy_diag_new();
	struct policy *p;
	struct buf why = { 0 };

	assert_non_null(d);
	p = policy_load_text("printed", text->data, text->len, kmn_roof.modules, d);
	policy_diag_text(d, false, &why);
	if (!p)
		print_message("%s\n%s", text->data, buf_text(&why));
	buf_free(&why);
	policy_diag_free(d);
	return p;
}

/* Loads and compiles without a warning, and what policy_print() makes of it is the same policy. */
static bool is_good(const char *path)
{
	struct policy_diag *d = policy_diag_new();
	struct buf text = { 0 }, why = { 0 };
	struct policy *p, *again;
	bool good;

	assert_non_null(d);
	p = policy_load(&path, 1, kmn_roof.modules, d);
	if (p)
		compile(p, kmn_roof.modules, d);
	policy_diag_text(d, false, &why);
	if (!p || why.len)
		print_message("%s:\n%s", path, buf_text(&why));
	assert_non_null(p);
	policy_print(p, true, &text);
	again = load_text(&text);
	good = again && !why.len && same_tree(p->root, again->root) &&
	       !policy_diff(p, again, &text);
	policy_free(p);
	policy_free(again);
	policy_diag_free(d);
	buf_free(&text);
	buf_free(&why);
	return good;
}

static void every_good_policy_loads_and_reads_back_from_its_print(void **state)
{
	static const char *const folders[] = { GOOD, "policies" };
	unsigned wrong = 0, seen = 0;

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct dirent **names;
		int n = scandir(folders[k], &names, is_yaml, alphasort);

		for (int i = 0; i < n; i++, seen++) {
			char path[PATH_BYTES];

			(void)snprintf(path, sizeof(path), "%s/%s", folders[k], names[i]->d_name);
			if (!is_good(path))
				print_message("%s\n", path), wrong++;
			free(names[i]);
		}
		if (n >= 0)
			free(names);
	}
	assert_true(seen >= 8);
	assert_int_equal(wrong, 0);
}

static int start(void **state)
{
	(void)state;
	workers = worker_pool_new(NULL, kmn_roof.jobs, 1);
	return workers ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	worker_pool_free(workers);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bad_policy_is_refused_with_its_text),
		cmocka_unit_test(every_wrong_kind_of_value_is_refused_with_its_text),
		cmocka_unit_test(every_good_policy_loads_and_reads_back_from_its_print),
	};

	if (argc > 0 && !strcmp(argv[0], WORKER_ARGV0)) /* the worker is this program too */
		worker_main(kmn_roof.jobs);
	return cmocka_run_group_tests(tests, start, stop);
}
