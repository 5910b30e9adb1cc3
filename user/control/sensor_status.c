#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "context/container.h"
#include "context/process.h"
#include "control/life.h"
#include "control/sensor_state.h"
#include "event/sensor_kinds.h"

/* What the binary, its libraries, the loop, the control socket (16 clients with a request and an
 * answer each, at most one answer of full length) and the policy in force need, by measurement;
 * everything that grows is in a part's own formula. */
#define MEMORY_BASE (14ULL << 20)

static const char *const level_names[] = { "active", "degraded", "off" };
static const char *const mode_names[] = { "off", "detect", "prevent" };

static enum kmn_mode part_mode(const struct sensor *s, const struct sensor_part *p)
{
	return s->mode[p - s->part];
}

enum kmn_level sensor_health(struct sensor *s, const struct sensor_part *p, char *why)
{
	struct kmn_health own = {};
	const struct hook *worst;

	why[0] = '\0';
	if (p->module && s->loaded && part_mode(s, p) == KMN_OFF) {
		(void)snprintf(why, sizeof(own.why), "switched off by the policy");
		return KMN_INACTIVE;
	}
	if (p->part->start && (!p->self || p->status < 0)) {
		(void)snprintf(why, sizeof(own.why), "did not start: %s", strerror(-p->status));
		return KMN_DEGRADED;
	}
	if (!hook_part_proven(s->core.hooks, p->part->id, &worst)) {
		(void)snprintf(why, sizeof(own.why), "%s: %s", worst->name,
			       worst->why[0] ? worst->why
					     : "attached, its canary was not seen yet");
		return KMN_DEGRADED;
	}
	if (p->part->health)
		p->part->health(p->self, &own);
	(void)snprintf(why, sizeof(own.why), "%s", own.why);
	return own.level;
}

/* Off by the policy is no fault: the sensor as a whole is as well as the worst part that works. */
enum kmn_level sensor_level(struct sensor *s)
{
	enum kmn_level worst = KMN_ACTIVE;
	char why[KMN_WHY_MAX];

	for (unsigned i = 0; i < s->n_parts; i++)
		if (sensor_health(s, &s->part[i], why) == KMN_DEGRADED)
			worst = KMN_DEGRADED;
	return worst;
}

void sensor_watch_health(struct sensor *s)
{
	for (unsigned i = 0; i < s->n_parts; i++) {
		struct sensor_part *p = &s->part[i];
		char why[KMN_WHY_MAX];
		enum kmn_level now = sensor_health(s, p, why);

		if (now == p->level || s->ticks < 6) /* the first canaries have five seconds */
			continue;
		if (now == KMN_DEGRADED)
			sensor_say(s, SENSOR_DEGRADED, EVENT_HIGH, "%s is degraded: %s",
				   p->part->name, why);
		else if (p->level == KMN_DEGRADED)
			sensor_say(s, SENSOR_RECOVERED, EVENT_INFO, "%s is %s again", p->part->name,
				   level_names[now]);
		p->level = now;
	}
}

void sensor_heartbeat(struct sensor *s)
{
	kmn_auto(buf) struct buf text = {};

	for (unsigned i = 0; i < s->n_parts; i++) {
		char why[KMN_WHY_MAX];
		enum kmn_level level = sensor_health(s, &s->part[i], why);

		buf_printf(&text, "%s%s %s", i ? ", " : "", s->part[i].part->name,
			   level_names[level]);
	}
	sensor_say(s, SENSOR_HEARTBEAT, EVENT_INFO, "%s", buf_text(&text));
}

/* ---- memory ---- */

uint64_t sensor_memory_max(struct sensor *s)
{
	uint64_t sum = MEMORY_BASE + event_sink_memory_max() +
		       process_table_memory_max(s->core.processes) +
		       container_table_memory_max(s->core.containers);

	for (unsigned i = 0; i < s->n_parts; i++)
		if (s->part[i].self && s->part[i].part->memory_max)
			sum += s->part[i].part->memory_max(s->part[i].self);
	return sum;
}

/* Resident bytes of our own, without the pages of maps that we have mapped (rings count twice there
 * and are counted as maps): anonymous memory. 0 where /proc is not mounted. */
static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long kb = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %llu", &kb) == 1)
			break;
	if (f)
		(void)fclose(f);
	return kb * 1024;
}

static void formula_line(struct json *j, const char *what, uint64_t bytes)
{
	json_object(j, NULL);
	json_str(j, "what", what);
	json_u64(j, "bytes", bytes);
	json_end(j);
}

static void memory_json(struct sensor *s, struct json *j)
{
	json_object(j, "memory");
	json_u64(j, "user_bytes", resident_bytes());
	json_u64(j, "map_bytes", bpfobj_map_bytes(s->core.bpf));
	json_u64(j, "formula_bytes", sensor_memory_max(s));
	json_u64(j, "policy_bytes", s->last.live_bytes);
	json_u64(j, "limit_bytes",
		 s->policy ? policy_memory_limit(s->policy, POLICY_MEMORY_DEFAULT)
			   : POLICY_MEMORY_DEFAULT);
	json_array(j, "formula");
	formula_line(j, "base", MEMORY_BASE);
	formula_line(j, "event store", event_sink_memory_max());
	formula_line(j, "process table", process_table_memory_max(s->core.processes));
	formula_line(j, "container table", container_table_memory_max(s->core.containers));
	for (unsigned i = 0; i < s->n_parts; i++)
		if (s->part[i].self && s->part[i].part->memory_max)
			formula_line(j, s->part[i].part->name,
				     s->part[i].part->memory_max(s->part[i].self));
	json_end(j);
	json_end(j);
}

/* ---- status ---- */

static void in_force_json(struct sensor *s, struct json *j)
{
	struct kmn_state *state = bpfobj_state(s->core.bpf);

	json_object(j, "policy");
	json_str(j, "name", s->policy ? s->policy->name : NULL);
	json_array(j, "files");
	for (unsigned i = 0; i < s->options->n_policies; i++)
		json_str(j, NULL, s->options->policies[i]);
	json_end(j);
	if (s->policy)
		json_str(j, "mode", mode_names[s->policy->mode]);
	json_u64(j, "generation", state ? state->gen : 0);
	json_u64(j, "reloads", s->reloads);
	json_u64(j, "refused", s->refused);
	json_object(j, "last");
	json_bool(j, "ok", s->last.status == 0);
	json_str(j, "stage", s->last.stage);
	json_u64(j, "took_ms", s->last.took_ns / NS_PER_MS);
	json_u64(j, "age_ms", (clock_boot_ns() - s->last_ns) / NS_PER_MS);
	if (s->last_error[0])
		json_str(j, "error", s->last_error);
	json_end(j);
	sensor_reload_json(s, j);
	json_end(j);
}

static void part_json(struct sensor *s, const struct sensor_part *p, struct json *j)
{
	char why[KMN_WHY_MAX];
	enum kmn_level level = sensor_health(s, p, why);

	json_object(j, NULL);
	json_str(j, "name", p->part->name);
	json_str(j, "kind", p->module ? "module" : "service");
	json_str(j, "summary", p->part->summary);
	json_str(j, "state", level_names[level]);
	if (why[0])
		json_str(j, "why", why);
	if (p->module)
		json_str(j, "mode", mode_names[part_mode(s, p)]);
	if (p->self && p->part->memory_max)
		json_u64(j, "memory_max_bytes", p->part->memory_max(p->self));
	json_array(j, "hooks");
	for (struct hook *h = hook_next(s->core.hooks, NULL); h; h = hook_next(s->core.hooks, h))
		if (h->part == p->part->id)
			hook_json(h, j);
	json_end(j);
	json_object(j, "detail");
	if (p->self && p->part->status)
		p->part->status(p->self, j);
	json_end(j);
	json_end(j);
}

static void workers_json(struct sensor *s, struct json *j)
{
	struct worker_stats w;

	worker_pool_stats(s->core.workers, &w);
	worker_stats_add(&w, &s->load_workers);
	json_object(j, "workers");
	json_u64(j, "alive", w.alive);
	json_u64(j, "busy", w.busy);
	json_u64(j, "queued", w.queued);
	json_u64(j, "done", w.done);
	json_u64(j, "failed", w.failed);
	json_u64(j, "died", w.died);
	json_u64(j, "timed_out", w.timed_out);
	json_u64(j, "respawns", w.respawns);
	json_str(j, "sandbox", w.sandbox);
	if (w.trouble[0])
		json_str(j, "trouble", w.trouble);
	json_end(j);
}

static void first_trouble(struct sensor *s, struct json *j)
{
	for (unsigned i = 0; i < s->n_parts; i++) {
		char why[KMN_WHY_MAX];

		if (sensor_health(s, &s->part[i], why) != KMN_DEGRADED)
			continue;
		json_printf(j, "why", "%s: %s", s->part[i].part->name, why);
		return;
	}
}

void sensor_status_json(struct sensor *s, struct json *j)
{
	json_str(j, "version", KMN_VERSION);
	json_u64(j, "pid", (uint64_t)getpid());
	json_u64(j, "uptime_ms", (clock_boot_ns() - s->started_ns) / NS_PER_MS);
	json_str(j, "host_id", event_sink_host_id(s->core.events));
	json_str(j, "state", level_names[sensor_level(s)]);
	first_trouble(s, j);
	json_u64(j, "instance", bpfobj_instance(s->core.bpf));
	json_bool(j, "took_over", bpfobj_took_over(s->core.bpf));
	json_object(j, "kernel");
	kernel_json(&s->kernel, j);
	json_end(j);
	in_force_json(s, j);
	json_array(j, "parts");
	for (unsigned i = 0; i < s->n_parts; i++)
		part_json(s, &s->part[i], j);
	json_end(j);
	json_object(j, "events");
	if (s->rings)
		event_ring_status(s->rings, j);
	json_end(j);
	json_object(j, "store");
	event_sink_status(s->core.events, j);
	json_end(j);
	memory_json(s, j);
	workers_json(s, j);
	if (*life_trouble())
		json_str(j, "limits", life_trouble());
	json_object(j, "loop");
	json_u64(j, "worst_turn_us", loop_worst_turn_ns(s->core.loop) / 1000);
	json_end(j);
}

/* ---- metrics ---- */

static void sensor_metrics(struct sensor *s, struct kmn_metrics *m)
{
	struct kmn_state *state = bpfobj_state(s->core.bpf);

	metrics_family(m, "komainu_info", METRICS_GAUGE, "The version that runs; always 1.");
	metrics_u64(m, 1, "version", KMN_VERSION, NULL);
	metrics_family(m, "komainu_policy_generation", METRICS_GAUGE,
		       "Policy generation in force.");
	metrics_u64(m, state ? state->gen : 0, NULL);
	metrics_family(m, "komainu_policy_reloads_total", METRICS_COUNTER, "Policies committed.");
	metrics_u64(m, s->reloads, NULL);
	metrics_family(m, "komainu_policy_refused_total", METRICS_COUNTER, "Policies refused.");
	metrics_u64(m, s->refused, NULL);
	for (unsigned i = 0; i < s->n_parts; i++) {
		char why[KMN_WHY_MAX];

		metrics_family(m, "komainu_part_state", METRICS_GAUGE,
			       "State of a part: 0 active, 1 degraded, 2 off.");
		metrics_u64(m, sensor_health(s, &s->part[i], why), "part", s->part[i].part->name,
			    NULL);
	}
	for (struct hook *h = hook_next(s->core.hooks, NULL); h; h = hook_next(s->core.hooks, h)) {
		metrics_family(m, "komainu_hook_proven", METRICS_GAUGE,
			       "1 when the hook's canary was seen by its program.");
		metrics_u64(m, h->state == HOOK_PROVEN, "hook", h->name, NULL);
	}
	metrics_family(m, "komainu_memory_map_bytes", METRICS_GAUGE, "Kernel memory of our maps.");
	metrics_u64(m, bpfobj_map_bytes(s->core.bpf), NULL);
	metrics_family(m, "komainu_memory_user_bytes", METRICS_GAUGE, "Resident anonymous memory.");
	metrics_u64(m, resident_bytes(), NULL);
}

KMN_AUTO_DEFINE(struct kmn_metrics *, metrics_free)

void sensor_metrics_text(struct sensor *s, struct buf *out)
{
	kmn_auto(metrics_free) struct kmn_metrics *m = metrics_new();

	if (!m)
		return;
	sensor_metrics(s, m);
	if (s->rings)
		event_ring_metrics(s->rings, m);
	event_sink_metrics(s->core.events, m);
	for (unsigned i = 0; i < s->n_parts; i++)
		if (s->part[i].self && s->part[i].part->metrics)
			s->part[i].part->metrics(s->part[i].self, m);
	metrics_text(m, out);
}

/* ---- self-test ---- */

bool sensor_selftest_json(struct sensor *s, struct json *j)
{
	static const char *const words[] = { "pass", "fail", "cannot" };
	bool good = true;

	json_array(j, "tests");
	for (unsigned i = 0; i < s->n_parts; i++) {
		kmn_auto(buf) struct buf why = {};
		int r;

		if (!s->part[i].self || !s->part[i].part->selftest)
			continue;
		r = s->part[i].part->selftest(s->part[i].self, &why);
		json_object(j, NULL);
		json_str(j, "part", s->part[i].part->name);
		json_str(j, "result", words[r < 0 || r > 2 ? 1 : r]);
		json_str(j, "why", buf_text(&why));
		json_end(j);
		good = good && r != 1 && r >= 0;
	}
	json_end(j);
	return good;
}
