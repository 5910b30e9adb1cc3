/* What a good policy says: reading, parents, overlays, modes, print and difference. */
#include "policy/t.h"
#include "policy/same.h"

static struct policy *load_files(const struct t_folder *at, const char *const *names, unsigned n,
				 struct buf *why)
{
	struct policy_diag *d = policy_diag_new();
	char path[4][256];
	const char *files[4];
	struct policy *p;

	assert_non_null(d);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(path[i], sizeof(path[i]), "%s/%s", at->path, names[i]);
		files[i] = path[i];
	}
	p = policy_load(files, n, fake_modules, d);
	policy_diag_text(d, false, why);
	policy_diag_free(d);
	return p;
}

static void numbers_are_decimal_and_nothing_else(void **state)
{
	static const char *const bad[] = { "",	   "-1",   "+1",   "01",
					   "0x1",  "0o1",  "1_0",  "1.0",
					   "1e3",  " 1",   "1 ",   "1,0",
					   "1:30", ".inf", "1MiB", "18446744073709551616" };
	const char *why;
	uint64_t v = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(policy_number(bad[i], &v, &why));
		assert_non_null(why);
		assert_int_equal(v, 7); /* untouched */
	}
	assert_true(policy_number("0", &v, &why));
	assert_int_equal(v, 0);
	assert_true(policy_number("18446744073709551615", &v, &why));
	assert_true(v == UINT64_MAX);
}

static void values_are_read_by_key_and_path(void **state)
{
	struct policy *p = t_load("version: 1\nevents: {findings: {max_mib: 64}}\n"
				  "modules: {firewall: {stateful: {tcp: true}}}\n");
	const struct policy_node *fw = policy_module(p, "firewall");

	(void)state;
	assert_int_equal(policy_u64(policy_at(p->root, "events.findings"), "max_mib", 1), 64);
	assert_int_equal(policy_u64(policy_at(p->root, "events.none"), "max_mib", 1), 1);
	assert_true(policy_bool(policy_get(fw, "stateful"), "tcp", false));
	assert_true(policy_bool(policy_get(fw, "stateful"), "udp", true));
	assert_null(policy_module(p, "ips"));
	assert_null(policy_get(policy_at(p->root, "version"), "x")); /* of a scalar */
	assert_string_equal(p->name, "t");
	assert_string_equal(p->dir, ".");
	assert_int_equal(p->mode, KMN_DETECT); /* a policy that says none */
	policy_free(p);
}

static void json_is_a_policy(void **state)
{
	static const char json[] = "{\"version\": 1, \"mode\": \"prevent\",\n\t\"modules\": "
				   "{\"firewall\": {\"rules\": [{\"name\": \"a\\u00e4\\/\",\n"
				   "\"action\": \"deny\", \"priority\": 3, \"log\": false}]}}}";
	struct policy *p = t_load(json);
	const struct policy_node *rule =
		policy_get(policy_module(p, "firewall"), "rules")->child[0];
	struct buf out = { 0 };
	struct json j = json_on(&out);
	struct policy *again;

	(void)state;
	assert_int_equal(p->mode, KMN_PREVENT);
	assert_string_equal(policy_text(rule, "name", ""), "aä/");
	assert_int_equal(rule->pos.line, 2);
	policy_json(p, &j);
	assert_false(j.bad);
	again = t_load(buf_text(&out));
	assert_true(same_tree(p->root, again->root));
	policy_free(again);
	policy_free(p);
	buf_free(&out);
}

static void the_leaf_wins_maps_merge_lists_replace_and_plus_adds(void **state)
{
	static const char *const names[] = { "leaf.yaml", "mid.yaml", "base.yaml", NULL };
	struct t_folder at = t_folder();
	struct buf text = { 0 };
	struct policy *p;

	(void)state;
	t_file(&at, "base.yaml",
	       "version: 1\nname: base\nmode: detect\nlabels: {a: one, b: two}\nmodules:\n"
	       "  firewall:\n    interfaces: eth0\n    stateful: {tcp: true, max_half_open: 5}\n"
	       "    rules: [{name: r1, action: deny}]\n");
	t_file(&at, "mid.yaml",
	       "version: 1\nextends: base\nlabels: {b: three}\nmodules:\n  firewall:\n"
	       "    +interfaces: [eth1]\n    +rules: [{name: r2, action: allow}]\n");
	t_file(&at, "leaf.yaml",
	       "version: 1\nextends: ./mid.yaml\nmode: prevent\nmodules: {firewall: "
	       "{stateful: {tcp: false}, +rules: [{name: r3, action: deny}]}}\n");
	p = load_files(&at, names, 1, &text);
	assert_non_null(p);
	policy_print(p, false, &text);
	assert_string_equal(buf_text(&text),
			    "version: 1\nname: base\nmode: prevent\nlabels:\n  a: one\n  b: three\n"
			    "modules:\n  firewall:\n    interfaces:\n      - eth0\n      - eth1\n"
			    "    stateful:\n      tcp: false\n      max_half_open: 5\n"
			    "    rules:\n      - name: r1\n        action: deny\n"
			    "      - name: r2\n        action: allow\n"
			    "      - name: r3\n        action: deny\n");
	policy_free(p);
	buf_free(&text);
	t_folder_end(&at, names);
}

static void a_list_without_plus_replaces_that_of_the_parent(void **state)
{
	static const char *const names[] = { "leaf.yaml", "base.yaml", NULL };
	struct t_folder at = t_folder();
	struct buf why = { 0 };
	struct policy *p;

	(void)state;
	t_file(&at, "base.yaml",
	       "version: 1\nmodules: {firewall: {rules: [{name: r1, action: "
	       "deny}], interfaces: [a, b]}}\n");
	t_file(&at, "leaf.yaml",
	       "version: 1\nextends: base\nmodules: {firewall: {rules: [], interfaces: c}}\n");
	p = load_files(&at, names, 1, &why);
	assert_non_null(p);
	assert_int_equal(policy_get(policy_module(p, "firewall"), "rules")->n, 0);
	assert_string_equal(policy_text(policy_module(p, "firewall"), "interfaces", ""), "c");
	policy_free(p);
	buf_free(&why);
	t_folder_end(&at, names);
}

static void files_are_laid_over_each_other_and_a_shared_parent_once(void **state)
{
	static const char *const names[] = { "a.yaml", "b.yaml", "base.yaml", NULL };
	struct t_folder at = t_folder();
	struct buf why = { 0 };
	struct policy *p;

	(void)state;
	t_file(&at, "base.yaml",
	       "version: 1\nmode: detect\nlabels: {x: base}\n"
	       "modules: {firewall: {+rules: [{name: r1, action: deny}]}}\n");
	t_file(&at, "a.yaml", "version: 1\nextends: base\nname: a\nmode: prevent\n");
	t_file(&at, "b.yaml", "version: 1\nextends: base\nname: b\nlabels: {x: b}\n");
	p = load_files(&at, names, 2, &why);
	assert_non_null(p);
	assert_string_equal(p->name, "b");
	assert_int_equal(p->mode, KMN_PREVENT); /* not undone by the base of b */
	assert_string_equal(policy_text(policy_get(p->root, "labels"), "x", ""), "b");
	assert_int_equal(policy_get(policy_module(p, "firewall"), "rules")->n, 1);
	policy_free(p);
	buf_free(&why);
	t_folder_end(&at, names);
}

static void a_parent_is_found_in_the_policy_folders_after_the_own(void **state)
{
	static const char *const names[] = { "leaf.yaml", NULL }, *const other[] = { "far.yaml",
										     NULL };
	struct t_folder at = t_folder(), far = t_folder();
	const char *const folders[] = { far.path, NULL }, *const *was = load_folders;
	struct buf why = { 0 };
	struct policy *p;

	(void)state;
	t_file(&far, "far.yaml", "version: 1\nmode: prevent\n");
	t_file(&at, "leaf.yaml", "version: 1\nextends: far\n");
	p = load_files(&at, names, 1, &why);
	assert_null(p); /* not there yet */
	load_folders = folders;
	p = load_files(&at, names, 1, &why);
	load_folders = was;
	assert_non_null(p);
	assert_int_equal(p->mode, KMN_PREVENT);
	policy_free(p);
	buf_free(&why);
	t_folder_end(&at, names);
	t_folder_end(&far, other);
}

static void a_file_beside_the_parent_is_found_from_the_leaf(void **state)
{
	struct policy_node at = { .type = POLICY_SCALAR, .pos = { "/etc/p/base.yaml", 1, 1 } };
	char path[64], tiny[4];

	(void)state;
	at.scalar = "feeds/drop.txt";
	assert_int_equal(policy_path(&at, path, sizeof(path)), 0);
	assert_string_equal(path, "/etc/p/feeds/drop.txt");
	assert_int_equal(policy_path(&at, tiny, sizeof(tiny)), -ENAMETOOLONG);
	at.scalar = "/x";
	assert_int_equal(policy_path(&at, path, sizeof(path)), 0);
	assert_string_equal(path, "/x");
	at.pos.file = "base.yaml";
	at.scalar = "x";
	assert_int_equal(policy_path(&at, path, sizeof(path)), 0);
	assert_string_equal(path, "x");
	at.scalar = "";
	assert_int_equal(policy_path(&at, path, sizeof(path)), -EINVAL);
	assert_int_equal(policy_path(NULL, path, sizeof(path)), -EINVAL);
}

/* "policy/module/rule" as letters o d p or - for silent, and what must come out. */
static void expect_effect(const char *says, enum kmn_mode mode, const char *level, unsigned line)
{
	static const char *const words[] = { ['o'] = "mode: off",
					     ['d'] = "mode: detect",
					     ['p'] = "mode: prevent",
					     ['-'] = "# silent" };
	char text[400];
	struct policy_effect e;
	struct policy *p;

	(void)snprintf(text, sizeof(text),
		       "version: 1\n%s\nmodules:\n  firewall:\n    %s\n    rules:\n"
		       "      - name: a\n        action: deny\n        %s\n",
		       words[(int)says[0]], words[(int)says[1]], words[(int)says[2]]);
	p = t_load(text);
	e = policy_effect(p, "firewall",
			  policy_get(policy_module(p, "firewall"), "rules")->child[0]);
	assert_int_equal(e.mode, mode);
	assert_string_equal(e.level, level);
	assert_int_equal(e.from ? e.from->pos.line : 0, line);
	policy_free(p);
}

static void the_lowest_of_policy_module_and_rule_is_in_force(void **state)
{
	static const char letters[] = "odp";

	(void)state;
	for (int a = 0; a < 3; a++)
		for (int b = 0; b < 3; b++)
			for (int c = 0; c < 3; c++) {
				char says[] = { letters[a], letters[b], letters[c], '\0' };
				int low = a < b ? a : b;

				low = low < c ? low : c;
				expect_effect(says, (enum kmn_mode)low,
					      a == low	 ? "policy"
					      : b == low ? "module"
							 : "rule",
					      a == low	 ? 2
					      : b == low ? 5
							 : 9);
			}
	expect_effect("p--", KMN_PREVENT, "policy", 2);
	expect_effect("-pp", KMN_DETECT, "policy", 0); /* a default, written nowhere */
	expect_effect("p-d", KMN_DETECT, "rule", 9);
	expect_effect("po-", KMN_OFF, "module", 5);
}

static void a_module_that_is_not_named_is_off(void **state)
{
	struct policy *p = t_load("version: 1\nmode: prevent\n");
	struct policy_effect e = policy_effect(p, "firewall", NULL);

	(void)state;
	assert_int_equal(e.mode, KMN_OFF);
	assert_string_equal(e.level, "module");
	assert_null(e.from);
	policy_free(p);
}

static void origins_name_the_file_and_line(void **state)
{
	struct policy *p = t_load("version: 1\nlabels:\n  a: \"x: y\"\n");
	struct buf text = { 0 };

	(void)state;
	policy_print(p, true, &text);
	assert_non_null(strstr(buf_text(&text), "  a: \"x: y\" "));
	assert_non_null(strstr(buf_text(&text), "# t:3\n"));
	policy_free(p);
	buf_free(&text);
}

static void a_difference_is_a_line_for_each_key(void **state)
{
	struct policy *a = t_load("version: 1\nmode: detect\nmodules:\n  firewall:\n    rules:\n"
				  "      - {name: one, action: deny}\n"
				  "      - {name: two, action: deny, priority: 1}\n"
				  "      - {name: gone, action: deny}\n"
				  "      - {name: last, action: deny}\n");
	struct policy *b = t_load("version: 1\nmode: prevent\nname: x\nmodules:\n  firewall:\n"
				  "    interfaces: [a, b]\n    rules:\n"
				  "      - {name: last, action: deny}\n"
				  "      - {action: deny, name: one}\n"
				  "      - {name: two, action: deny, priority: 2}\n"
				  "      - {name: new, action: allow}\n");
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(policy_diff(a, a, &out), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(policy_diff(a, b, &out), 7);
	assert_string_equal(buf_text(&out),
			    "- mode: detect\n+ mode: prevent\n"
			    "- modules.firewall.rules[two].priority: 1\n"
			    "+ modules.firewall.rules[two].priority: 2\n"
			    "- modules.firewall.rules[gone]: {name: gone, action: deny}\n"
			    "+ modules.firewall.rules[new]: {name: new, action: allow}\n"
			    "~ modules.firewall.rules: the order of the items differs\n"
			    "+ modules.firewall.interfaces: [a, b]\n"
			    "+ name: x\n");
	policy_free(a);
	policy_free(b);
	buf_free(&out);
}

static void a_file_that_is_too_long_or_no_file_is_refused(void **state)
{
	static const char *const names[] = { "big.yaml", NULL };
	struct t_folder at = t_folder();
	struct buf why = { 0 };
	size_t n = (4 << 20) + 1;
	char *big = malloc(n + 1);
	const char *const folder = "/", *const device = "/dev/zero", *const nowhere = "/nowhere";
	struct policy_diag *d = policy_diag_new();

	(void)state;
	assert_non_null(big);
	memset(big, '#', n);
	big[n] = '\0';
	t_file(&at, "big.yaml", big);
	assert_null(load_files(&at, names, 1, &why));
	assert_non_null(strstr(buf_text(&why), "larger than 4 MiB"));
	(void)snprintf(big, n, "%s/big.yaml", at.path);
	assert_int_equal(truncate(big, 1L << 30), 0); /* 1 GiB: only the bound is read */
	buf_reset(&why);
	assert_null(load_files(&at, names, 1, &why));
	assert_non_null(strstr(buf_text(&why), "larger than 4 MiB"));
	assert_null(policy_load(&folder, 1, fake_modules, d));
	assert_null(policy_load(&device, 1, fake_modules, d));
	assert_null(policy_load(&nowhere, 1, fake_modules, d));
	buf_reset(&why);
	policy_diag_text(d, false, &why);
	assert_string_equal(buf_text(&why),
			    "/: error: cannot read the policy: it is a folder\n"
			    "/dev/zero: error: cannot read the policy: it is not a regular file\n"
			    "/nowhere: error: cannot read the policy: No such file or directory\n");
	policy_diag_free(d);
	free(big);
	buf_free(&why);
	t_folder_end(&at, names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_decimal_and_nothing_else),
		cmocka_unit_test(values_are_read_by_key_and_path),
		cmocka_unit_test(json_is_a_policy),
		cmocka_unit_test(the_leaf_wins_maps_merge_lists_replace_and_plus_adds),
		cmocka_unit_test(a_list_without_plus_replaces_that_of_the_parent),
		cmocka_unit_test(files_are_laid_over_each_other_and_a_shared_parent_once),
		cmocka_unit_test(a_parent_is_found_in_the_policy_folders_after_the_own),
		cmocka_unit_test(a_file_beside_the_parent_is_found_from_the_leaf),
		cmocka_unit_test(the_lowest_of_policy_module_and_rule_is_in_force),
		cmocka_unit_test(a_module_that_is_not_named_is_off),
		cmocka_unit_test(origins_name_the_file_and_line),
		cmocka_unit_test(a_difference_is_a_line_for_each_key),
		cmocka_unit_test(a_file_that_is_too_long_or_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
