#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/auto.h"
#include "control/cli.h"
#include "control/client.h"
#include "control/status.h"

/* Commands that ask the running sensor and print what it says: status, reload, selftest, metrics.
 */

#define RELOAD_MS 120000 /* lists of a policy are read by workers, each with a timeout */
#define SELFTEST_MS 60000
#define WATCH_S 1

KMN_AUTO_DEFINE(cJSON *, cJSON_Delete)

static const char *text_of_member(const cJSON *j, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, name));

	return text ? text : "";
}

static int put(struct buf *out)
{
	int r = term_write(out, stdout);

	return r < 0 ? cli_fail(CLI_NO, "cannot write the answer: %s", strerror(-r)) : CLI_GOOD;
}

/* ---- status ---- */

struct status_options {
	bool json, watch;
};

static int status_once(int fd, const struct status_options *o)
{
	kmn_auto(cJSON_Delete) cJSON *status = NULL;
	kmn_auto(buf) struct buf text = { 0 }, out = { 0 };
	int r = control_ask_on(fd, "status", NULL, CONTROL_ASK_MS, &text, &status);

	if (r != CLI_GOOD)
		return r;
	if (o->watch && !o->json && term_colours(stdout))
		buf_puts(&out, "\033[H\033[J"); /* home, clear */
	if (!o->json)
		status_print(status, term_colours(stdout), &out);
	r = put(o->json ? &text : &out);
	return r != CLI_GOOD ? r : status_exit(status);
}

static int status_run(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "watch", no_argument, NULL, 'w' },
						 { 0 } };
	struct status_options o = { 0 };
	kmn_auto(fd) int fd = -1;
	int c, r;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_bad_option("status", argv);
		o.json |= c == 'j';
		o.watch |= c == 'w';
	}
	if (optind < argc)
		return cli_usage("status", "status takes no %s", argv[optind]);
	fd = control_connect(cli_places()->run_dir, NULL);
	if (fd < 0)
		return control_not_connected(fd);
	r = status_once(fd, &o);
	while (o.watch && (r == CLI_GOOD || r == CLI_DEGRADED)) {
		(void)sleep(WATCH_S);
		r = status_once(fd, &o);
	}
	return r;
}

/* ---- reload ---- */

/* The outcome of a transaction: {"ok","stage","generation","took_ms","text"}. */
static int print_outcome(const cJSON *result, bool dry)
{
	const cJSON *generation = cJSON_GetObjectItemCaseSensitive(result, "generation");
	bool good = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "ok"));
	kmn_auto(buf) struct buf out = { 0 }, said = { 0 };
	const char *text = text_of_member(result, "text");
	double gen = cJSON_IsNumber(generation) ? generation->valuedouble : 0;

	term_add_lines(&said, text, strlen(text));
	if (said.len && said.data[said.len - 1] != '\n')
		buf_puts(&said, "\n");
	(void)term_write(&said, stderr); /* diagnostics; the outcome is on stdout */
	if (good && dry)
		buf_printf(&out, "the policy is good; generation %.0f stays in force\n", gen);
	else if (good)
		buf_printf(&out, "generation %.0f is in force\n", gen);
	else
		buf_printf(&out, "refused; generation %.0f stays in force, whole\n", gen);
	return put(&out) != CLI_GOOD || !good ? CLI_NO : CLI_GOOD;
}

static int reload_run(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "dry-run", no_argument, NULL, 'd' },
						 { 0 } };
	kmn_auto(cJSON_Delete) cJSON *result = NULL;
	kmn_auto(buf) struct buf text = { 0 };
	bool json = false, dry = false;
	int c, r;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_bad_option("reload", argv);
		json |= c == 'j';
		dry |= c == 'd';
	}
	if (optind < argc)
		return cli_usage(
			"reload",
			"reload takes no file: the sensor reads those it was started with");
	r = control_ask(dry ? "reload-check" : "reload", NULL, RELOAD_MS, &text, &result);
	if (r != CLI_GOOD)
		return r;
	if (!json)
		return print_outcome(result, dry);
	r = put(&text);
	return r != CLI_GOOD || !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "ok"))
		       ? CLI_NO
		       : CLI_GOOD;
}

/* ---- selftest ---- */

static int print_tests(const cJSON *result, bool quiet)
{
	static const char *const heads[] = { "part", "result", "what was done and seen", NULL };
	struct term_table *t = term_table_new(heads);
	kmn_auto(buf) struct buf out = { 0 };
	bool failed = false, cannot = false;
	const cJSON *test;

	cJSON_ArrayForEach(test, cJSON_GetObjectItemCaseSensitive(result, "tests"))
	{
		const char *how = text_of_member(test, "result");
		bool pass = !strcmp(how, "pass");

		failed |= !pass && strcmp(how, "cannot") != 0;
		cannot |= !strcmp(how, "cannot");
		term_cell(t, TERM_PLAIN, "%s", text_of_member(test, "part"));
		term_cell(t,
			  pass			  ? TERM_GREEN
			  : strcmp(how, "cannot") ? TERM_RED
						  : TERM_YELLOW,
			  "%s", how);
		term_cell(t, TERM_PLAIN, "%s", text_of_member(test, "why"));
	}
	if (!quiet) {
		term_table_add(t, "", term_colours(stdout), &out);
		if (put(&out) != CLI_GOOD)
			failed = true;
	}
	term_table_free(t);
	return failed ? CLI_NO : cannot ? CLI_DEGRADED : CLI_GOOD;
}

static int json_option(const char *command, int argc, char **argv, bool *json)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_bad_option(command, argv);
		*json = true;
	}
	if (optind < argc)
		return cli_usage(command, "%s takes no %s", command, argv[optind]);
	return CLI_GOOD;
}

static int selftest_run(int argc, char **argv)
{
	kmn_auto(cJSON_Delete) cJSON *result = NULL;
	kmn_auto(buf) struct buf text = { 0 };
	bool json = false;
	int r = json_option("selftest", argc, argv, &json);

	if (r == CLI_GOOD)
		r = control_ask("selftest", NULL, SELFTEST_MS, &text, &result);
	if (r != CLI_GOOD)
		return r;
	if (json && put(&text) != CLI_GOOD)
		return CLI_NO;
	return print_tests(result, json);
}

/* ---- metrics ---- */

static int metrics_run(int argc, char **argv)
{
	kmn_auto(cJSON_Delete) cJSON *result = NULL;
	kmn_auto(buf) struct buf out = { 0 };

	if (argc > 1)
		return cli_usage("metrics", "metrics takes no %s", argv[1]);
	int r = control_ask("metrics", NULL, CONTROL_ASK_MS, NULL, &result);
	if (r != CLI_GOOD)
		return r;
	buf_puts(&out, text_of_member(result, "text"));
	return put(&out);
}

const struct kmn_command ask_commands[] = {
	{ .name = "status",
	  .args = "[--json] [--watch]",
	  .summary = "Show parts, modes, hooks with their proof, events, store and memory.",
	  .help = "Options:\n"
		  "  --json    the sensor's own answer (docs/control.md), one line\n"
		  "  --watch   again every second, until Ctrl-C\n\n"
		  "A hook is \"proven\" when a canary was seen by its program, in the generation\n"
		  "shown. \"stays\" means that it goes on when the sensor ends or dies.\n\n"
		  "Exit code: 0 all parts active, 5 something is degraded, 3 no sensor runs.\n\n"
		  "Examples:\n"
		  "  komainu status\n"
		  "  komainu status --json | jq '.parts[] | {name, state, why}'\n",
	  .run = status_run },
	{ .name = "reload",
	  .args = "[--dry-run] [--json]",
	  .summary = "Read the policy again and put it in force, whole or not at all.",
	  .help = "Options:\n"
		  "  --dry-run   check and compile, change nothing\n"
		  "  --json      the outcome as one line of JSON\n\n"
		  "The same as SIGHUP, but waits and prints every error with file, line and\n"
		  "column. Exit code: 0 in force, 1 refused: the old generation stays.\n\n"
		  "Example:\n"
		  "  komainu policy check /etc/komainu/policy.yaml && sudo komainu reload\n",
	  .run = reload_run },
	{ .name = "selftest",
	  .args = "[--json]",
	  .summary = "Let the sensor attack itself harmlessly and see whether it notices.",
	  .help = "Options:\n"
		  "  --json    results as one line of JSON\n\n"
		  "Needs a running sensor and root; nothing leaves the host. Exit code: 0 all\n"
		  "passed, 1 one failed, 5 one could not be done here, 3 no sensor runs (komainu\n"
		  "probe tells what this kernel can do without one).\n\n"
		  "Example:\n"
		  "  sudo komainu selftest\n",
	  .run = selftest_run },
	{ .name = "metrics",
	  .args = "",
	  .summary = "Print the sensor's metrics in Prometheus text format.",
	  .help = "The same text is served on the Unix socket metrics.sock in the run folder:\n"
		  "  curl --unix-socket /run/komainu/metrics.sock http://localhost/metrics\n\n"
		  "Example, for the textfile collector of node_exporter:\n"
		  "  komainu metrics > /var/lib/node_exporter/komainu.prom\n",
	  .run = metrics_run },
	{ 0 },
};
