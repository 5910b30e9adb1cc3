#include <ctype.h>
#include <string.h>
#include "control/completion.h"

#define NAME_MAX_BYTES 64
#define BEGINNINGS_MAX 4 /* of one name: it has a word more */

/* Options that every command takes; the last ones with a folder. */
#define COMMON_OPTIONS "--help --config-dir --state-dir --run-dir --pin-root"

/* ---- what a command takes ---- */

static bool is_file_name(const char *word, size_t len)
{
	static const char *const names[] = { "FILE", "PATH", "DIR", "PCAP" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (len >= strlen(names[i]) && !strncmp(word, names[i], strlen(names[i])))
			return true;
	return false;
}

static bool all_of(const char *word, size_t len, int (*is)(int))
{
	for (size_t i = 0; i < len; i++)
		if (!is((unsigned char)word[i]))
			return false;
	return len > 0;
}

static int is_word_char(int c)
{
	return islower(c) || isdigit(c) || c == '-' || c == '_';
}

static int is_value_char(int c)
{
	return isupper(c) || isdigit(c) || c == '_' || c == '.';
}

static void take_word(struct completion_args *out, const char *word, size_t len)
{
	bool plain = all_of(word, len, is_word_char);

	if (plain && len > 1 && word[0] == '-' && out->options < COMPLETION_ITEMS &&
	    len < sizeof(out->option[0].text)) {
		memcpy(out->option[out->options].text, word, len);
		out->option[out->options++].text[len] = 0;
	} else if (plain && word[0] != '-' && out->words < COMPLETION_ITEMS &&
		   len < sizeof(out->word[0])) {
		memcpy(out->word[out->words], word, len);
		out->word[out->words++][len] = 0;
	} else if (is_file_name(word, len)) {
		out->files = true;
	}
}

void completion_parse(const char *args, struct completion_args *out)
{
	static const char between[] = " []()|,=.";
	unsigned last_option = 0; /* number of the option that stands right before; 0: none */

	memset(out, 0, sizeof(*out));
	for (const char *p = args ? args : ""; *p;) {
		size_t len = strcspn(p, between);

		if (!len) {
			/* "[--json|--cef] FILE": a bracket or a bar ends what belongs to an option
			 */
			if (*p != ' ' && *p != '=')
				last_option = 0;
			p++;
			continue;
		}
		if (last_option && all_of(p, len, is_value_char)) {
			out->option[last_option - 1].value = true;
			out->option[last_option - 1].files = is_file_name(p, len);
			last_option = 0;
		} else {
			unsigned before = out->options;

			take_word(out, p, len);
			last_option = out->options > before ? out->options : 0;
		}
		p += len;
	}
}

/* ---- the tree of words ---- */

/* Is command i the first that goes on behind its first len bytes? Names are few, so that comparing
 * each with those before it is enough. */
static bool first_with_prefix(const struct cli_commands *c, unsigned i, size_t len)
{
	for (unsigned k = 0; k < i; k++)
		if (!strncmp(c->command[k]->name, c->command[i]->name, len) &&
		    c->command[k]->name[len] == ' ')
			return false;
	return true;
}

static const struct kmn_command *command_named(const struct cli_commands *c, const char *name)
{
	for (unsigned i = 0; i < c->n; i++)
		if (!strcmp(c->command[i]->name, name))
			return c->command[i];
	return NULL;
}

/* The beginnings of the name of command i that are no commands themselves ("policy" of "policy
 * check"), shortest first. Over all i each comes once. */
static unsigned beginnings(const struct cli_commands *c, unsigned i,
			   char out[BEGINNINGS_MAX][NAME_MAX_BYTES])
{
	const char *name = c->command[i]->name;
	unsigned n = 0;

	for (const char *p = strchr(name, ' '); p && n < BEGINNINGS_MAX; p = strchr(p + 1, ' ')) {
		size_t len = (size_t)(p - name);

		if (len >= NAME_MAX_BYTES || !first_with_prefix(c, i, len))
			continue;
		memcpy(out[n], name, len);
		out[n][len] = 0;
		n += !command_named(c, out[n]);
	}
	return n;
}

/* The words that may follow prefix ("" at the start), each once, with a blank between. */
static void add_next_words(const struct cli_commands *c, const char *prefix, struct buf *out)
{
	size_t len = strlen(prefix), start = out->len;

	for (unsigned i = 0; i < c->n; i++) {
		const char *name = c->command[i]->name, *word = name + len + (len > 0);
		bool seen = false;

		if (len && (strncmp(name, prefix, len) != 0 || name[len] != ' '))
			continue;
		for (unsigned k = 0; k < i && !seen; k++) {
			const char *other = c->command[k]->name;
			size_t w = strcspn(word, " ");

			seen = (!len || (!strncmp(other, prefix, len) && other[len] == ' ')) &&
			       strcspn(other + len + (len > 0), " ") == w &&
			       !strncmp(other + len + (len > 0), word, w);
		}
		if (seen)
			continue;
		if (out->len > start)
			buf_putc(out, ' ');
		buf_add(out, word, strcspn(word, " "));
	}
}

static void add_own_words(const struct completion_args *a, struct buf *out, bool more)
{
	for (unsigned i = 0; i < a->words; i++)
		buf_printf(out, "%s%s", more || i ? " " : "", a->word[i]);
}

/* One branch of the case over the words typed so far; the same text for bash and zsh. */
static void add_branch(const struct cli_commands *c, const char *path, struct buf *out)
{
	const struct kmn_command *command = command_named(c, path);
	struct completion_args a;
	struct buf words = { 0 };

	completion_parse(command ? command->args : "", &a);
	add_next_words(c, path, &words);
	add_own_words(&a, &words, words.len > 0);
	buf_printf(out, "\t\"%s\") kmn_words=\"%s\"; kmn_options=\"", path, buf_text(&words));
	for (unsigned i = 0; i < a.options; i++)
		buf_printf(out, "%s%s", i ? " " : "", a.option[i].text);
	buf_printf(out, "\"; kmn_files=%d ;;\n", a.files);
	buf_free(&words);
}

/* Branches for every path: the commands, and the beginnings that are not commands. */
static void add_branches(const struct cli_commands *c, struct buf *out)
{
	char begin[BEGINNINGS_MAX][NAME_MAX_BYTES];

	add_branch(c, "", out);
	for (unsigned i = 0; i < c->n; i++) {
		unsigned n = beginnings(c, i, begin);

		for (unsigned k = 0; k < n; k++)
			add_branch(c, begin[k], out);
		add_branch(c, c->command[i]->name, out);
	}
}

/* All paths but the empty one between quote marks: "policy"|"policy check"|... */
static void add_paths(const struct cli_commands *c, char quote, const char *between,
		      struct buf *out)
{
	char begin[BEGINNINGS_MAX][NAME_MAX_BYTES];

	for (unsigned i = 0; i < c->n; i++) {
		unsigned n = beginnings(c, i, begin);

		for (unsigned k = 0; k < n; k++)
			buf_printf(out, "%c%s%c%s", quote, begin[k], quote, between);
		buf_printf(out, "%c%s%c%s", quote, c->command[i]->name, quote,
			   i + 1 < c->n ? between : "");
	}
}

/* ---- the shells ---- */

static void add_posix_path(const struct cli_commands *c, const char *word, struct buf *out)
{
	buf_printf(out, "\t\tcase \"%s\" in -*) continue ;; esac\n", word);
	buf_printf(out, "\t\tcase \"${kmn_at:+$kmn_at }%s\" in\n\t\t", word);
	add_paths(c, '"', "|", out);
	buf_printf(out, ") kmn_at=\"${kmn_at:+$kmn_at }%s\" ;;\n\t\t*) break ;;\n\t\tesac\n", word);
}

static void bash_script(const struct cli_commands *c, struct buf *out)
{
	buf_puts(out,
		 "# bash completion for komainu, made by: komainu completion bash\n"
		 "_komainu()\n{\n"
		 "\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
		 "\tlocal kmn_at=\"\" kmn_words=\"\" kmn_options=\"\" kmn_files=0 i\n"
		 "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n");
	add_posix_path(c, "${COMP_WORDS[i]}", out);
	buf_puts(out, "\tdone\n\tcase \"$kmn_at\" in\n");
	add_branches(c, out);
	buf_puts(out,
		 "\tesac\n"
		 "\tCOMPREPLY=()\n"
		 "\tcase \"$prev\" in\n"
		 "\t--*-dir|--pin-root) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); return "
		 ";;\n"
		 "\tesac\n"
		 "\tif [[ $cur == -* ]]; then\n"
		 "\t\tmapfile -t COMPREPLY < <(compgen -W \"$kmn_options " COMMON_OPTIONS
		 "\" -- \"$cur\")\n"
		 "\t\treturn\n"
		 "\tfi\n"
		 "\tmapfile -t COMPREPLY < <(compgen -W \"$kmn_words\" -- \"$cur\")\n"
		 "\tif ((kmn_files)) || [[ $prev == --* && -z $kmn_words ]]; then\n"
		 "\t\tmapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"$cur\")\n"
		 "\t\tcompopt -o filenames 2>/dev/null\n"
		 "\tfi\n"
		 "}\n"
		 "complete -F _komainu komainu\n");
}

/* The names of zsh's own parameters (words, path, options) must not be made local. */
static void zsh_script(const struct cli_commands *c, struct buf *out)
{
	buf_puts(out, "#compdef komainu\n"
		      "# zsh completion for komainu, made by: komainu completion zsh\n"
		      "_komainu()\n{\n"
		      "\tlocal cur=\"${words[CURRENT]}\" prev=\"${words[CURRENT-1]}\"\n"
		      "\tlocal kmn_at=\"\" kmn_words=\"\" kmn_options=\"\" kmn_files=0 i\n"
		      "\tfor ((i = 2; i < CURRENT; i++)); do\n");
	add_posix_path(c, "${words[i]}", out);
	buf_puts(out, "\tdone\n\tcase \"$kmn_at\" in\n");
	add_branches(c, out);
	buf_puts(out, "\tesac\n"
		      "\tcase \"$prev\" in\n"
		      "\t--*-dir|--pin-root) _files -/; return ;;\n"
		      "\tesac\n"
		      "\tif [[ $cur == -* ]]; then\n"
		      "\t\tcompadd -- ${=kmn_options} ${=:-" COMMON_OPTIONS "}\n"
		      "\t\treturn\n"
		      "\tfi\n"
		      "\t[[ -n $kmn_words ]] && compadd -- ${=kmn_words}\n"
		      "\tif ((kmn_files)) || [[ $prev == --* && -z $kmn_words ]]; then\n"
		      "\t\t_files\n"
		      "\tfi\n"
		      "}\n"
		      "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
		      "\t_komainu \"$@\"\n"
		      "else\n"
		      "\tcompdef _komainu komainu\n"
		      "fi\n");
}

/* Text between single quotes of fish. */
static void add_fish_quoted(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *text);
	}
}

static void fish_words(const struct cli_commands *c, const char *prefix, struct buf *out)
{
	struct buf words = { 0 };
	char *word, *rest;

	add_next_words(c, prefix, &words);
	(void)buf_text(&words);
	for (word = words.data; word && *word; word = rest) {
		const struct kmn_command *command;
		char name[NAME_MAX_BYTES];

		rest = word + strcspn(word, " ");
		if (*rest)
			*rest++ = 0;
		(void)snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? " " : "", word);
		command = command_named(c, name);
		buf_printf(out, "complete -c komainu -f -n '__komainu_at \"%s\"' -a '%s' -d '",
			   prefix, word);
		if (command)
			add_fish_quoted(out, command->summary);
		else
			add_next_words(c, name, out);
		buf_puts(out, "'\n");
	}
	buf_free(&words);
}

static void fish_command(const struct kmn_command *command, struct buf *out)
{
	struct completion_args a;

	completion_parse(command->args, &a);
	for (unsigned i = 0; i < a.options; i++) {
		const char *name = a.option[i].text;
		bool is_long = name[1] == '-';

		buf_printf(out, "complete -c komainu -n '__komainu_at \"%s\"' -%c %s%s\n",
			   command->name, is_long ? 'l' : 's', name + 1 + is_long,
			   !a.option[i].value  ? ""
			   : a.option[i].files ? " -r -F"
					       : " -x");
	}
	for (unsigned i = 0; i < a.words; i++)
		buf_printf(out, "complete -c komainu -f -n '__komainu_at \"%s\"' -a '%s'\n",
			   command->name, a.word[i]);
	if (a.files)
		buf_printf(out, "complete -c komainu -F -n '__komainu_at \"%s\"'\n", command->name);
}

static void fish_script(const struct cli_commands *c, struct buf *out)
{
	char begin[BEGINNINGS_MAX][NAME_MAX_BYTES];

	buf_puts(out, "# fish completion for komainu, made by: komainu completion fish\n"
		      "function __komainu_at\n"
		      "\tset -l path\n"
		      "\tfor word in (commandline -opc)[2..-1]\n"
		      "\t\tswitch $word\n"
		      "\t\tcase '-*'\n"
		      "\t\t\tcontinue\n"
		      "\t\tend\n"
		      "\t\tset -l next (string trim \"$path $word\")\n"
		      "\t\tswitch $next\n\t\tcase ");
	add_paths(c, '\'', " ", out);
	buf_puts(out, "\n\t\t\tset path $next\n"
		      "\t\tcase '*'\n"
		      "\t\t\tbreak\n"
		      "\t\tend\n"
		      "\tend\n"
		      "\ttest \"$path\" = \"$argv[1]\"\n"
		      "end\n"
		      "complete -c komainu -f\n"
		      "complete -c komainu -l help -d 'Show usage, options and examples'\n"
		      "complete -c komainu -l config-dir -x -a '(__fish_complete_directories)'\n"
		      "complete -c komainu -l state-dir -x -a '(__fish_complete_directories)'\n"
		      "complete -c komainu -l run-dir -x -a '(__fish_complete_directories)'\n"
		      "complete -c komainu -l pin-root -x -a '(__fish_complete_directories)'\n");
	fish_words(c, "", out);
	for (unsigned i = 0; i < c->n; i++) {
		unsigned n = beginnings(c, i, begin);

		for (unsigned k = 0; k < n; k++)
			fish_words(c, begin[k], out);
		fish_words(c, c->command[i]->name, out); /* "verify" behind "events" */
		fish_command(c->command[i], out);
	}
}

void completion_script(const struct cli_commands *c, enum completion_shell shell, struct buf *out)
{
	if (shell == COMPLETION_BASH)
		bash_script(c, out);
	else if (shell == COMPLETION_ZSH)
		zsh_script(c, out);
	else
		fish_script(c, out);
}

static int completion_run(int argc, char **argv)
{
	static const char *const shells[] = { "bash", "zsh", "fish", NULL };
	struct cli_commands c;
	struct buf out = { 0 };
	int shell = 0, r;

	if (argc != 2)
		return cli_usage("completion", "completion takes one of: bash, zsh, fish");
	while (shells[shell] && strcmp(shells[shell], argv[1]) != 0)
		shell++;
	if (!shells[shell])
		return cli_usage("completion", "no completion for %s: one of bash, zsh, fish",
				 argv[1]);
	cli_collect(cli_roof(), &c);
	completion_script(&c, (enum completion_shell)shell, &out);
	r = term_write(&out, stdout);
	buf_free(&out);
	return r < 0 ? cli_fail(CLI_NO, "cannot write the script: %s", strerror(-r)) : CLI_GOOD;
}

const struct kmn_command completion_commands[] = {
	{ .name = "completion",
	  .args = "bash|zsh|fish",
	  .summary = "Print a completion script for a shell.",
	  .help = "Examples:\n"
		  "  source <(komainu completion bash)\n"
		  "  komainu completion bash > /usr/share/bash-completion/completions/komainu\n"
		  "  komainu completion zsh > /usr/share/zsh/vendor-completions/_komainu\n"
		  "  komainu completion fish > /usr/share/fish/vendor_completions.d/komainu.fish\n",
	  .run = completion_run },
	{ 0 },
};
