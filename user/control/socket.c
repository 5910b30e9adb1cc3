#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/metrics.h"
#include "control/socket.h"

#define FLUSH_MS 1000 /* for the last answers when the sensor ends */

const char *const control_error_names[] = {
	[CONTROL_BAD_REQUEST] = "bad_request",
	[CONTROL_VERSION_UNKNOWN] = "version",
	[CONTROL_UNKNOWN] = "unknown",
	[CONTROL_DENIED] = "denied",
	[CONTROL_BUSY] = "busy",
	[CONTROL_TOO_LONG] = "too_long",
	[CONTROL_FAILED] = "failed",
};

struct control_socket {
	struct server *server;
	char path[128];
	const struct control_handler *handlers;
	void *arg;
	struct buf out; /* the answer in the making */
	/* "do" of each client's request in hand, for its answer; the slot is the low byte of id. */
	char doing[SERVER_CLIENTS][CONTROL_NAME_MAX];
	uint64_t bad, denied; /* requests not understood, and asked without the right */
};

/* ---- requests ---- */

static size_t control_frame(const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);

	return end ? (size_t)(end - data) + 1 : 0;
}

static bool name_good(const char *name)
{
	size_t len = strlen(name);

	return len && len < CONTROL_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len;
}

int control_parse(const char *line, size_t len, cJSON **request, char name[CONTROL_NAME_MAX],
		  enum control_error *error, const char **why)
{
	const char *end = NULL;
	const cJSON *version, *what;

	*error = CONTROL_BAD_REQUEST;
	*why = "a request is one JSON object on one line";
	*request = NULL;
	name[0] = 0;
	while (len && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	if (!len || memchr(line, 0, len))
		return -EINVAL;
	*request = cJSON_ParseWithLengthOpts(line, len, &end, 0);
	if (!cJSON_IsObject(*request) || end != line + len)
		return -EINVAL;
	version = cJSON_GetObjectItemCaseSensitive(*request, "v");
	what = cJSON_GetObjectItemCaseSensitive(*request, "do");
	if (cJSON_IsString(what) && name_good(what->valuestring))
		memcpy(name, what->valuestring, strlen(what->valuestring) + 1);
	if (!cJSON_IsNumber(version) || version->valuedouble != CONTROL_VERSION) {
		*error = CONTROL_VERSION_UNKNOWN;
		*why = "this sensor speaks version 1: {\"v\":1,...}";
		return -EPROTO;
	}
	if (!*name) {
		*why = "\"do\" names what is asked, in small letters";
		return -EINVAL;
	}
	return 0;
}

static void control_request(void *arg, uint64_t id, const struct server_peer *peer,
			    const char *line, size_t len)
{
	struct control_socket *s = arg;
	const struct control_handler *h = s->handlers;
	enum control_error error;
	cJSON *request = NULL;
	const char *why;
	int r = control_parse(line, len, &request, s->doing[id & 0xff], &error, &why);
	const char *name = s->doing[id & 0xff];

	while (h->name && strcmp(h->name, name) != 0)
		h++;
	if (r < 0) {
		s->bad++;
		control_refuse(s, id, error, "%s", why);
	} else if (!strcmp(name, "ping")) {
		struct json j = control_answer(s, id);

		json_u64(&j, "pid", (uint64_t)getpid());
		json_str(&j, "version", KMN_VERSION);
		control_send(s, id, &j);
	} else if (!h->name) {
		s->bad++;
		control_refuse(s, id, CONTROL_UNKNOWN, "this sensor does not know \"%s\"", name);
	} else if (!peer->root && !h->reads_only) {
		s->denied++;
		log_warn("control: %s: refused uid %u (pid %d)", name, peer->uid, peer->pid);
		control_refuse(s, id, CONTROL_DENIED, "\"%s\" needs root", name);
	} else {
		if (!h->reads_only)
			log_info("control: %s, asked by pid %d", name, peer->pid);
		h->run(s->arg, s, id, request);
	}
	cJSON_Delete(request);
}

static const char *control_refusal(enum server_refusal why)
{
	static const char *const lines[] = {
		[SERVER_DENIED] =
			"{\"v\":1,\"do\":null,\"ok\":false,\"error\":\"denied\",\"message\":"
			"\"this needs root, or membership of group " SERVER_GROUP "\"}\n",
		[SERVER_BUSY] = "{\"v\":1,\"do\":null,\"ok\":false,\"error\":\"busy\",\"message\":"
				"\"too many clients at once; try again\"}\n",
		[SERVER_TOO_LONG] = "{\"v\":1,\"do\":null,\"ok\":false,\"error\":\"too_long\","
				    "\"message\":\"a request has at most 65536 bytes\"}\n",
	};

	return lines[why];
}

/* ---- answers ---- */

static struct json begin(struct control_socket *s, uint64_t id, bool ok)
{
	const char *name = s->doing[id & 0xff];
	struct json j;

	buf_reset(&s->out);
	j = json_on(&s->out);
	json_object(&j, NULL);
	json_u64(&j, "v", CONTROL_VERSION);
	json_str(&j, "do", *name ? name : NULL);
	json_bool(&j, "ok", ok);
	return j;
}

static void end(struct control_socket *s, uint64_t id, struct json *j)
{
	static const char too_large[] = "{\"v\":1,\"do\":null,\"ok\":false,\"error\":\"failed\","
					"\"message\":\"the answer is too large\"}\n";

	json_end(j);
	buf_puts(&s->out, "\n");
	if (s->out.cut || j->bad || s->out.len > CONTROL_ANSWER_MAX)
		(void)server_answer(s->server, id, too_large, sizeof(too_large) - 1, false);
	else /* a client that has gone, or for which there is no memory, is the server's business */
		(void)server_answer(s->server, id, s->out.data, s->out.len, false);
	buf_free(&s->out);
}

struct json control_answer(struct control_socket *s, uint64_t id)
{
	struct json j = begin(s, id, true);

	json_object(&j, "result");
	return j;
}

void control_send(struct control_socket *s, uint64_t id, struct json *j)
{
	json_end(j);
	end(s, id, j);
}

void control_refuse(struct control_socket *s, uint64_t id, enum control_error error,
		    const char *fmt, ...)
{
	struct json j = begin(s, id, false);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut: it is for a person */
	va_end(ap);
	json_str(&j, "error", control_error_names[error]);
	json_str(&j, "message", text);
	end(s, id, &j);
}

/* ---- life ---- */

static const struct server_protocol control_protocol = {
	.request_max = CONTROL_REQUEST_MAX,
	.answer_max = CONTROL_ANSWER_MAX,
	.frame = control_frame,
	.request = control_request,
	.refusal = control_refusal,
};

int control_socket_new(struct loop *loop, const char *run_dir,
		       const struct control_handler *handlers, void *arg,
		       struct control_socket **out)
{
	struct control_socket *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->handlers = handlers;
	s->arg = arg;
	r = snprintf(s->path, sizeof(s->path), "%s/" CONTROL_SOCKET, run_dir);
	if (r < 0 || (size_t)r >= sizeof(s->path))
		r = kmn_err(-ENAMETOOLONG, "control: socket in %s", run_dir);
	else
		r = server_new(loop, s->path, &control_protocol, s, 0, 0, &s->server);
	if (r < 0) {
		free(s);
		return r;
	}
	*out = s;
	return 0;
}

void control_socket_free(struct control_socket *s)
{
	if (!s)
		return;
	server_flush(s->server, FLUSH_MS);
	server_free(s->server);
	buf_free(&s->out);
	free(s);
}

void control_socket_json(const struct control_socket *s, struct json *j)
{
	struct server_stats st;

	server_stats(s->server, &st);
	json_u64(j, "clients", st.clients);
	json_u64(j, "requests", st.requests);
	json_u64(j, "bad", s->bad + st.too_long);
	json_u64(j, "denied", s->denied + st.denied);
	json_u64(j, "busy", st.busy);
	json_u64(j, "dropped", st.slow + st.idle);
}

void control_socket_metrics(const struct control_socket *s, struct kmn_metrics *m)
{
	struct server_stats st;

	server_stats(s->server, &st);
	metrics_family(m, "komainu_control_requests_total", METRICS_COUNTER,
		       "Requests on the control socket.");
	metrics_u64(m, st.requests, NULL);
	metrics_family(m, "komainu_control_refused_total", METRICS_COUNTER,
		       "Clients and requests that were refused, by reason.");
	metrics_u64(m, s->denied + st.denied, "reason", "denied", NULL);
	metrics_u64(m, s->bad + st.too_long, "reason", "bad_request", NULL);
	metrics_u64(m, st.busy, "reason", "busy", NULL);
	metrics_u64(m, st.slow + st.idle, "reason", "slow", NULL);
}
