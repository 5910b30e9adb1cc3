#pragma once
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "control/socket.h"

/* A control socket with made-up handlers, its loop in a thread, in a folder of its own. */
struct fake {
	char dir[64];
	struct loop *loop;
	struct control_socket *socket;
	pthread_t thread;
	int end;	   /* eventfd: stop the loop */
	uint64_t later[8]; /* requests that wait */
	unsigned waiting;
	bool good;	 /* what reload, selftest and status say */
	bool stop_asked; /* "stop" came: the loop has ended */
};

static void fake_echo(void *arg, struct control_socket *s, uint64_t id, const cJSON *request)
{
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(request, "text");
	struct json j = control_answer(s, id);

	(void)arg;
	json_str(&j, "text", cJSON_GetStringValue(text));
	control_send(s, id, &j);
}

static void fake_later(void *arg, struct control_socket *s, uint64_t id, const cJSON *request)
{
	struct fake *f = arg;

	(void)request;
	if (f->waiting == 8)
		control_refuse(s, id, CONTROL_BUSY, "eight wait already");
	else
		f->later[f->waiting++] = id;
}

static void fake_tick(void *arg)
{
	struct fake *f = arg;

	for (unsigned i = 0; i < f->waiting; i++) {
		struct json j = control_answer(f->socket, f->later[i]);

		json_bool(&j, "late", true);
		control_send(f->socket, f->later[i], &j);
	}
	f->waiting = 0;
}

static void fake_big(void *arg, struct control_socket *s, uint64_t id, const cJSON *request)
{
	const cJSON *mib = cJSON_GetObjectItemCaseSensitive(request, "mib");
	struct json j = control_answer(s, id);
	static char text[1 << 20];

	(void)arg;
	memset(text, 'x', sizeof(text) - 1);
	json_array(&j, "text");
	for (int i = 0; i < mib->valueint; i++)
		json_str(&j, NULL, text);
	json_end(&j);
	control_send(s, id, &j);
}

static void fake_status(void *arg, struct control_socket *s, uint64_t id, const cJSON *request)
{
	struct json j = control_answer(s, id);
	struct fake *f = arg;

	(void)request;
	json_str(&j, "version", "0.1.0");
	json_str(&j, "state", f->good ? "active" : "degraded");
	json_str(&j, "why", f->good ? "" : "net: eth\033[31m0");
	json_u64(&j, "pid", (uint64_t)getpid());
	json_u64(&j, "big", 18446744073709551615ULL);
	control_send(s, id, &j);
}

static void fake_reload(void *arg, struct control_socket *s, uint64_t id, const cJSON *request)
{
	struct json j = control_answer(s, id);
	struct fake *f = arg;

	(void)request;
	json_bool(&j, "ok", f->good);
	json_u64(&j, "generation", 7);
	json_str(&j, "stage", f->good ? "commit" : "parse");
	json_str(&j, "text", f->good ? "" : "p.yaml:1:1: error: \033[2Jno\n  line two\n");
	control_send(s, id, &j);
}

static void fake_selftest(void *arg, struct control_socket *s, uint64_t id, const cJSON *request)
{
	struct json j = control_answer(s, id);
	struct fake *f = arg;

	(void)request;
	json_array(&j, "tests");
	json_object(&j, NULL);
	json_str(&j, "part", "net");
	json_str(&j, "result", f->good ? "pass" : "fail");
	json_str(&j, "why", "a packet was seen");
	json_end(&j);
	json_object(&j, NULL);
	json_str(&j, "part", "tasks");
	json_str(&j, "result", f->good ? "cannot" : "pass");
	json_str(&j, "why", "no exec here");
	json_end(&j);
	json_end(&j);
	control_send(s, id, &j);
}

static void fake_metrics(void *arg, struct control_socket *s, uint64_t id, const cJSON *request)
{
	struct json j = control_answer(s, id);

	(void)arg;
	(void)request;
	json_str(&j, "text", "# HELP komainu_up Up.\nkomainu_up 1\n");
	control_send(s, id, &j);
}

static void fake_stop(void *arg, struct control_socket *s, uint64_t id, const cJSON *request)
{
	struct json j = control_answer(s, id);
	struct fake *f = arg;

	(void)request;
	control_send(s, id, &j);
	f->stop_asked = true;
	loop_stop(f->loop);
}

static const struct control_handler fake_handlers[] = {
	{ "echo", true, fake_echo },
	{ "later", true, fake_later },
	{ "big", true, fake_big },
	{ "status", true, fake_status },
	{ "metrics", true, fake_metrics },
	{ "reload", false, fake_reload },
	{ "selftest", false, fake_selftest },
	{ "stop", false, fake_stop },
	{ "stop-unload", false, fake_stop },
	{ NULL, false, NULL },
};

static void fake_end(void *arg, uint32_t events)
{
	struct fake *f = arg;

	(void)events;
	loop_stop(f->loop);
}

static void *fake_thread(void *arg)
{
	struct fake *f = arg;

	(void)loop_run(f->loop);
	return NULL;
}

/* Everything but the thread. 0, or -1. */
static int fake_open(struct fake *f)
{
	*f = (struct fake){ .good = true, .end = eventfd(0, EFD_CLOEXEC) };
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/komainu-test-XXXXXX");
	if (!mkdtemp(f->dir) || chmod(f->dir, 0755) < 0)
		return -1;
	f->loop = loop_new();
	if (!f->loop || loop_watch(f->loop, f->end, EPOLLIN, fake_end, f) < 0 ||
	    loop_every(f->loop, 50, fake_tick, f) < 0)
		return -1;
	return control_socket_new(f->loop, f->dir, fake_handlers, f, &f->socket) < 0 ? -1 : 0;
}

static void fake_close(struct fake *f)
{
	char path[128];

	control_socket_free(f->socket);
	loop_free(f->loop);
	close(f->end);
	(void)snprintf(path, sizeof(path), "%s/komainu.lock", f->dir);
	(void)unlink(path);
	(void)rmdir(f->dir);
}

static int fake_start(struct fake *f)
{
	if (fake_open(f) < 0)
		return -1;
	return pthread_create(&f->thread, NULL, fake_thread, f) ? -1 : 0;
}

static void fake_finish(struct fake *f)
{
	uint64_t one = 1;

	(void)!write(f->end, &one, sizeof(one));
	(void)pthread_join(f->thread, NULL);
	fake_close(f);
}
