#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "control/client.h"
#include "control/socket.h"

KMN_AUTO_DEFINE(cJSON *, cJSON_Delete)

int control_connect(const char *run_dir, pid_t *pid)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	kmn_auto(fd) int fd = -1;
	int r = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/" CONTROL_SOCKET, run_dir);

	if (r < 0 || (size_t)r >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	if (peer.uid && peer.uid != geteuid())
		return -EPERM; /* somebody else sits there and waits for commands */
	if (pid)
		*pid = peer.pid;
	r = fd;
	fd = -1;
	return r;
}

/* Wait for events until end_ns (boot clock). 0, -ETIMEDOUT, -errno. */
static int wait_for(int fd, short events, uint64_t end_ns)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t now = clock_boot_ns();
	int r;

	if (now >= end_ns)
		return -ETIMEDOUT;
	r = poll(&p, 1, (int)((end_ns - now) / NS_PER_MS) + 1);
	if (r < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static int send_all(int fd, const char *data, size_t len, uint64_t end_ns)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r;

		if (n > 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno == EPIPE)
			return 0; /* it hung up, perhaps with a word of farewell: read that */
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for(fd, POLLOUT, end_ns);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Read until a line feed. */
static int read_line(int fd, struct buf *line, uint64_t end_ns)
{
	char data[65536];

	for (;;) {
		ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		int r = 0;

		if (!n || (n < 0 && errno == ECONNRESET))
			return -EPIPE;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0) {
			r = wait_for(fd, POLLIN, end_ns);
			if (r < 0)
				return r;
			continue;
		}
		buf_add(line, data, (size_t)n);
		if (memchr(data, '\n', (size_t)n))
			return line->cut ? -ENOMEM : 0;
		if (line->cut || line->len > CONTROL_ANSWER_MAX)
			return -EMSGSIZE;
	}
}

int control_call(int fd, const char *text, uint32_t timeout_ms, struct buf *answer)
{
	uint64_t end_ns = clock_boot_ns() + timeout_ms * NS_PER_MS;
	int r;

	buf_reset(answer);
	buf_printf(answer, "%s\n", text);
	r = send_all(fd, answer->data, answer->len, end_ns);
	buf_reset(answer);
	return r < 0 ? r : read_line(fd, answer, end_ns);
}

int control_not_connected(int err)
{
	const char *dir = cli_places()->run_dir;

	if (err == -EACCES)
		return cli_fail(
			CLI_DENIED,
			"you may not ask the sensor: try sudo, or join group " SERVER_GROUP);
	if (err == -EPERM)
		return cli_fail(CLI_DENIED,
				"%s/" CONTROL_SOCKET " belongs to another user's process", dir);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return cli_fail(CLI_UNREACHABLE,
				"no sensor runs (nobody answers at %s/" CONTROL_SOCKET
				"): start it with sudo komainu run",
				dir);
	return cli_fail(CLI_UNREACHABLE, "cannot reach the sensor at %s/" CONTROL_SOCKET ": %s",
			dir, strerror(-err));
}

/* The exit code of an answer that is a no. */
static int refused(const cJSON *answer)
{
	const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "error"));
	const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "message"));

	if (!error)
		return cli_fail(CLI_UNREACHABLE, "the sensor's answer makes no sense");
	(void)cli_fail(CLI_NO, "the sensor refuses: %s", why ? why : error);
	if (!strcmp(error, control_error_names[CONTROL_DENIED]))
		return CLI_DENIED;
	if (!strcmp(error, control_error_names[CONTROL_BUSY]))
		return CLI_UNREACHABLE;
	return !strcmp(error, control_error_names[CONTROL_FAILED]) ? CLI_NO : CLI_USAGE;
}

/* The text of "result" in an answer that is good: it is the last member, and what stands before it
 * has no text of strangers in it. Numbers of 64 bits and odd characters come through whole. */
static const char *result_text(struct buf *line, size_t *len)
{
	static const char mark[] = "\"ok\":true,\"result\":";
	const char *text = buf_text(line), *from = strstr(text, mark), *to = strrchr(text, '}');

	*len = 0;
	if (!from || !to || from + sizeof(mark) - 1 >= to)
		return NULL;
	from += sizeof(mark) - 1;
	*len = (size_t)(to - from);
	return from;
}

int control_ask_on(int fd, const char *what, const char *members, uint32_t timeout_ms,
		   struct buf *text, cJSON **result)
{
	kmn_auto(cJSON_Delete) cJSON *answer = NULL;
	kmn_auto(buf) struct buf line = { 0 };
	char request[512];
	size_t len;
	int r = snprintf(request, sizeof(request), "{\"v\":%d,\"do\":\"%s\"%s}", CONTROL_VERSION,
			 what, members ? members : "");

	if (r < 0 || (size_t)r >= sizeof(request))
		return cli_fail(CLI_USAGE, "the request is too long");
	r = control_call(fd, request, timeout_ms, &line);
	if (r == -ETIMEDOUT)
		return cli_fail(CLI_UNREACHABLE, "the sensor does not answer within %u s",
				timeout_ms / 1000);
	if (r < 0)
		return cli_fail(CLI_UNREACHABLE, "the sensor broke off: %s", strerror(-r));
	answer = cJSON_ParseWithLength(line.data, line.len);
	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(answer, "ok")))
		return refused(answer);
	*result = cJSON_DetachItemFromObjectCaseSensitive(answer, "result");
	if (!cJSON_IsObject(*result)) {
		cJSON_Delete(*result);
		*result = NULL;
		return cli_fail(CLI_UNREACHABLE, "the sensor's answer makes no sense");
	}
	if (text) {
		const char *from = result_text(&line, &len);

		buf_add(text, from, len);
		buf_puts(text, "\n");
	}
	return CLI_GOOD;
}

int control_ask(const char *what, const char *members, uint32_t timeout_ms, struct buf *text,
		cJSON **result)
{
	kmn_auto(fd) int fd = control_connect(cli_places()->run_dir, NULL);

	if (fd < 0)
		return control_not_connected(fd);
	return control_ask_on(fd, what, members, timeout_ms, text, result);
}
