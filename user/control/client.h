#pragma once
#include <cjson/cJSON.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "core/command.h"

/* The command line's side of the control socket (control/socket.h). */
#define CONTROL_ASK_MS 10000 /* what a plain question may take */

/* Connect to the sensor of run_dir; it must run as root or as ourselves. *pid: the sensor's, from
 * the kernel, may be NULL. The descriptor, or -errno, not logged. */
int control_connect(const char *run_dir, pid_t *pid);

/* Send one line and wait for one, in answer. 0; -ETIMEDOUT, -EPIPE when the sensor hung up,
 * -EMSGSIZE. */
int control_call(int fd, const char *line, uint32_t timeout_ms, struct buf *answer);

/* Connect, ask, and say what is wrong. what: "do"; members: further members of the request as JSON
 * text (",\"dry_run\":true"), may be NULL. On CLI_GOOD *result is the "result" object, owned by the
 * caller, and text (may be NULL) has its text and a line feed added, safe for a terminal and with
 * its numbers exact, which cJSON's are not above 2^53. Returns an exit code. */
int control_ask(const char *what, const char *members, uint32_t timeout_ms, struct buf *text,
		cJSON **result);

/* The same on a connection that is open. */
int control_ask_on(int fd, const char *what, const char *members, uint32_t timeout_ms,
		   struct buf *text, cJSON **result);

/* Say why control_connect() failed; the exit code. */
int control_not_connected(int err);
