#pragma once
#include "control/cli.h"

/* A completion script made from the command tables: words of commands, and of each command what its
 * args text names: "--option", "word|word", and file names where it says FILE, PATH, DIR or PCAP.
 */
enum completion_shell { COMPLETION_BASH, COMPLETION_ZSH, COMPLETION_FISH };
void completion_script(const struct cli_commands *c, enum completion_shell shell, struct buf *out);

/* What the args text of a command lets stand behind it. */
#define COMPLETION_ITEMS 32
struct completion_args {
	struct {
		char text[40];
		bool value; /* an option that takes one */
		bool files; /* and it is a file name */
	} option[COMPLETION_ITEMS];
	char word[COMPLETION_ITEMS][40];
	unsigned options, words;
	bool files; /* an argument of its own is a file name */
};
void completion_parse(const char *args, struct completion_args *out);
