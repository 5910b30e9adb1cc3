/* Every allocation may fail: the policy is refused in words, nothing is lost and nothing crashes.
 * The allocator here is ours, so that libyaml's allocations fail too; the sanitizers have their own
 * and cannot be asked to fail, so this program is not for them. */
#include "policy/t.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || !defined(__GLIBC__)
static void no_failed_allocation_is_lost_or_taken_for_success(void **state)
{
	(void)state;
	skip();
}

static void no_failed_allocation_hides_an_error(void **state)
{
	(void)state;
	skip();
}
#else
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

static long fail_at = -1; /* counts down to the one that fails; below 0: none */
static long alive;	  /* allocations that were not freed */

static bool fails(void)
{
	return fail_at >= 0 && fail_at-- == 0;
}

void *malloc(size_t n)
{
	void *p = fails() ? NULL : __libc_malloc(n);

	alive += p != NULL;
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = fails() ? NULL : __libc_calloc(n, size);

	alive += p != NULL;
	return p;
}

void *realloc(void *old, size_t n)
{
	void *p = fails() ? NULL : __libc_realloc(old, n);

	alive += p && !old;
	return p;
}

void free(void *p)
{
	alive -= p != NULL;
	__libc_free(p);
}

static int compile(const struct policy *p, struct worker_pool *w, struct policy_diag *d,
		   void **plan)
{
	(void)p;
	(void)w;
	(void)d;
	*plan = malloc(1);
	return *plan ? 0 : -ENOMEM;
}

static void committed(void *self, void *plan, uint64_t gen)
{
	(void)self;
	(void)gen;
	free(plan);
}

static const struct kmn_module module = { .part = { .name = "firewall", .id = 1 },
					  .schema = fake_schema,
					  .compile = compile,
					  .committed = committed,
					  .plan_free = free };
static const struct kmn_module *const modules[] = { &module, NULL };

/* Load, print, compare, show what is wrong and apply; 0 only if all of it was done. */
static int use(const char *file, struct kmn_state *kernel)
{
	struct policy_diag *d = policy_diag_new();
	struct policy_outcome outcome = { 0 };
	struct buf text = { 0 };
	struct json j = json_on(&text);
	void *const selves[] = { &text };
	struct policy *p;
	int r = -1;

	if (!d)
		return -ENOMEM;
	p = policy_load(&file, 1, modules, d);
	if (p) {
		policy_print(p, true, &text);
		assert_int_equal(policy_diff(p, p, &text), 0);
		policy_json(p, &j);
		r = policy_apply(modules, selves, NULL, kernel, 0, p, d, &outcome);
	}
	assert_true(p || policy_errors(d)); /* never no without a reason */
	policy_schema(modules, &j);
	policy_diag_text(d, false, &text);
	policy_diag_json(d, &j);
	r = text.cut ? -ENOMEM : r;
	policy_free(p);
	policy_diag_free(d);
	buf_free(&text);
	return r;
}

static void no_failed_allocation_is_lost_or_taken_for_success(void **state)
{
	static const char *const names[] = { "leaf.yaml", "base.yaml", NULL };
	struct t_folder at = t_folder();
	struct kmn_state kernel = { .gen = 1 };
	char path[256];
	long before, n = 0;
	int r;

	(void)state;
	t_file(&at, "base.yaml",
	       "version: 1\nmodules: {firewall: {interfaces: [a, b], rules: "
	       "[{name: r, action: deny, source: {not: 192.0.2.1}}]}}\n");
	t_file(&at, "leaf.yaml",
	       "version: 1\nextends: base\nmode: prevent\nlabels: {a: \"x\"}\n"
	       "modules: {firewall: {+interfaces: [c]}}\n");
	(void)snprintf(path, sizeof(path), "%s/leaf.yaml", at.path);
	(void)use(path, &kernel); /* what libc keeps for itself is there now */
	for (r = -1; r; n++) {
		assert_true(n < 20000);
		before = alive;
		fail_at = n;
		r = use(path, &kernel);
		fail_at = -1;
		assert_int_equal(alive, before);
	}
	print_message("%ld allocations, each failed once\n", n - 1);
	assert_true(n > 50);
	t_folder_end(&at, names);
}

static void no_failed_allocation_hides_an_error(void **state)
{
	static const char bad[] = "version: 1\nmdoe: x\nmode: prevnet\nlabels: {a: 1, a: 2}\n";
	long before;

	(void)state;
	for (long n = 0; n < 120; n++) {
		struct policy_diag *d;
		struct policy *p = NULL;

		before = alive;
		fail_at = n;
		d = policy_diag_new();
		if (d)
			p = policy_load_text("bad", bad, sizeof(bad) - 1, modules, d);
		fail_at = -1;
		assert_null(p);
		assert_true(!d || policy_errors(d));
		policy_diag_free(d);
		assert_int_equal(alive, before);
	}
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_failed_allocation_is_lost_or_taken_for_success),
		cmocka_unit_test(no_failed_allocation_hides_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
