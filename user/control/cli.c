#include <stdlib.h>
#include <string.h>
#include "base/near.h"
#include "control/cli.h"
#include "core/bpfobj.h"

#define CLI_NAME_MAX 64 /* bytes of a command's name, all words */
#define CLI_WORDS_MAX 4

#define KMN_COMMANDS(table) extern const struct kmn_command table[];
#include "control/commands.def"
#undef KMN_COMMANDS

static const struct kmn_command *const roof_tables[] = {
#define KMN_COMMANDS(table) table,
#include "control/commands.def"
#undef KMN_COMMANDS
	NULL
};

static void collect_table(struct cli_commands *c, const struct kmn_command *table)
{
	for (; table && table->name && c->n < CLI_COMMANDS_MAX; table++)
		c->command[c->n++] = table;
}

void cli_collect(const struct kmn_roof *roof, struct cli_commands *c)
{
	c->n = 0;
	for (unsigned i = 0; roof_tables[i]; i++)
		collect_table(c, roof_tables[i]);
	if (!roof)
		return;
	for (unsigned i = 0; roof->modules[i]; i++)
		collect_table(c, roof->modules[i]->part.commands);
	for (unsigned i = 0; roof->services[i]; i++)
		collect_table(c, roof->services[i]->commands);
}

/* How many words of argv the name takes; 0: it does not begin argv. */
static int words_taken(const char *name, int argc, char *const *argv)
{
	int words = 0;

	while (*name) {
		size_t len = strcspn(name, " ");

		if (words == argc || strlen(argv[words]) != len ||
		    memcmp(argv[words], name, len) != 0)
			return 0;
		words++;
		name += len;
		name += *name == ' ';
	}
	return words;
}

const struct kmn_command *cli_find(const struct cli_commands *c, int argc, char *const *argv,
				   int *words)
{
	const struct kmn_command *found = NULL;

	*words = 0;
	for (unsigned i = 0; i < c->n; i++) {
		int n = words_taken(c->command[i]->name, argc, argv);

		if (n > *words) {
			*words = n;
			found = c->command[i];
		}
	}
	return found;
}

/* The first words of argv, options left out, with a blank between them. */
static void join_words(int words, int argc, char *const *argv, char out[CLI_NAME_MAX])
{
	size_t n = 0;

	out[0] = 0;
	for (int i = 0; i < argc && words && argv[i][0] != '-'; i++, words--) {
		int r = snprintf(out + n, CLI_NAME_MAX - n, "%s%s", n ? " " : "", argv[i]);

		if (r < 0 || (size_t)r >= CLI_NAME_MAX - n) {
			out[0] = 0; /* longer than any name: near to none */
			return;
		}
		n += (size_t)r;
	}
}

static int count_words(const char *name)
{
	int n = 1;

	for (; *name; name++)
		n += *name == ' ';
	return n;
}

const char *cli_near(const struct cli_commands *c, int argc, char *const *argv)
{
	const char *names[CLI_COMMANDS_MAX + 1], *found;
	char typed[CLI_NAME_MAX];

	for (int words = CLI_WORDS_MAX; words > 0; words--) {
		unsigned n = 0;

		for (unsigned i = 0; i < c->n; i++)
			if (count_words(c->command[i]->name) == words)
				names[n++] = c->command[i]->name;
		names[n] = NULL;
		join_words(words, argc, argv, typed);
		found = *typed ? near_word(typed, names) : NULL;
		if (found)
			return found;
	}
	return NULL;
}

/* ---- help ---- */

void cli_help(const struct cli_commands *c, bool colours, struct buf *out)
{
	static const char *const heads[] = { "command", "", NULL };
	struct term_table *t = term_table_new(heads);

	buf_puts(out, "komainu protects the workloads of this host: it sees packets and processes "
		      "in the\nkernel and judges them by a policy.\n\n");
	term_add(out, colours, TERM_BOLD, "usage:");
	buf_puts(out, " komainu COMMAND [OPTIONS]\n\n");
	for (unsigned i = 0; i < c->n; i++) {
		term_cell(t, TERM_CYAN, "%s", c->command[i]->name);
		term_cell(t, TERM_PLAIN, "%s", c->command[i]->summary);
	}
	term_table_add(t, "  ", colours, out);
	term_table_free(t);
	buf_puts(out,
		 "\nkomainu COMMAND --help tells more. Exit codes: 0 good, 1 a negative answer, "
		 "2 bad usage\nor input, 3 sensor not reachable, 4 not permitted, 5 degraded.\n");
}

void cli_help_command(const struct kmn_command *command, bool colours, struct buf *out)
{
	const char *args = command->args ? command->args : "";

	term_add(out, colours, TERM_BOLD, "usage:");
	buf_printf(out, " komainu %s%s%s\n\n%s\n", command->name, *args ? " " : "", args,
		   command->summary);
	if (command->help && *command->help)
		buf_printf(out, "\n%s%s", command->help,
			   command->help[strlen(command->help) - 1] == '\n' ? "" : "\n");
	buf_puts(out, "\nEvery command also takes --config-dir, --state-dir, --run-dir and "
		      "--pin-root DIR.\n");
}

static int print(struct buf *out, FILE *f)
{
	int r = term_write(out, f);

	buf_free(out);
	return r < 0 ? cli_fail(CLI_NO, "cannot write the answer: %s", strerror(-r)) : CLI_GOOD;
}

static int help_run(int argc, char **argv)
{
	struct cli_commands c;
	struct buf out = { 0 };
	const struct kmn_command *command;
	int words;

	cli_collect(cli_roof(), &c);
	if (argc < 2) {
		cli_help(&c, term_colours(stdout), &out);
		return print(&out, stdout);
	}
	command = cli_find(&c, argc - 1, argv + 1, &words);
	if (!command)
		return cli_usage("", "no help for \"%s\"", argv[1]);
	cli_help_command(command, term_colours(stdout), &out);
	return print(&out, stdout);
}

const struct kmn_command cli_commands[] = {
	{ .name = "help",
	  .args = "[COMMAND]",
	  .summary = "List the commands, or explain one.",
	  .help = "Examples:\n"
		  "  komainu help\n"
		  "  komainu help policy check\n",
	  .run = help_run },
	{ 0 },
};

/* ---- main ---- */

bool cli_take_places(int *argc, char **argv, struct cli_places *places)
{
	const struct {
		const char *name;
		const char **value;
	} options[] = { { "--config-dir", &places->config_dir },
			{ "--state-dir", &places->state_dir },
			{ "--run-dir", &places->run_dir },
			{ "--pin-root", &places->pin_root } };
	int kept = 0, i;

	for (i = 0; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		bool taken = false;

		for (unsigned o = 0; o < sizeof(options) / sizeof(options[0]) && !taken; o++) {
			size_t len = strlen(options[o].name);

			if (strncmp(argv[i], options[o].name, len) != 0)
				continue;
			if (argv[i][len] == '=') {
				*options[o].value = argv[i] + len + 1;
			} else if (!argv[i][len] && i + 1 < *argc) {
				*options[o].value = argv[++i];
			} else if (!argv[i][len]) {
				(void)cli_usage("", "%s needs a folder", options[o].name);
				return false;
			} else {
				continue;
			}
			taken = true;
		}
		if (!taken)
			argv[kept++] = argv[i];
	}
	for (; i < *argc; i++)
		argv[kept++] = argv[i];
	argv[kept] = NULL;
	*argc = kept;
	return true;
}

/* No command begins with these words: say which do, or which was meant. */
static int no_command(const struct cli_commands *c, int argc, char *const *argv)
{
	const char *near = cli_near(c, argc, argv);
	struct buf list = { 0 };
	size_t len = strlen(argv[0]);
	int r;

	for (unsigned i = 0; i < c->n; i++)
		if (!strncmp(c->command[i]->name, argv[0], len) && c->command[i]->name[len] == ' ')
			buf_printf(&list, "%s%s", list.len ? ", " : "",
				   c->command[i]->name + len + 1);
	if (near)
		r = cli_usage("", "no command \"%s\": did you mean \"%s\"?", argv[0], near);
	else if (list.len)
		r = cli_usage("", "%s: one of: %s", argv[0], buf_text(&list));
	else
		r = cli_usage("", "no command \"%s\"", argv[0]);
	buf_free(&list);
	return r;
}

static bool asks_for_help(int argc, char *const *argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--help") || (!i && !strcmp(argv[i], "-h")))
			return true;
	return false;
}

int cli_main(const struct kmn_roof *roof, int argc, char **argv)
{
	struct cli_places places = *cli_places();
	const struct kmn_command *command;
	struct buf out = { 0 };
	struct cli_commands c;
	int words;

	bpfobj_hear_libbpf(); /* whatever the command: its own lines would end on the terminal */
	cli_set_roof(roof);
	cli_collect(roof, &c);
	if (!cli_take_places(&argc, argv, &places))
		return CLI_USAGE;
	cli_set_places(&places);
	argc--;
	argv++;
	if (argc < 1) {
		cli_help(&c, term_colours(stderr), &out);
		(void)print(&out, stderr);
		return CLI_USAGE;
	}
	if (!strcmp(argv[0], "--version")) {
		buf_puts(&out, "komainu " KMN_VERSION "\n");
		return print(&out, stdout);
	}
	if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
		cli_help(&c, term_colours(stdout), &out);
		return print(&out, stdout);
	}
	command = cli_find(&c, argc, argv, &words);
	if (!command)
		return no_command(&c, argc, argv);
	if (asks_for_help(argc - words, argv + words)) {
		cli_help_command(command, term_colours(stdout), &out);
		return print(&out, stdout);
	}
	return command->run(argc - words + 1, argv + words - 1);
}
