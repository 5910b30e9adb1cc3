/* Any bytes as a policy, for the module of the tests and for the real ones: read, check, compile.
 * What loads is printed as YAML and as JSON, and both read back as the same tree; what does not
 * load has a reason. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/fake.h"
#include "policy/load.h"
#include "policy/same.h"
#include "registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good, const char *what)
{
	if (good)
		return;
	(void)fprintf(stderr, "fuzz_policy: %s\n", what);
	abort();
}

/* All that is said of it acts on no terminal. */
static void check_text(struct buf *text)
{
	for (size_t i = 0; i < text->len; i++)
		must((unsigned char)text->data[i] >= 0x20 || text->data[i] == '\n', "a control");
}

static void check_again(const struct policy *p, const struct kmn_module *const *modules,
			struct buf *text, bool exact)
{
	struct policy_diag *d = policy_diag_new();
	struct policy *again = policy_load_text("again", text->data, text->len, modules, d);
	struct buf out = { 0 };

	if (!again) {
		policy_diag_text(d, false, &out);
		(void)fprintf(stderr, "%s\n%s", buf_text(text), buf_text(&out));
	}
	must(again, "what was printed does not load");
	must(!exact || same_tree(p->root, again->root), "what was printed is another policy");
	must(!policy_diff(p, again, &out), "what was printed differs");
	policy_free(again);
	policy_diag_free(d);
	buf_free(&out);
}

/* Lists are not read: there is no worker, and the module must say so. */
static void compile(const struct policy *p, const struct kmn_module *const *m,
		    struct policy_diag *d, struct buf *text)
{
	for (; *m; m++) {
		unsigned before = policy_errors(d);
		struct json j = json_on(text);
		void *plan = NULL;
		int r = (*m)->compile ? (*m)->compile(p, NULL, d, &plan) : -ENOTSUP;

		must(!(*m)->compile || !r == (policy_errors(d) == before), "a no without a reason");
		must(!r == !!plan, "a plan and an error, or neither");
		if (r < 0)
			continue;
		json_object(&j, NULL);
		(*m)->explain(p, plan, &j);
		json_end(&j);
		must(!j.bad, "bad JSON");
		(void)(*m)->plan_bytes(plan);
		(*m)->plan_free(plan);
	}
}

static void use(const uint8_t *data, size_t size, const struct kmn_module *const *modules)
{
	struct policy_diag *d = policy_diag_new();
	struct buf text = { 0 };
	struct json j;
	struct policy *p = policy_load_text("fuzz", data, size, modules, d);

	must(!p == !!policy_errors(d), "no policy and no reason, or both");
	if (p) {
		policy_print(p, size & 1, &text);
		check_again(p, modules, &text, true);
		buf_reset(&text);
		j = json_on(&text);
		policy_json(p, &j);
		must(!j.bad, "bad JSON");
		check_again(p, modules, &text, false);
		buf_reset(&text);
		compile(p, modules, d, &text);
	}
	buf_reset(&text);
	policy_diag_text(d, false, &text);
	check_text(&text);
	buf_reset(&text);
	j = json_on(&text);
	json_array(&j, NULL);
	policy_diag_json(d, &j);
	json_end(&j);
	must(!j.bad, "bad JSON");
	policy_free(p);
	policy_diag_free(d);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const nowhere[] = { NULL };

	load_folders = nowhere; /* parents of the machine that fuzzes are not part of the input */
	use(data, size, fake_modules);
	use(data, size, kmn_roof.modules);
	return 0;
}
