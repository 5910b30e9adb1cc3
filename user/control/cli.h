#pragma once
#include <stdbool.h>
#include <stdio.h>
#include "base/buf.h"
#include "base/term.h"
#include "core/command.h"

/* The command line: one table of commands, made of control/commands.def and of what the parts
 * bring. cli_roof(), cli_places(), exit codes and cli_fail() are in core/command.h, tables and
 * colours in base/term.h. */

#define CLI_COMMANDS_MAX 256
struct cli_commands {
	const struct kmn_command *command[CLI_COMMANDS_MAX];
	unsigned n;
};

/* All commands of the binary, in the order of help. roof may be NULL: only those of the roof. */
void cli_collect(const struct kmn_roof *roof, struct cli_commands *c);

/* The command whose words begin argv, the longest first ("policy check" before "policy"); *words:
 * how many words it took. NULL: none. */
const struct kmn_command *cli_find(const struct cli_commands *c, int argc, char *const *argv,
				   int *words);
/* The name of the command that was perhaps meant, or NULL. */
const char *cli_near(const struct cli_commands *c, int argc, char *const *argv);

/* The list of commands; the page of one command (usage, options, examples). */
void cli_help(const struct cli_commands *c, bool colours, struct buf *out);
void cli_help_command(const struct kmn_command *command, bool colours, struct buf *out);

/* Take the options that every command knows out of argv, up to "--": false and a message when one
 * has no value. */
bool cli_take_places(int *argc, char **argv, struct cli_places *places);

/* Run the command line. Returns an exit code. */
int cli_main(const struct kmn_roof *roof, int argc, char **argv);
