#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/term.h"
#include "core/command.h"

static const struct kmn_roof *roof;
static struct cli_places places = {
	.config_dir = "/etc/komainu",
	.state_dir = "/var/lib/komainu",
	.run_dir = "/run/komainu",
	.pin_root = "/sys/fs/bpf/komainu",
};

const struct kmn_roof *cli_roof(void)
{
	return roof;
}

void cli_set_roof(const struct kmn_roof *r)
{
	roof = r;
}

const struct cli_places *cli_places(void)
{
	return &places;
}

void cli_set_places(const struct cli_places *p)
{
	places = *p;
}

static void say(const char *fmt, va_list ap)
{
	char text[1024];
	struct buf out = { 0 };

	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut when longer: enough for a person */
	buf_puts(&out, "komainu: ");
	term_add_lines(&out, text, strlen(text));
	buf_puts(&out, "\n");
	(void)term_write(&out, stderr); /* nobody else to tell */
	buf_free(&out);
}

int cli_fail(enum cli_exit code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return (int)code;
}

int cli_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return cli_fail(CLI_USAGE, "try: komainu %s%s--help", command, *command ? " " : "");
}

int cli_bad_option(const char *command, char *const *argv)
{
	return cli_usage(command, "%s: no option %s, or its value is missing", command,
			 argv[optind - 1]);
}

int cli_need_root(const char *command)
{
	if (!geteuid())
		return CLI_GOOD;
	return cli_fail(CLI_DENIED, "this needs root: try sudo komainu %s", command);
}
