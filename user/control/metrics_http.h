#pragma once
#include "base/buf.h"
#include "control/server.h"

/* RUN_DIR/metrics.sock: "GET /metrics" over HTTP/1.1, for scrapers that can speak to a Unix socket.
 *   curl --unix-socket /run/komainu/metrics.sock http://localhost/metrics
 * The same peers as on the control socket; anything else is answered with 4xx. */
#define METRICS_SOCKET "metrics.sock"

struct metrics_socket;

/* write: adds all metrics as text; called for each scrape. 0, or -errno, logged. */
int metrics_socket_new(struct loop *loop, const char *run_dir,
		       void (*write)(void *arg, struct buf *out), void *arg,
		       struct metrics_socket **out);
void metrics_socket_free(struct metrics_socket *s);

/* The status and whether a body follows, of a request head: 200, 400, 404 or 405. Exposed for its
 * fuzzer and tests. */
unsigned metrics_http_status(const char *head, size_t len, bool *wants_body);
