#pragma once
#include <stdarg.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above this level are not written; LOG_INFO at first. */
void log_set_level(enum log_level level);

/* One line on stderr, "module: what: why", with the level as an sd-daemon prefix under systemd.
 * Control characters are escaped: a hostile name cannot move the cursor or forge a line. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vwrite(enum log_level level, const char *fmt, va_list ap);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* Log "what: why" at LOG_ERROR and return err, a negative errno. */
int kmn_err(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
