/* Any bytes as a policy: read, merge, check and compile with the schema of the tests; what loads is
 * printed as YAML and as JSON, and both read back as the same tree; what does not has a reason. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/fake.h"
#include "policy/load.h"
#include "policy/same.h"

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

static void check_again(const struct policy *p, struct buf *text, bool exact)
{
	struct policy_diag *d = policy_diag_new();
	struct policy *again = policy_load_text("again", text->data, text->len, fake_modules, d);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const nowhere[] = { NULL };
	struct policy_diag *d = policy_diag_new();
	struct buf text = { 0 };
	struct json j;
	struct policy *p;

	load_folders = nowhere; /* parents of the machine that fuzzes are not part of the input */
	p = policy_load_text("fuzz", data, size, fake_modules, d);
	must(!p == !!policy_errors(d), "no policy and no reason, or both");
	policy_diag_text(d, false, &text);
	check_text(&text);
	buf_reset(&text);
	j = json_on(&text);
	json_array(&j, NULL);
	policy_diag_json(d, &j);
	json_end(&j);
	must(!j.bad, "bad JSON");
	if (p) {
		buf_reset(&text);
		policy_print(p, size & 1, &text);
		check_again(p, &text, true);
		buf_reset(&text);
		j = json_on(&text);
		policy_json(p, &j);
		must(!j.bad, "bad JSON");
		check_again(p, &text, false);
	}
	policy_free(p);
	policy_diag_free(d);
	buf_free(&text);
	return 0;
}
