#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "policy/fake.h"
#include "policy/load.h"
#include "policy/transaction.h"

/* Policies as files of a folder of their own, for what depends on where a file lies. */
struct t_folder {
	char path[160];
};

static inline void t_file(const struct t_folder *at, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", at->path, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static inline struct t_folder t_folder(void)
{
	struct t_folder at;
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(at.path, sizeof(at.path), "%.120s/policyXXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(at.path));
	return at;
}

/* The folder and the files in it, by name. */
static inline void t_folder_end(const struct t_folder *at, const char *const *names)
{
	char path[256];

	for (; *names; names++) {
		(void)snprintf(path, sizeof(path), "%s/%s", at->path, *names);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(at->path), 0);
}

/* A policy that must load; its text is that of a file called "t". */
static inline struct policy *t_load(const char *text)
{
	struct policy_diag *d = policy_diag_new();
	struct buf why = { 0 };
	struct policy *p;

	assert_non_null(d);
	p = policy_load_text("t", text, strlen(text), fake_modules, d);
	policy_diag_text(d, false, &why);
	if (!p)
		print_message("%s", buf_text(&why));
	assert_non_null(p);
	assert_int_equal(policy_errors(d), 0);
	buf_free(&why);
	policy_diag_free(d);
	return p;
}
