#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include "control/cli.h"
#include "control/completion.h"

/* A roof with one made-up part whose commands nest. */
static int last_argc;
static char *last_argv[8];

static int remember(int argc, char **argv)
{
	last_argc = argc;
	for (int i = 0; i <= argc && i < 8; i++)
		last_argv[i] = argv[i];
	return CLI_DEGRADED;
}

/* What libbpf warns of on stderr, unless it is told otherwise. */
static int find_closed(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return bpf_object__open("/no/such/object") ? CLI_NO : CLI_GOOD;
}

static const struct kmn_command zoo_commands[] = {
	{ .name = "zoo",
	  .args = "[--json] PATH...",
	  .summary = "Look at it.",
	  .help = "Example:\n  komainu zoo /x\n",
	  .run = remember },
	{ .name = "zoo feed lion",
	  .args = "[--since T] [-n N] raw|cooked",
	  .summary = "Feed the lion.",
	  .help = "Example:\n  komainu zoo feed lion raw\n",
	  .run = remember },
	{ .name = "zoo feed",
	  .args = "--file FILE",
	  .summary = "Feed all.",
	  .help = "Example:\n  komainu zoo feed --file x\n",
	  .run = remember },
	{ .name = "zoo open",
	  .args = "",
	  .summary = "Find it closed.",
	  .help = "x",
	  .run = find_closed },
	{ .name = "garden water",
	  .args = "",
	  .summary = "Water it.",
	  .help = "x",
	  .run = remember },
	{ 0 },
};
static const struct kmn_part zoo = { .name = "zoo", .summary = "A zoo.", .commands = zoo_commands };
static const struct kmn_part *const services[] = { &zoo, NULL };
static const struct kmn_module *const modules[] = { NULL };
static const struct kmn_roof roof = { services, modules, NULL };

/* Run the command line in a child with its output caught: exit code, and what it wrote. */
static int run(char *out, size_t size, char *const *argv)
{
	int p[2], status = 0, argc = 0;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	while (argv[argc])
		argc++;
	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		char *copy[16] = { NULL };

		for (int i = 0; i < argc; i++)
			copy[i] = strdup(argv[i]);
		(void)dup2(p[1], STDOUT_FILENO);
		(void)dup2(p[1], STDERR_FILENO);
		close(p[0]);
		close(p[1]);
		_exit(cli_main(&roof, argc, copy));
	}
	close(p[1]);
	while (len + 1 < size && (n = read(p[0], out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = 0;
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}
#define RUN(...) run(out, sizeof(out), (char *const[]){ "komainu", __VA_ARGS__, NULL })

static void the_longest_command_wins(void **state)
{
	char *const argv[] = { "zoo", "feed", "lion", "raw", NULL };
	struct cli_commands c;
	int words = 0;

	(void)state;
	cli_collect(&roof, &c);
	assert_string_equal(cli_find(&c, 4, argv, &words)->name, "zoo feed lion");
	assert_int_equal(words, 3);
	assert_string_equal(cli_find(&c, 2, argv, &words)->name, "zoo feed");
	assert_string_equal(cli_find(&c, 1, argv, &words)->name, "zoo");
	assert_null(cli_find(&c, 0, argv, &words));
	assert_int_equal(words, 0);
}

static void a_command_gets_its_last_word_and_what_stands_behind(void **state)
{
	char *argv[] = { "komainu", "--run-dir", "/r",		"zoo", "feed", "--pin-root=/p",
			 "x",	    "--",	 "--state-dir", "y",   NULL };

	(void)state;
	assert_int_equal(cli_main(&roof, 10, argv), CLI_DEGRADED);
	assert_int_equal(last_argc, 5);
	assert_string_equal(last_argv[0], "feed");
	assert_string_equal(last_argv[1], "x");
	assert_string_equal(last_argv[2], "--");
	assert_string_equal(last_argv[3], "--state-dir"); /* behind "--" it is an argument */
	assert_null(last_argv[5]);
	assert_string_equal(cli_places()->run_dir, "/r");
	assert_string_equal(cli_places()->pin_root, "/p");
	assert_string_equal(cli_places()->state_dir, "/var/lib/komainu");
	assert_ptr_equal(cli_roof(), &roof);
}

static void libbpf_does_not_speak_for_itself(void **state)
{
	char out[4096];

	(void)state;
	assert_int_equal(RUN("zoo", "open"), CLI_GOOD);
	assert_string_equal(out, "");
}

static void a_near_name_is_proposed(void **state)
{
	char out[4096];

	(void)state;
	assert_int_equal(RUN("stauts"), CLI_USAGE);
	assert_non_null(strstr(out, "did you mean \"status\"?"));
	assert_int_equal(RUN("zoo feed"),
			 CLI_USAGE); /* one word with a blank in it is no command */
	assert_int_equal(RUN("garden", "wtaer"), CLI_USAGE);
	assert_non_null(strstr(out, "did you mean \"garden water\"?"));
	assert_int_equal(RUN("garden"), CLI_USAGE);
	assert_non_null(strstr(out, "garden: one of: water"));
	assert_int_equal(RUN("xyzzy"), CLI_USAGE);
	assert_null(strstr(out, "did you mean"));
	assert_int_equal(RUN("evil\033[2J"), CLI_USAGE);
	assert_null(strchr(out, '\033'));
}

static void help_is_there_for_all_and_for_each(void **state)
{
	char out[16384];

	(void)state;
	assert_int_equal(RUN("help"), CLI_GOOD);
	assert_non_null(strstr(out, "zoo feed lion"));
	assert_non_null(strstr(out, "Exit codes: 0 good"));
	assert_int_equal(RUN("--help"), CLI_GOOD);
	assert_int_equal(RUN("zoo", "feed", "lion", "raw", "--help"), CLI_GOOD);
	assert_non_null(strstr(out, "usage: komainu zoo feed lion [--since T] [-n N] raw|cooked"));
	assert_non_null(strstr(out, "Example:"));
	assert_int_equal(RUN("help", "zoo", "feed"), CLI_GOOD);
	assert_non_null(strstr(out, "usage: komainu zoo feed --file FILE"));
	assert_int_equal(RUN("help", "nothing"), CLI_USAGE);
	assert_int_equal(RUN("zoo", "--", "--help"), CLI_DEGRADED); /* an argument */
}

static void without_words_it_shows_help_and_fails(void **state)
{
	char out[16384];

	(void)state;
	assert_int_equal(run(out, sizeof(out), (char *const[]){ "komainu", NULL }), CLI_USAGE);
	assert_non_null(strstr(out, "usage: komainu COMMAND"));
	assert_int_equal(RUN("--version"), CLI_GOOD);
	assert_string_equal(out, "komainu " KMN_VERSION "\n");
	assert_int_equal(RUN("--run-dir"), CLI_USAGE);
	assert_non_null(strstr(out, "--run-dir needs a folder"));
}

static void bad_options_name_what_is_bad(void **state)
{
	static const char *const commands[] = { "status", "reload", "selftest", "stop", "probe" };
	char out[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		assert_int_equal(RUN((char *)commands[i], "--bogus"), CLI_USAGE);
		assert_non_null(strstr(out, "--bogus"));
		assert_non_null(strstr(out, "try: komainu"));
		assert_int_equal(RUN((char *)commands[i], "surplus"), CLI_USAGE);
	}
	assert_int_equal(RUN("completion"), CLI_USAGE);
	assert_int_equal(RUN("completion", "csh"), CLI_USAGE);
}

static void without_a_sensor_commands_say_so(void **state)
{
	char out[4096];

	(void)state;
	assert_int_equal(RUN("--run-dir", "/nonexistent", "status"), CLI_UNREACHABLE);
	assert_non_null(strstr(out, "no sensor runs"));
	assert_non_null(strstr(out, "sudo komainu run"));
	assert_int_equal(RUN("metrics", "--run-dir=/nonexistent"), CLI_UNREACHABLE);
	assert_int_equal(RUN("reload", "--run-dir=/nonexistent"), CLI_UNREACHABLE);
	assert_int_equal(RUN("selftest", "--run-dir=/nonexistent"), CLI_UNREACHABLE);
	if (!geteuid())
		assert_int_equal(RUN("stop", "--run-dir=/nonexistent"), CLI_UNREACHABLE);
	else
		assert_int_equal(RUN("stop", "--run-dir=/nonexistent"), CLI_DENIED);
}

static void every_command_of_the_binary_is_described(void **state)
{
	struct cli_commands c;

	(void)state;
	cli_collect(NULL, &c);
	assert_true(c.n > 5 && c.n < CLI_COMMANDS_MAX);
	for (unsigned i = 0; i < c.n; i++) {
		const struct kmn_command *k = c.command[i];

		assert_non_null(k->run);
		assert_non_null(k->args);
		assert_true(k->summary && strlen(k->summary) > 10 && !strchr(k->summary, '\n'));
		assert_true(k->help && strlen(k->help) > 20);
		for (unsigned n = 0; n < i; n++)
			assert_string_not_equal(k->name, c.command[n]->name);
	}
}

static void args_text_is_understood(void **state)
{
	struct completion_args a;

	(void)state;
	completion_parse("[-f] [--since T] [--json|--cef] [--rules DIR]... raw|cooked FILE...", &a);
	assert_int_equal(a.options, 5);
	assert_string_equal(a.option[0].text, "-f");
	assert_false(a.option[0].value);
	assert_string_equal(a.option[1].text, "--since");
	assert_true(a.option[1].value && !a.option[1].files);
	assert_string_equal(a.option[3].text, "--cef");
	assert_false(a.option[3].value);
	assert_true(a.option[4].value && a.option[4].files);
	assert_int_equal(a.words, 2);
	assert_string_equal(a.word[1], "cooked");
	assert_true(a.files);
	completion_parse("[--json] PATH", &a);
	assert_true(a.files && !a.option[0].value);
	completion_parse("", &a);
	assert_int_equal(a.options + a.words + a.files, 0);
	completion_parse(NULL, &a);
	assert_int_equal(a.options, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_command_wins),
		cmocka_unit_test(a_command_gets_its_last_word_and_what_stands_behind),
		cmocka_unit_test(libbpf_does_not_speak_for_itself),
		cmocka_unit_test(a_near_name_is_proposed),
		cmocka_unit_test(help_is_there_for_all_and_for_each),
		cmocka_unit_test(without_words_it_shows_help_and_fails),
		cmocka_unit_test(bad_options_name_what_is_bad),
		cmocka_unit_test(without_a_sensor_commands_say_so),
		cmocka_unit_test(every_command_of_the_binary_is_described),
		cmocka_unit_test(args_text_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
