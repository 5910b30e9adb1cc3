#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/term.h"
#include "context/container.h"
#include "context/process.h"
#include "control/life.h"
#include "control/metrics_http.h"
#include "control/sensor_state.h"
#include "control/socket.h"
#include "event/sensor_kinds.h"

#define CANARY_EVERY 10 /* seconds between two proofs of every hook */
#define HEARTBEAT_EVERY 600
#define WORKERS 1
#define FLUSH_MS 5000 /* at the end, for what is to be printed of the store */

void sensor_say(struct sensor *s, uint8_t kind, enum event_severity severity, const char *fmt, ...)
{
	struct event ev;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut: it is for a person */
	va_end(ap);
	sensor_event(&ev, kind, severity, text);
	ev.gen = bpfobj_state(s->core.bpf) ? bpfobj_state(s->core.bpf)->gen : 0;
	if (s->policy)
		event_text(&ev, EVENT_F_policy, text_of(s->policy->name));
	event_text(&ev, EVENT_F_version, text_of(KMN_VERSION));
	event_emit(s->core.events, &ev);
}

/* Handed to the sink: whose act it was, from the tables that the records fed. */
static bool describe(void *arg, struct event *ev)
{
	struct sensor *s = arg;
	bool known = !ev->pid;

	if (ev->pid)
		known = process_describe(s->core.processes, ev->pid, ev->start_ns, ev->boot_ns,
					 &ev->who);
	if (!ev->who.container.id.len && ev->cgroup_id)
		(void)container_describe(s->core.containers, ev->cgroup_id, &ev->who.container);
	return known;
}

/* ---- parts ---- */

static void add_part(struct sensor *s, const struct kmn_part *part, const struct kmn_module *module)
{
	if (s->n_parts == SENSOR_PARTS_MAX) /* a table in the binary, checked by a unit test */
		abort();
	s->part[s->n_parts++] = (struct sensor_part){ .part = part, .module = module };
}

/* Start all parts. One that fails costs itself: its status says so, and so does the exit code. */
static void start_parts(struct sensor *s)
{
	for (unsigned i = 0; s->roof->services[i]; i++)
		add_part(s, s->roof->services[i], NULL);
	for (unsigned i = 0; s->roof->modules[i]; i++)
		add_part(s, &s->roof->modules[i]->part, s->roof->modules[i]);
	for (unsigned i = 0; i < s->n_parts; i++) {
		struct sensor_part *p = &s->part[i];

		if (p->part->start)
			p->status = p->part->start(&s->core, &p->self);
		if (p->status < 0)
			(void)kmn_err(p->status, "%s: start", p->part->name);
		event_kinds_add(&s->kinds, p->part->id, p->part->name, p->part->kinds, p->self);
	}
}

static void attach_parts(struct sensor *s)
{
	for (unsigned i = 0; i < s->n_parts; i++) {
		struct sensor_part *p = &s->part[i];

		if (!p->self || !p->part->attach)
			continue;
		p->status = p->part->attach(p->self);
		if (p->status < 0)
			(void)kmn_err(p->status, "%s: attach", p->part->name);
	}
}

/* Do all parts have what they hang on hooks? One that did not start, or whose programs this kernel
 * refuses, has taken nothing over; on a packet hook that failed the old program may still hang,
 * which without its program array would judge by the fail mode. */
static bool all_took_over(const struct sensor *s)
{
	for (unsigned i = 0; i < s->n_parts; i++)
		if (!s->part[i].self && s->part[i].status < 0)
			return false;
	for (struct hook *h = hook_next(s->core.hooks, NULL); h; h = hook_next(s->core.hooks, h))
		if (h->state == HOOK_FAILED && (h->ifindex || (h->required && !h->type)))
			return false;
	return true;
}

static void end_takeover(struct sensor *s)
{
	if (all_took_over(s)) {
		bpfobj_drop_previous(s->core.bpf);
		return;
	}
	if (bpfobj_took_over(s->core.bpf))
		log_warn("sensor: not all hooks were taken over: what the sensor before hung into "
			 "the kernel stays in force there");
	bpfobj_keep_previous(s->core.bpf);
	s->kept = true;
}

/* A hook that failed at the takeover has been hung since, and is proven. */
static void end_late_takeover(struct sensor *s)
{
	if (!s->kept || !all_took_over(s))
		return;
	s->kept = false;
	log_info("sensor: all hooks are taken over");
	bpfobj_drop_previous(s->core.bpf);
}

static void stop_parts(struct sensor *s)
{
	for (unsigned i = s->n_parts; i-- > 0;) {
		struct sensor_part *p = &s->part[i];

		if (p->self && p->part->stop)
			p->part->stop(p->self);
		p->self = NULL;
	}
}

void sensor_fire_canaries(struct sensor *s)
{
	for (unsigned i = 0; i < s->n_parts; i++)
		if (s->part[i].self && s->part[i].part->canary)
			s->part[i].part->canary(s->part[i].self);
}

/* A tracing link that is proven takes the old one's place, though its first canary went astray. */
static void settle_hooks(struct sensor *s)
{
	bool all = true;

	if (s->settled)
		return;
	for (struct hook *h = hook_next(s->core.hooks, NULL); h; h = hook_next(s->core.hooks, h)) {
		if (h->state == HOOK_PROVEN)
			(void)bpfobj_attach_settle(s->core.bpf, h); /* logged; tried again */
		all = all && !h->unsettled;
	}
	s->settled = all;
}

/* ---- callbacks of the loop ---- */

static void on_second(void *arg)
{
	struct sensor *s = arg;
	uint64_t now = clock_boot_ns();
	struct kmn_state *state = bpfobj_state(s->core.bpf);

	s->ticks++;
	if (state)
		__atomic_store_n(&state->heartbeat_ns, now, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < s->n_parts; i++)
		if (s->part[i].self && s->part[i].part->tick)
			s->part[i].part->tick(s->part[i].self, now);
	settle_hooks(s);
	end_late_takeover(s);
	if (s->ticks % CANARY_EVERY == 0)
		sensor_fire_canaries(s);
	sensor_watch_health(s);
	if (s->ticks % HEARTBEAT_EVERY == 0)
		sensor_heartbeat(s);
}

static void on_stop(void *arg)
{
	struct sensor *s = arg;

	life_notify("STOPPING=1");
	loop_stop(s->core.loop);
}

static void on_reload(void *arg)
{
	struct sensor *s = arg;

	/* any other error is logged, and kept for status */
	if (sensor_reload(s, false, NULL, 0) == -EBUSY)
		s->load_again = true; /* the files may have changed since they were read */
}

/* What a person wants to see pass: starts and findings, not every fork and end of a process. For
 * --json it is called in a thread: it reads what no longer changes. */
static bool is_shown(void *arg, const struct event *ev)
{
	struct sensor *s = arg;
	const struct kmn_event_kind *k = event_kind_find(&s->kinds, ev->part, ev->kind);

	return s->options->all || !k || (strcmp(k->name, "fork") && strcmp(k->name, "exit"));
}

static void on_event(void *arg, const struct event *ev)
{
	struct sensor *s = arg;

	if (is_shown(s, ev))
		event_print_live(s->live, ev);
}

/* Text as it passes; JSON as it is in the store, for programs want the number that it has there. */
static int print_events(struct sensor *s)
{
	struct event_follow_config c = { .state_dir = cli_places()->state_dir,
					 .stream = { true, true },
					 .match = is_shown,
					 .arg = s };

	if (s->options->json) {
		s->tail = event_tail_new(&c, &s->kinds, STDOUT_FILENO);
		return s->tail ? 0 : -errno;
	}
	s->live = event_live_new(STDOUT_FILENO, &s->kinds, term_colours(stdout));
	if (!s->live)
		return -errno;
	event_sink_tap(s->core.events, on_event, s);
	return 0;
}

/* ---- life ---- */

static int watch_signals(struct sensor *s)
{
	static const int stops[] = { SIGINT, SIGTERM };
	int r = 0;

	for (unsigned i = 0; i < sizeof(stops) / sizeof(*stops) && !r; i++)
		r = loop_signal(s->core.loop, stops[i], on_stop, s);
	if (!r)
		r = loop_signal(s->core.loop, SIGHUP, on_reload, s);
	if (r < 0)
		return kmn_err(r, "sensor: signals");
	(void)signal(SIGPIPE, SIG_IGN); /* a reader of ours that goes away is an errno */
	return 0;
}

static int open_core(struct sensor *s, struct event_sink_config *sink)
{
	const struct cli_places *places = cli_places();
	struct kmn_core *c = &s->core;

	c->kernel = &s->kernel;
	c->state_dir = places->state_dir;
	c->run_dir = places->run_dir;
	c->loop = loop_new();
	c->hooks = hook_table_new();
	if (!c->loop || !c->hooks)
		return kmn_err(-errno, "sensor: start");
	if (watch_signals(s) < 0) /* before any thread: they inherit the mask */
		return -EINVAL;
	c->workers = worker_pool_new(c->loop, s->roof->jobs, WORKERS);
	if (!c->workers)
		return kmn_err(-errno, "sensor: workers");
	c->bpf = bpfobj_new(&s->kernel, c->hooks, places->pin_root);
	if (!c->bpf)
		return kmn_err(-errno, "sensor: bpf");
	c->processes =
		process_table_new(&(struct process_limits){ .host_root = s->options->host_root });
	c->containers = container_table_new(
		&(struct container_limits){ .host_root = s->options->host_root });
	if (!c->processes || !c->containers)
		return kmn_err(-ENOMEM, "sensor: process table");
	c->events = event_sink_new(sink);
	return c->events ? 0 : kmn_err(-errno, "sensor: event store");
}

static int open_rings(struct sensor *s)
{
	struct event_ring_config c = { .ring_fd = { bpfobj_map(s->core.bpf, "kmn_findings"),
						    bpfobj_map(s->core.bpf, "kmn_telemetry") },
				       .counts_fd = bpfobj_map(s->core.bpf, "kmn_counts"),
				       .cpus = (unsigned)bpfobj_cpus(s->core.bpf),
				       .sink = s->core.events,
				       .kinds = &s->kinds };

	if (c.ring_fd[0] < 0 || c.ring_fd[1] < 0)
		return 0; /* this kernel took none of our objects: what needs no BPF works */
	s->rings = event_ring_new(&c);
	if (!s->rings)
		return kmn_err(-errno, "sensor: rings");
	return event_ring_start(s->rings, s->core.loop);
}

/* From nothing to a committed policy and attached hooks. */
static int bring_up(struct sensor *s)
{
	struct event_sink_config sink = { .state_dir = cli_places()->state_dir,
					  .kinds = &s->kinds,
					  .describe = describe,
					  .describe_arg = s };
	kmn_auto(buf) struct buf read = {}, text = {};
	int r = sensor_read_policy(s, &read, term_colours(stderr), &sink);

	if (r < 0) {
		(void)term_write(&read, stderr);
		return r;
	}
	r = open_core(s, &sink);
	if (r < 0)
		return r;
	start_parts(s);
	r = sensor_apply(s, &text, term_colours(stderr));
	(void)term_write(&text, stderr); /* warnings too */
	if (r < 0)
		return r;
	r = open_rings(s);
	if (r < 0)
		return r;
	r = s->options->print ? print_events(s) : 0;
	if (r < 0)
		return r;
	attach_parts(s);
	end_takeover(s);
	sensor_fire_canaries(s);
	r = loop_every(s->core.loop, 1000, on_second, s);
	return r < 0 ? kmn_err(r, "sensor: timer") : 0;
}

/* End what bring_up() began, in whatever state; pins stay unless they are to go. */
static void tear_down(struct sensor *s)
{
	struct kmn_core *c = &s->core;

	for (int i = 0; s->rings && i < 64 && event_ring_turn(s->rings); i++)
		;      /* what is in the rings; bounded, for programs still write */
	stop_parts(s); /* after it nobody is there to make events of records */
	event_ring_free(s->rings);
	if (s->tail)
		(void)event_sink_flush(c->events, FLUSH_MS); /* event_sink_free() tells */
	s->tail_held = !event_tail_free(s->tail);
	if (c->events)
		event_sink_free(c->events);
	event_live_free(s->live);
	if (c->workers)
		worker_pool_free(c->workers);
	process_table_free(c->processes);
	container_table_free(c->containers);
	if (c->bpf)
		bpfobj_free(c->bpf);
	hook_table_free(c->hooks);
	if (c->loop)
		loop_free(c->loop);
	if (s->policy)
		policy_free(s->policy);
}

static void say_started(struct sensor *s)
{
	struct kmn_state *state = bpfobj_state(s->core.bpf);
	char formula[TERM_HUMAN], maps[TERM_HUMAN];

	log_info("sensor: policy %s, generation %llu, instance %u%s", s->policy->name,
		 state ? (unsigned long long)state->gen : 0ULL, bpfobj_instance(s->core.bpf),
		 bpfobj_took_over(s->core.bpf) ? ", taken over from the one before" : "");
	log_info("sensor: memory: at most %s in user space by formula, %s in maps now",
		 term_bytes(formula, sensor_memory_max(s)),
		 term_bytes(maps, bpfobj_map_bytes(s->core.bpf)));
	sensor_say(s, SENSOR_STARTED, EVENT_INFO, "komainu %s started with policy %s%s",
		   KMN_VERSION, s->policy->name,
		   bpfobj_took_over(s->core.bpf) ? ", hooks taken over without a gap" : "");
}

static int run_loop(struct sensor *s)
{
	struct control_socket *socket = sensor_serve(s);
	int r;

	if (!socket)
		return kmn_err(-errno, "sensor: control socket");
	say_started(s);
	life_notify("READY=1");
	s->ran = true;
	r = life_watchdog(s->core.loop);
	if (!r)
		r = loop_run(s->core.loop);
	sensor_reload_end(s);
	if (!s->unload)
		log_info("sensor: stopped; verdicts stay in force (komainu stop --unload takes "
			 "them out)");
	sensor_say(s, SENSOR_STOPPED, EVENT_INFO, "komainu stopped; %s",
		   s->unload ? "everything is taken out of the kernel" : "verdicts stay in force");
	control_socket_free(socket);
	metrics_socket_free(s->metrics);
	return r;
}

int sensor_run(const struct kmn_roof *roof, const struct sensor_options *o)
{
	struct sensor *s = calloc(1, sizeof(*s));
	kmn_auto(fd) int lock = -1;
	unsigned removed;
	int r;

	if (!s)
		return cli_fail(CLI_NO, "no memory");
	s->roof = roof;
	s->options = o;
	s->unload = o->unload;
	s->started_ns = clock_boot_ns();
	event_kinds_init(&s->kinds);
	lock = life_begin(
		cli_places()); /* folders, limits, one sensor only; it says what is wrong */
	r = lock < 0 ? lock : kernel_mount_bpffs();
	if (!r)
		r = kernel_probe(&s->kernel);
	if (!r)
		r = bring_up(s);
	if (!r)
		r = run_loop(s);
	tear_down(s);
	if (s->unload && s->ran) {
		int e = bpfobj_unload_all(cli_places()->pin_root, &removed);

		if (e < 0)
			r = e;
		else
			log_info("sensor: %u programs and maps taken out of the kernel", removed);
	}
	if (!s->tail_held)
		free(s);
	return !r ? CLI_GOOD : r == -EINVAL ? CLI_USAGE : r == -EPERM ? CLI_DENIED : CLI_NO;
}
