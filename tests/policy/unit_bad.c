/* Each policy of tests/policy/bad must be refused with the text of its .expected, and each of
 * tests/policy/good must load, and read back the same from its own print. KMN_WRITE=1 writes the
 * .expected files anew: read the difference before you commit it. */
#include <dirent.h>
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

#define BAD "tests/policy/bad"
#define GOOD "tests/policy/good"
#define PATH_BYTES 512

static int is_yaml(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 &&
	       (!strcmp(e->d_name + n - 5, ".yaml") || !strcmp(e->d_name + n - 5, ".json"));
}

/* Compile as policy check does, with no worker: lists are read here. */
static void compile(const struct policy *p, struct policy_diag *d)
{
	for (const struct kmn_module *const *m = fake_modules; *m; m++) {
		void *plan = NULL;

		if ((*m)->compile && !(*m)->compile(p, NULL, d, &plan))
			(*m)->plan_free(plan);
	}
}

static unsigned check(const char *path, struct buf *text)
{
	struct policy_diag *d = policy_diag_new();
	struct policy *p;
	unsigned errors;

	assert_non_null(d);
	p = policy_load(&path, 1, fake_modules, d);
	if (p)
		compile(p, d);
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

static bool as_expected(const char *name)
{
	char path[PATH_BYTES], expected[PATH_BYTES];
	struct buf got = { 0 }, want = { 0 };
	unsigned errors;
	bool good;

	(void)snprintf(path, sizeof(path), BAD "/%s", name);
	(void)snprintf(expected, sizeof(expected), BAD "/%.*s.expected", (int)strlen(name) - 5,
		       name);
	errors = check(path, &got);
	if (getenv("KMN_WRITE"))
		write_file(expected, &got);
	read_file(expected, &want);
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

static void every_bad_policy_is_refused_with_its_text(void **state)
{
	struct dirent **names;
	unsigned wrong = 0;
	int n = scandir(BAD, &names, is_yaml, alphasort);

	(void)state;
	assert_true(n >= 100);
	for (int i = 0; i < n; i++) {
		wrong += !as_expected(names[i]->d_name);
		free(names[i]);
	}
	free(names);
	assert_int_equal(wrong, 0);
}

static struct policy *load_text(const struct buf *text)
{
	struct policy_diag *d = policy_diag_new();
	struct policy *p;
	struct buf why = { 0 };

	assert_non_null(d);
	p = policy_load_text("printed", text->data, text->len, fake_modules, d);
	policy_diag_text(d, false, &why);
	if (!p)
		print_message("%s\n%s", text->data, buf_text(&why));
	buf_free(&why);
	policy_diag_free(d);
	return p;
}

/* Loads, and what policy_print() makes of it is the same policy. */
static bool is_good(const char *path)
{
	struct policy_diag *d = policy_diag_new();
	struct buf text = { 0 }, why = { 0 };
	struct policy *p, *again;
	bool good;

	assert_non_null(d);
	p = policy_load(&path, 1, fake_modules, d);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bad_policy_is_refused_with_its_text),
		cmocka_unit_test(every_good_policy_loads_and_reads_back_from_its_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
