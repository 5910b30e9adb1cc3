#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"

static enum log_level max_level = LOG_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_vwrite(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const sd[] = { "<3>", "<4>", "<6>", "<7>" };
	char text[1024], line[4 * sizeof(text) + 8];
	size_t n = 0;

	if (level > max_level)
		return;
	(void)vsnprintf(text, sizeof(text), fmt,
			ap); /* a longer line is cut: enough for a person */
	if (getenv("JOURNAL_STREAM"))
		n = (size_t)snprintf(line, sizeof(line), "%s", sd[level]);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if ((*c < 0x20 && *c != '\t') || *c == 0x7f)
			n += (size_t)snprintf(line + n, sizeof(line) - n, "\\x%02x", *c);
		else
			line[n++] = (char)*c;
	line[n++] = '\n';
	(void)!write(STDERR_FILENO, line, n); /* nobody to tell */
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vwrite(level, fmt, ap);
	va_end(ap);
}

int kmn_err(int err, const char *fmt, ...)
{
	char what[900];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	log_write(LOG_ERROR, "%s: %s", what, strerror(-err));
	return err;
}
