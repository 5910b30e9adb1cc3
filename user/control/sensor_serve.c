#include <errno.h>
#include <string.h>
#include "base/auto.h"
#include "control/metrics_http.h"
#include "control/sensor_state.h"

/* The sensor's side of the control socket: one short function per question (docs/control.md). */

static void on_status(void *arg, struct control_socket *c, uint64_t id, const cJSON *request)
{
	struct json j = control_answer(c, id);

	(void)request;
	sensor_status_json(arg, &j);
	json_object(&j, "control");
	control_socket_json(c, &j);
	json_end(&j);
	control_send(c, id, &j);
}

void sensor_answer_outcome(struct control_socket *c, uint64_t id, int status,
			   const struct policy_outcome *o, struct buf *text)
{
	struct json j = control_answer(c, id);

	json_bool(&j, "ok", status == 0);
	json_str(&j, "stage", o->stage);
	json_u64(&j, "generation", o->gen);
	json_u64(&j, "took_ms", o->took_ns / 1000000);
	json_str(&j, "text", buf_text(text));
	control_send(c, id, &j);
}

/* Answered when it has ended. */
static void load(struct sensor *s, bool check, struct control_socket *c, uint64_t id)
{
	int r = sensor_reload(s, check, c, id);

	if (r == -EBUSY)
		control_refuse(c, id, CONTROL_BUSY,
			       "a policy is being loaded already: komainu status shows how far it "
			       "is; ask again when it has ended");
	else if (r < 0)
		control_refuse(c, id, CONTROL_FAILED, "cannot begin: %s", strerror(-r));
}

static void on_reload(void *arg, struct control_socket *c, uint64_t id, const cJSON *request)
{
	(void)request;
	load(arg, false, c, id);
}

static void on_reload_check(void *arg, struct control_socket *c, uint64_t id, const cJSON *request)
{
	(void)request;
	load(arg, true, c, id);
}

static void on_selftest(void *arg, struct control_socket *c, uint64_t id, const cJSON *request)
{
	struct json j = control_answer(c, id);

	(void)request;
	json_bool(&j, "ok", sensor_selftest_json(arg, &j));
	control_send(c, id, &j);
}

static void on_metrics(void *arg, struct control_socket *c, uint64_t id, const cJSON *request)
{
	kmn_auto(buf) struct buf text = {};
	struct json j = control_answer(c, id);

	(void)request;
	sensor_metrics_text(arg, &text);
	json_str(&j, "text", buf_text(&text));
	control_send(c, id, &j);
}

static void on_stop(void *arg, struct control_socket *c, uint64_t id, const cJSON *request)
{
	struct sensor *s = arg;
	struct json j = control_answer(c, id);

	(void)request;
	json_str(&j, "text", "stopping");
	control_send(c, id, &j);
	loop_stop(s->core.loop);
}

/* The sensor takes everything out itself, in the network namespace where it hung it. */
static void on_stop_unload(void *arg, struct control_socket *c, uint64_t id, const cJSON *request)
{
	struct sensor *s = arg;

	s->unload = true;
	on_stop(arg, c, id, request);
}

static void write_metrics(void *arg, struct buf *out)
{
	sensor_metrics_text(arg, out);
}

static const struct control_handler handlers[] = {
	{ .name = "status", .reads_only = true, .run = on_status },
	{ .name = "metrics", .reads_only = true, .run = on_metrics },
	{ .name = "reload", .run = on_reload },
	{ .name = "reload-check", .run = on_reload_check },
	{ .name = "selftest", .run = on_selftest },
	{ .name = "stop", .run = on_stop },
	{ .name = "stop-unload", .run = on_stop_unload },
	{ .name = NULL },
};

struct control_socket *sensor_serve(struct sensor *s)
{
	struct control_socket *c = NULL;

	if (control_socket_new(s->core.loop, cli_places()->run_dir, handlers, s, &c) < 0)
		return NULL;
	/* Without it the sensor works, and komainu metrics too: it is logged. */
	(void)metrics_socket_new(s->core.loop, cli_places()->run_dir, write_metrics, s,
				 &s->metrics);
	return c;
}
