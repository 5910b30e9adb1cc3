#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/sensor_state.h"

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

/* What the event store may take, as the policy says; 0 where it says nothing. */
static void read_budgets(const struct policy *p, uint64_t bytes_max[EVENT_STREAMS],
			 uint32_t days_max[EVENT_STREAMS])
{
	for (uint8_t i = 0; i < EVENT_STREAMS; i++) {
		const struct policy_node *b =
			policy_get(policy_get(p->root, "events"), event_stream_name(i));

		bytes_max[i] = policy_u64(b, "max_mib", 0) << 20;
		days_max[i] = (uint32_t)policy_u64(b, "max_days", 0);
	}
}

int sensor_read_policy(struct sensor *s, struct buf *text, bool colour,
		       struct event_sink_config *sink)
{
	kmn_auto(policy_diag_free) struct policy_diag *d = policy_diag_new();
	kmn_auto(policy_free) struct policy *p = NULL;

	if (!d)
		return -ENOMEM;
	p = policy_load(s->options->policies, s->options->n_policies, s->roof->modules, d);
	policy_diag_text(d, colour, text);
	if (!p)
		return -EINVAL;
	read_budgets(p, sink->bytes_max, sink->days_max);
	return 0;
}

int sensor_loaded(struct sensor *s, int status, struct policy *p, struct policy_diag *d)
{
	uint64_t bytes_max[EVENT_STREAMS];
	uint32_t days_max[EVENT_STREAMS];

	if (status < 0) {
		note_error(s, d, status);
		return status;
	}
	s->last_error[0] = '\0';
	read_budgets(p, bytes_max, days_max);
	event_sink_budgets(s->core.events, bytes_max, days_max);
	if (s->policy)
		policy_free(s->policy);
	s->policy = p;
	s->loaded = true;
	note_modes(s);
	return 0;
}

void sensor_module_selves(const struct sensor *s, void **out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_parts; i++)
		if (s->part[i].module)
			out[n++] = s->part[i].self;
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
	sensor_module_selves(s, selves);
	s->last_ns = clock_boot_ns();
	s->last.status = -EINVAL;
	s->last.stage = "parse";
	s->last.gen = state ? state->gen : 0;
	p = policy_load(s->options->policies, s->options->n_policies, s->roof->modules, d);
	r = p ? policy_apply(s->roof->modules, selves, s->core.workers, state ? state : &none,
			     POLICY_MEMORY_DEFAULT, p, d, &s->last)
	      : -EINVAL;
	policy_diag_text(d, colour, text);
	r = sensor_loaded(s, r, p, d);
	if (!r)
		p = NULL; /* it is the one in force */
	return r;
}
