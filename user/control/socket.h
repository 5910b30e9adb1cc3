#pragma once
#include <cjson/cJSON.h>
#include "base/json.h"
#include "control/server.h"

/* The control socket, RUN_DIR/control.sock: one JSON object per line each way, documented and
 * versioned in docs/control.md. The command line is one client of it.
 *
 *   {"v":1,"do":"status"}
 *   {"v":1,"do":"status","ok":true,"result":{...}}
 *   {"v":1,"do":"reload","ok":false,"error":"denied","message":"this needs root"}
 */
#define CONTROL_VERSION 1
#define CONTROL_REQUEST_MAX 65536     /* bytes of a request, line feed included */
#define CONTROL_ANSWER_MAX (8 << 20)  /* bytes */
#define CONTROL_SOCKET "control.sock" /* in run_dir */
#define CONTROL_NAME_MAX 32	      /* bytes of "do" */

enum control_error {
	CONTROL_BAD_REQUEST, /* not an object on one line, or a member of the wrong type */
	CONTROL_VERSION_UNKNOWN,
	CONTROL_UNKNOWN, /* no such "do" */
	CONTROL_DENIED,	 /* the peer may not ask this */
	CONTROL_BUSY,	 /* too many clients, or the same is being done already */
	CONTROL_TOO_LONG,
	CONTROL_FAILED, /* it was tried, and failed */
};
extern const char *const control_error_names[]; /* "bad_request" ... as in "error" */

struct control_socket;

struct control_handler {
	const char *name; /* "status" */
	bool reads_only;  /* members of group komainu may ask it too */
	/* Answer at once or later, with the id: control_answer() or control_refuse(). */
	void (*run)(void *arg, struct control_socket *s, uint64_t id, const cJSON *request);
};

/* handlers: ends with name NULL, borrowed. "ping" is answered here. The caller holds the lock of
 * run_dir (control/life.h). 0, or -errno, logged. */
int control_socket_new(struct loop *loop, const char *run_dir,
		       const struct control_handler *handlers, void *arg,
		       struct control_socket **out);
void control_socket_free(struct control_socket *s); /* what was answered is flushed, 1 s at most */

/* An answer: j = control_answer(s, id); members of "result" by json_*(&j, ...); control_send().
 * Only one is open at a time. Nothing happens when the client has gone. */
struct json control_answer(struct control_socket *s, uint64_t id);
void control_send(struct control_socket *s, uint64_t id, struct json *j);
void control_refuse(struct control_socket *s, uint64_t id, enum control_error error,
		    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Members of the open object: clients, requests and what was refused. */
void control_socket_json(const struct control_socket *s, struct json *j);
struct kmn_metrics;
void control_socket_metrics(const struct control_socket *s, struct kmn_metrics *m);

/* A request as it came, checked: an object with "v" of 1 and a good "do". Its copy in name. 0; or
 * the error, and *why is one sentence. *request is owned by the caller, also on error. */
int control_parse(const char *line, size_t len, cJSON **request, char name[CONTROL_NAME_MAX],
		  enum control_error *error, const char **why);
