#pragma once
#include <stdbool.h>
#include <stdio.h>
#include "core/module.h"

/* What a command of the command line (struct kmn_command) needs, of any part: its exit codes, the
 * roof, the folders, and how it says no. For text see base/term.h. The dispatcher is control/cli.
 */

/* The same meaning in every command. */
enum cli_exit {
	CLI_GOOD,	 /* done, yes */
	CLI_NO,		 /* a negative answer: found, differs, refused */
	CLI_USAGE,	 /* bad usage or input */
	CLI_UNREACHABLE, /* the sensor is not reachable */
	CLI_DENIED,	 /* not permitted */
	CLI_DEGRADED,	 /* works, but not whole */
};

/* The folders in use: the defaults, or what the options --config-dir, --state-dir, --run-dir and
 * --pin-root say, which every command knows. */
struct cli_places {
	const char *config_dir; /* /etc/komainu */
	const char *state_dir;	/* /var/lib/komainu */
	const char *run_dir;	/* /run/komainu */
	const char *pin_root;	/* /sys/fs/bpf/komainu */
};

const struct kmn_roof *cli_roof(void);	     /* set by main(); NULL before */
const struct cli_places *cli_places(void);   /* never NULL */
void cli_set_roof(const struct kmn_roof *r); /* borrowed for ever */
void cli_set_places(const struct cli_places *p);

/* Say "komainu: WHAT" on stderr, made safe, and return code. */
int cli_fail(enum cli_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with "try: komainu COMMAND --help"; returns CLI_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What getopt_long() stumbled over, with opterr = 0, is no option of the command, or it misses its
 * value. Returns CLI_USAGE. */
int cli_bad_option(const char *command, char *const *argv);
/* CLI_GOOD for root; else one sentence that says what to type, and CLI_DENIED. */
int cli_need_root(const char *command);

/* argv[0] of a harmless process that a canary starts: main() ends it at once with 0. */
#define CANARY_ARGV0 "komainu: canary"
