/* Policies of 4 MiB made to cost: each is refused, in bounded time and memory. libyaml alone needs
 * minutes for some (its work on open brackets grows with their square). */
#include "policy/t.h"
#include <sys/resource.h>
#include "base/clock.h"

#define BYTES (4U << 20)
#define LIMIT_NS \
	(20 * NS_PER_S) /* they take up to 1 s here; a sanitizer build on a busy host, 10 */
#define MEMORY_KIB (SANITIZED ? 1024 * 1024 : 128 * 1024)

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const struct {
	const char *name, *begin, *again; /* again: "%u" is a number that counts up */
	const char *says;
} shapes[] = {
	{ "open lists", "", "[", "more than 256 brackets in a row" },
	{ "open maps", "", "{", "more than 256 brackets in a row" },
	{ "open lists with items", "", "[a,", "nested deeper than 32 levels" },
	{ "open maps with keys", "", "{a: ", "nested deeper than 32 levels" },
	{ "nested dashes", "", "- ", "nested deeper than 32 levels" },
	{ "nested questions", "", "? ", "nested deeper than 32 levels" },
	{ "empty items", "", "-\n", "found a list" },
	{ "one key a million times", "version: 1\n", "a: b\n", "stands here again" },
	{ "as many keys as fit", "version: 1\n", "k%u: v\n", "unknown key `k0`" },
	{ "as many labels as fit", "version: 1\nlabels:\n", "  k%u: v\n",
	  "more than 262144 values" },
	{ "as many anchors as fit", "version: 1\nlabels:\n", "  k%u: &a%u v\n", "an anchor" },
	{ "as many aliases as fit", "version: 1\nlabels: [&a x", ", *a", "an alias" },
	{ "as many tags as fit", "version: 1\nlabels: [", "!t x, ", "a tag" },
	{ "rules with a wrong word", "version: 1\nmodules:\n  firewall:\n    rules:\n",
	  "      - {name: a, action: dney}\n", "`dney` is not known" },
	{ "an open text", "name: \"", "x", "not closed" },
	{ "a long text", "version: 1\nname: ", "x", "bytes, expected 1 to 64" },
	{ "a comment", "", "#", "the file is empty" },
	{ "line feeds", "", "\n", "the file is empty" },
	{ "keys without a colon", "{", "\"a\" ", "is missing" },
};

static size_t fill(char *text, const char *begin, const char *again)
{
	size_t n = strlen(begin), step;
	char one[64];

	memcpy(text, begin, n);
	for (unsigned i = 0;; i++, n += step) {
		(void)snprintf(one, sizeof(one), again, i, i);
		step = strlen(one);
		if (n + step > BYTES)
			return n;
		memcpy(text + n, one, step);
	}
}

static void what_is_made_to_cost_is_refused_in_bounded_time(void **state)
{
	char *text = malloc(BYTES);
	struct rusage usage;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		struct policy_diag *d = policy_diag_new();
		size_t len = fill(text, shapes[i].begin, shapes[i].again);
		uint64_t from = clock_boot_ns(), took;
		struct buf why = { 0 };
		struct policy *p = policy_load_text("big", text, len, fake_modules, d);

		policy_diag_text(d, false, &why);
		took = clock_boot_ns() - from;
		if (took > LIMIT_NS || !strstr(buf_text(&why), shapes[i].says))
			print_message("%s: %u ms, says\n%.300s\n", shapes[i].name,
				      (unsigned)(took / NS_PER_MS), buf_text(&why));
		assert_true(took < LIMIT_NS);
		assert_non_null(strstr(buf_text(&why), shapes[i].says));
		assert_true(why.len < 512 * 1024); /* what is said is bounded too */
		assert_null(p);
		policy_free(p);
		policy_diag_free(d);
		buf_free(&why);
	}
	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	assert_true(usage.ru_maxrss < MEMORY_KIB);
	print_message("at most %ld MiB resident\n", usage.ru_maxrss / 1024);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_made_to_cost_is_refused_in_bounded_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
