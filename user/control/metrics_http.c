#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "control/metrics_http.h"

#define REQUEST_MAX 8192
#define ANSWER_MAX (8 << 20)

struct metrics_socket {
	struct server *server;
	char path[128];
	void (*write)(void *arg, struct buf *out);
	void *arg;
};

/* A head ends with an empty line. */
static size_t http_frame(const char *data, size_t len)
{
	const char *end = memmem(data, len, "\r\n\r\n", 4);

	if (end)
		return (size_t)(end - data) + 4;
	end = memmem(data, len, "\n\n", 2);
	return end ? (size_t)(end - data) + 2 : 0;
}

unsigned metrics_http_status(const char *head, size_t len, bool *wants_body)
{
	const char *line_end = memchr(head, '\n', len), *path, *end;

	*wants_body = true;
	if (!line_end)
		return 400;
	if (line_end > head && line_end[-1] == '\r')
		line_end--;
	path = memchr(head, ' ', (size_t)(line_end - head));
	if (!path)
		return 400;
	path++;
	end = memchr(path, ' ', (size_t)(line_end - path));
	if (!end || line_end - end < 6 || memcmp(end + 1, "HTTP/", 5) != 0)
		return 400;
	if (path - head == 5 && !memcmp(head, "HEAD", 4))
		*wants_body = false;
	else if (path - head != 4 || memcmp(head, "GET", 3) != 0)
		return 405;
	/* A query is allowed and means nothing. */
	if (end - path < 8 || memcmp(path, "/metrics", 8) != 0 ||
	    (path + 8 != end && path[8] != '?'))
		return 404;
	return 200;
}

static const char *reason_of(unsigned status)
{
	return status == 200   ? "OK"
	       : status == 404 ? "Not Found"
	       : status == 405 ? "Method Not Allowed"
			       : "Bad Request";
}

static void http_request(void *arg, uint64_t id, const struct server_peer *peer, const char *data,
			 size_t len)
{
	struct metrics_socket *s = arg;
	struct buf body = { 0 }, out = { 0 };
	bool wants_body;
	unsigned status = metrics_http_status(data, len, &wants_body);

	(void)peer; /* who may speak at all may read */
	if (status == 200)
		s->write(s->arg, &body);
	else
		buf_printf(&body, "%s: try GET /metrics\n", reason_of(status));
	buf_printf(&out,
		   "HTTP/1.1 %u %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
		   "Content-Length: %zu\r\nConnection: close\r\n\r\n",
		   status, reason_of(status), body.len);
	if (wants_body)
		buf_add(&out, body.data, body.len);
	/* A client that has gone, or an answer too large, is the server's business. */
	(void)server_answer(s->server, id, out.data, out.len, true);
	buf_free(&body);
	buf_free(&out);
}

static const char *http_refusal(enum server_refusal why)
{
	static const char *const answers[] = {
		[SERVER_DENIED] = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n"
				  "Connection: close\r\n\r\n",
		[SERVER_BUSY] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
				"Connection: close\r\n\r\n",
		[SERVER_TOO_LONG] = "HTTP/1.1 431 Request Header Fields Too Large\r\n"
				    "Content-Length: 0\r\nConnection: close\r\n\r\n",
	};

	return answers[why];
}

static const struct server_protocol http_protocol = {
	.request_max = REQUEST_MAX,
	.answer_max = ANSWER_MAX,
	.frame = http_frame,
	.request = http_request,
	.refusal = http_refusal,
};

int metrics_socket_new(struct loop *loop, const char *run_dir,
		       void (*write)(void *arg, struct buf *out), void *arg,
		       struct metrics_socket **out)
{
	struct metrics_socket *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->write = write;
	s->arg = arg;
	r = snprintf(s->path, sizeof(s->path), "%s/" METRICS_SOCKET, run_dir);
	if (r < 0 || (size_t)r >= sizeof(s->path))
		r = kmn_err(-ENAMETOOLONG, "metrics: socket in %s", run_dir);
	else
		r = server_new(loop, s->path, &http_protocol, s, 0, 0, &s->server);
	if (r < 0) {
		free(s);
		return r;
	}
	*out = s;
	return 0;
}

void metrics_socket_free(struct metrics_socket *s)
{
	if (!s)
		return;
	server_free(s->server);
	free(s);
}
