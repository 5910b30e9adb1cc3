#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/life.h"
#include "control/sensor_state.h"
#include "event/sensor_kinds.h"

KMN_AUTO_DEFINE(struct policy *, policy_free)
KMN_AUTO_DEFINE(struct policy_diag *, policy_diag_free)

/* The mode of each part in the policy in force: the lowest of policy and module. */
static void note_modes(struct sensor *s)
{
	for (unsigned i = 0; i < s->n_parts; i++) {
		const struct policy_node *m = policy_module(s->policy, s->part[i].part->name);
		enum kmn_mode mode = m ? policy_mode(m, s->policy->mode) : KMN_OFF;

		s->mode[i] = mode < s->policy->mode ? mode : s->policy->mode;
	}
}

static void *const *module_selves(struct sensor *s, void **out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_parts; i++)
		if (s->part[i].module)
			out[n++] = s->part[i].self;
	return out;
}

/* First line of what went wrong, for status and the event. */
static void note_error(struct sensor *s, struct policy_diag *d, int err)
{
	kmn_auto(buf) struct buf text = {};

	policy_diag_text(d, false, &text);
	if (!text.len)
		buf_printf(&text, "%s", strerror(-err));
	(void)snprintf(s->last_error, sizeof(s->last_error), "%.*s",
		       (int)strcspn(buf_text(&text), "\n"), buf_text(&text));
}

int sensor_read_policy(struct sensor *s, struct buf *text, bool colour,
		       struct event_sink_config *sink)
{
	static const char *const streams[EVENT_STREAMS] = { "findings", "telemetry" };
	kmn_auto(policy_diag_free) struct policy_diag *d = policy_diag_new();
	kmn_auto(policy_free) struct policy *p = NULL;

	if (!d)
		return -ENOMEM;
	p = policy_load(s->options->policies, s->options->n_policies, s->roof->modules, d);
	policy_diag_text(d, colour, text);
	if (!p)
		return -EINVAL;
	for (int i = 0; i < EVENT_STREAMS; i++) {
		const struct policy_node *b = policy_get(policy_get(p->root, "events"), streams[i]);

		sink->bytes_max[i] = policy_u64(b, "max_mib", 0) << 20;
		sink->days_max[i] = (uint32_t)policy_u64(b, "max_days", 0);
	}
	return 0;
}

int sensor_apply(struct sensor *s, struct buf *text, bool colour)
{
	kmn_auto(policy_diag_free) struct policy_diag *d = policy_diag_new();
	kmn_auto(policy_free) struct policy *p = NULL;
	struct kmn_state none = {}; /* a kernel that takes no BPF: the policy is still checked */
	struct kmn_state *state = bpfobj_state(s->core.bpf);
	void *selves[SENSOR_PARTS_MAX];
	int r;

	if (!d)
		return -ENOMEM;
	s->last_ns = clock_boot_ns();
	s->last.status = -EINVAL;
	s->last.stage = "parse";
	s->last.gen = state ? state->gen : 0;
	p = policy_load(s->options->policies, s->options->n_policies, s->roof->modules, d);
	r = p ? policy_apply(s->roof->modules, module_selves(s, selves), s->core.workers,
			     state ? state : &none, 0, p, d, &s->last)
	      : -EINVAL;
	if (text)
		policy_diag_text(d, colour, text);
	if (r < 0) {
		note_error(s, d, r);
		return r;
	}
	s->last_error[0] = '\0';
	if (s->policy)
		policy_free(s->policy);
	s->policy = KMN_TAKE(p);
	s->loaded = true;
	note_modes(s);
	return 0;
}

int sensor_check(struct sensor *s, struct buf *text, struct policy_outcome *o)
{
	kmn_auto(policy_diag_free) struct policy_diag *d = policy_diag_new();
	kmn_auto(policy_free) struct policy *p = NULL;
	int r = -EINVAL;

	if (!d)
		return -ENOMEM;
	o->gen = s->last.gen;
	o->stage = "parse";
	p = policy_load(s->options->policies, s->options->n_policies, s->roof->modules, d);
	for (unsigned i = 0; p && s->roof->modules[i]; i++) {
		const struct kmn_module *m = s->roof->modules[i];
		void *plan = NULL;

		o->stage = "compile";
		if (m->compile && m->compile(p, s->core.workers, d, &plan) == 0 && m->plan_free)
			m->plan_free(plan);
	}
	if (p && !policy_errors(d))
		r = 0;
	policy_diag_text(d, false, text);
	return r;
}

int sensor_reload(struct sensor *s, struct buf *text)
{
	int r;

	life_reloading();
	r = sensor_apply(s, text, false);
	life_notify("READY=1");
	if (r < 0) {
		s->refused++;
		log_error("sensor: policy refused, generation %llu stays in force: %s",
			  (unsigned long long)s->last.gen, s->last_error);
		sensor_say(s, SENSOR_POLICY_REFUSED, EVENT_HIGH,
			   "policy refused, generation %llu stays in force: %s",
			   (unsigned long long)s->last.gen, s->last_error);
		return r;
	}
	s->reloads++;
	log_info("sensor: policy %s in force, generation %llu, in %llu ms", s->policy->name,
		 (unsigned long long)s->last.gen,
		 (unsigned long long)(s->last.took_ns / NS_PER_MS));
	sensor_say(s, SENSOR_POLICY_COMMITTED, EVENT_INFO, "policy %s in force, generation %llu",
		   s->policy->name, (unsigned long long)s->last.gen);
	for (unsigned i = 0; i < s->n_parts; i++) /* each hook shows that it obeys the new one */
		if (s->part[i].self && s->part[i].part->canary)
			s->part[i].part->canary(s->part[i].self);
	return 0;
}
