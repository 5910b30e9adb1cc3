#include "control/policy_cmd.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "base/term.h"
#include "core/command.h"

KMN_AUTO_DEFINE(struct policy *, policy_free)
KMN_AUTO_DEFINE(struct policy_diag *, policy_diag_free)
KMN_AUTO_DEFINE(struct worker_pool *, worker_pool_free)

/* ---- shared ---- */
/* allowed: letters of the options that this command has. */
static bool options(const char *command, const char *allowed, int argc, char **argv,
		    struct policy_options *o)
{
	static const struct option known[] = { { "json", no_argument, NULL, 'j' },
					       { "layered", no_argument, NULL, 'l' },
					       { "origins", no_argument, NULL, 'o' },
					       { NULL, 0, NULL, 0 } };
	int c;

	memset(o, 0, sizeof(*o));
	optind = 0; /* glibc and musl: begin anew */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", known, NULL)) != -1) {
		switch (c) {
		case 'j':
			o->json = true;
			break;
		case 'l':
			o->layered = true;
			break;
		case 'o':
			o->origins = true;
			break;
		default:
			break;
		}
		if (!strchr(allowed, c)) {
			(void)cli_usage(command, "unknown option %s", argv[optind - 1]);
			return false;
		}
	}
	o->files = argv + optind;
	o->n = (unsigned)(argc - optind);
	return true;
}

static bool options_files(const char *command, const char *allowed, int argc, char **argv,
			  unsigned least, unsigned most, struct policy_options *o)
{
	if (!options(command, allowed, argc, argv, o))
		return false;
	if (o->n >= least && o->n <= most)
		return true;
	(void)cli_usage(command, o->n < least ? "name a policy file" : "too many files");
	return false;
}

/* The files named, or the policy that a sensor takes when none is named. */
static bool options_policy(const char *command, const char *allowed, int argc, char **argv,
			   struct policy_options *o)
{
	static char path[PATH_MAX], *only[] = { path };

	if (!options(command, allowed, argc, argv, o))
		return false;
	if (o->n)
		return true;
	(void)snprintf(path, sizeof(path), "%s/policy.yaml", cli_places()->config_dir);
	o->files = only;
	o->n = 1;
	return true;
}

void policy_cmd_plans_free(void **plans)
{
	const struct kmn_module *const *modules = cli_roof()->modules;

	for (unsigned i = 0; modules[i]; i++)
		if (plans[i] && modules[i]->plan_free)
			modules[i]->plan_free(plans[i]);
}

/* Lists of foreign origin are read by a worker here too; where none can be had (a host without
 * seccomp), the module says what it cannot do. */
struct policy *policy_cmd_load(char *const *files, unsigned n, struct policy_diag *d, void **plans)
{
	const struct kmn_roof *roof = cli_roof();
	kmn_auto(policy_free) struct policy *p =
		policy_load((const char *const *)files, n, roof->modules, d);
	kmn_auto(worker_pool_free) struct worker_pool *workers =
		p && roof->jobs ? worker_pool_new(NULL, roof->jobs, 1) : NULL;
	struct policy_outcome o = { 0 };

	if (p)
		(void)policy_check(roof->modules, NULL, workers, POLICY_MEMORY_DEFAULT, p, d, &o,
				   plans); /* d says what is wrong */
	return policy_errors(d) ? NULL : KMN_TAKE(p);
}

int policy_cmd_refuse(struct policy_diag *d, bool json)
{
	kmn_auto(buf) struct buf out = { 0 };
	struct json j = json_on(&out);

	if (json) {
		json_object(&j, NULL);
		json_bool(&j, "ok", false);
		json_array(&j, "diagnostics");
		policy_diag_json(d, &j);
		json_end(&j);
		json_end(&j);
		buf_puts(&out, "\n");
		(void)term_write(&out, stdout);
	} else {
		policy_diag_text(d, term_colours(stderr), &out);
		(void)term_write(&out, stderr);
	}
	return CLI_USAGE;
}

static int no_memory(void)
{
	return cli_fail(CLI_NO, "no memory");
}

static int print(struct buf *out, enum cli_exit code)
{
	buf_puts(out, "\n");
	return term_write(out, stdout) < 0 ? CLI_NO : (int)code;
}

/* ---- check ---- */
static const char *plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

static void summary(const char *file, const struct policy_diag *d, struct buf *out)
{
	unsigned errors = policy_errors(d), warnings = policy_warnings(d);

	buf_add_safe(out, file, strlen(file));
	if (errors)
		buf_printf(out, ": %u error%s", errors, plural(errors));
	else
		buf_puts(out, ": good");
	if (warnings)
		buf_printf(out, ", %u warning%s", warnings, plural(warnings));
	buf_puts(out, "\n");
}

/* One policy, of one file or of several laid over each other. Its errors, or -1 without memory. */
static int check_one(char *const *files, unsigned n, struct json *j, struct buf *out)
{
	kmn_auto(policy_diag_free) struct policy_diag *d = policy_diag_new();
	kmn_auto(policy_free) struct policy *p = NULL;

	if (!d)
		return -1;
	p = policy_cmd_load(files, n, d, NULL);
	if (!j) {
		policy_diag_text(d, term_colours(stdout), out);
		summary(files[n - 1], d, out);
		return (int)policy_errors(d);
	}
	json_object(j, NULL);
	json_str(j, "file", files[n - 1]);
	json_bool(j, "ok", p);
	json_u64(j, "errors", policy_errors(d));
	json_u64(j, "warnings", policy_warnings(d));
	json_array(j, "diagnostics");
	policy_diag_json(d, j);
	json_end(j);
	json_end(j);
	return (int)policy_errors(d);
}

static int check(int argc, char **argv)
{
	kmn_auto(buf) struct buf out = { 0 };
	struct json j = json_on(&out);
	struct policy_options o;
	bool bad = false;

	if (!options_policy("policy check", "jl", argc, argv, &o))
		return CLI_USAGE;
	if (o.json)
		json_array(&j, NULL);
	for (unsigned i = 0; i < o.n; i++) {
		int errors = o.layered ? check_one(o.files, o.n, o.json ? &j : NULL, &out)
				       : check_one(o.files + i, 1, o.json ? &j : NULL, &out);

		if (errors < 0)
			return no_memory();
		bad |= errors;
		if (o.layered)
			break;
	}
	if (o.json) {
		json_end(&j);
		buf_puts(&out, "\n");
	}
	return term_write(&out, stdout) < 0 ? CLI_NO : bad ? CLI_USAGE : CLI_GOOD;
}

/* ---- show, diff, schema ---- */
static int show(int argc, char **argv)
{
	kmn_auto(policy_diag_free) struct policy_diag *d = policy_diag_new();
	kmn_auto(policy_free) struct policy *p = NULL;
	kmn_auto(buf) struct buf out = { 0 };
	struct json j = json_on(&out);
	struct policy_options o;

	if (!options_policy("policy show", "jo", argc, argv, &o))
		return CLI_USAGE;
	if (!d)
		return no_memory();
	p = policy_cmd_load(o.files, o.n, d, NULL);
	if (!p)
		return policy_cmd_refuse(d, o.json);
	if (o.json) {
		policy_json(p, &j);
		return print(&out, CLI_GOOD);
	}
	policy_print(p, o.origins, &out);
	return term_write(&out, stdout) < 0 ? CLI_NO : CLI_GOOD;
}

static void diff_json(unsigned n, struct buf *lines, struct buf *out)
{
	struct json j = json_on(out);
	const char *at = buf_text(lines), *nl;

	json_object(&j, NULL);
	json_u64(&j, "differences", n);
	json_array(&j, "changes");
	for (; (nl = strchr(at, '\n')); at = nl + 1)
		json_text(&j, NULL, (struct text){ at, (uint32_t)(nl - at) });
	json_end(&j);
	json_end(&j);
	buf_puts(out, "\n");
}

static int diff(int argc, char **argv)
{
	kmn_auto(policy_diag_free) struct policy_diag *d = policy_diag_new();
	kmn_auto(policy_free) struct policy *a = NULL;
	kmn_auto(policy_free) struct policy *b = NULL;
	kmn_auto(buf) struct buf lines = { 0 };
	kmn_auto(buf) struct buf out = { 0 };
	struct policy_options o;
	unsigned n;

	if (!options_files("policy diff", "j", argc, argv, 2, 2, &o))
		return CLI_USAGE;
	if (!d)
		return no_memory();
	a = policy_load((const char *const *)o.files, 1, cli_roof()->modules, d);
	b = policy_load((const char *const *)o.files + 1, 1, cli_roof()->modules, d);
	if (!a || !b)
		return policy_cmd_refuse(d, o.json);
	n = policy_diff(a, b, &lines);
	if (o.json)
		diff_json(n, &lines, &out);
	else
		term_add_lines(&out, buf_text(&lines), lines.len);
	return term_write(&out, stdout) < 0 || n ? CLI_NO : CLI_GOOD;
}

static int schema(int argc, char **argv)
{
	kmn_auto(buf) struct buf out = { 0 };
	struct json j = json_on(&out);
	struct policy_options o;

	if (!options_files("policy schema", "j", argc, argv, 0, 0, &o))
		return CLI_USAGE;
	policy_schema(cli_roof()->modules, &j);
	return print(&out, CLI_GOOD);
}

static int explain(int argc, char **argv)
{
	struct policy_options o;

	return options_policy("policy explain", "j", argc, argv, &o) ? policy_cmd_explain(&o)
								     : CLI_USAGE;
}

const struct kmn_command policy_commands[] = {
	{ .name = "policy check",
	  .args = "[--json] [--layered] [FILE]...",
	  .summary = "Find every mistake in policy files.",
	  .help = "Reads each FILE (without one /etc/komainu/policy.yaml) with its parents,\n"
		  "compiles it for every protection and prints all errors and warnings with their\n"
		  "place, the line, and what to do. A warning names the open connections of this\n"
		  "host that it would cut. Nothing is put in force, and no sensor needs to run.\n\n"
		  "  --json      an array with one object for each FILE\n"
		  "  --layered   lay the files over each other: --policy A --policy B of run\n\n"
		  "Exit code: 0 all are good, 2 there are errors.\n\n"
		  "Examples:\n"
		  "  komainu policy check /etc/komainu/policies/*.yaml\n"
		  "  komainu policy check --layered base.yaml host.yaml\n",
	  .run = check },
	{ .name = "policy show",
	  .args = "[--origins] [--json] [FILE]...",
	  .summary = "Print a policy as it counts, parents included.",
	  .help = "Merges FILE with its parents, and several files with each other, and prints "
		  "the\n"
		  "whole. It can be read back as a policy.\n\n"
		  "  --origins   behind each line the file and line that it comes from\n"
		  "  --json      as JSON, which is a policy too\n\n"
		  "Examples:\n"
		  "  komainu policy show --origins policies/demo.yaml\n",
	  .run = show },
	{ .name = "policy explain",
	  .args = "[--json] [FILE]...",
	  .summary = "Print the mode in force of every rule, and who decides it.",
	  .help = "The lowest of policy, module and rule is in force. For each rule: its mode, "
		  "which of\n"
		  "the three decides, and where that is written; rules that nobody wrote are "
		  "named.\n\n"
		  "  --json   the same for programs\n\n"
		  "Examples:\n"
		  "  komainu policy explain policies/demo.yaml\n",
	  .run = explain },
	{ .name = "policy diff",
	  .args = "[--json] OLD NEW",
	  .summary = "Print what differs between two policies.",
	  .help = "Compares them whole, parents included: a line for each key, - for OLD, + for "
		  "NEW.\n"
		  "Rules are matched by name.\n\n"
		  "  --json   the number of differences, and the lines\n\n"
		  "Exit code: 0 they are the same, 1 they differ, 2 one of them has errors.\n\n"
		  "Examples:\n"
		  "  komainu policy diff policies/default.yaml policies/demo.yaml\n",
	  .run = diff },
	{ .name = "policy schema",
	  .args = "",
	  .summary = "Print the JSON Schema of a policy, for editors.",
	  .help = "JSON Schema draft 2020-12, made from the tables that check a policy.\n\n"
		  "Examples:\n"
		  "  komainu policy schema > /etc/komainu/policy.schema.json\n"
		  "  (first line of a policy, for editors with a YAML language server:)\n"
		  "  # yaml-language-server: $schema=/etc/komainu/policy.schema.json\n",
	  .run = schema },
	{ .name = NULL },
};
