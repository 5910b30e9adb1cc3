/* A policy for a sensor that runs: everything but the commit happens in a thread beside the loop,
 * for a list of a million addresses takes seconds. The thread has workers of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/life.h"
#include "control/sensor_state.h"
#include "core/aside.h"
#include "event/sensor_kinds.h"

#define LOG_LINES 256 /* of one reload; a diagnostic has up to four */

KMN_AUTO_DEFINE(struct worker_pool *, worker_pool_free)

struct sensor_load {
	struct sensor *s;
	struct aside *aside;
	bool check;
	struct control_socket *asked; /* NULL: nobody */
	uint64_t id, from_ns;
	void *selves[SENSOR_PARTS_MAX];
	struct kmn_state *state, none; /* none: of a kernel that takes no BPF */
	/* the thread's, until done */
	struct policy *policy;
	struct policy_diag *diag;
	struct policy_prepared *ready;
	struct policy_outcome out;
	struct worker_stats workers;
	int status;
};

static void load_free(struct sensor_load *l)
{
	policy_prepared_free(l->ready);
	if (l->policy)
		policy_free(l->policy);
	if (l->diag)
		policy_diag_free(l->diag);
	free(l);
}

/* ---- in the thread: of the sensor it reads what never changes while it runs ---- */

static int prepare(struct sensor_load *l, struct worker_pool *workers)
{
	const struct kmn_module *const *modules = l->s->roof->modules;
	const struct sensor_options *o = l->s->options;

	l->policy = policy_load(o->policies, o->n_policies, modules, l->diag);
	if (!l->policy)
		return -EINVAL;
	if (l->check)
		return policy_check(modules, l->selves, workers, POLICY_MEMORY_DEFAULT, l->policy,
				    l->diag, &l->out, NULL);
	return policy_prepare(modules, l->selves, workers, l->state, POLICY_MEMORY_DEFAULT,
			      l->policy, l->diag, &l->out, &l->ready);
}

static void load_run(void *arg)
{
	struct sensor_load *l = arg;
	kmn_auto(worker_pool_free) struct worker_pool *workers =
		worker_pool_new(NULL, l->s->roof->jobs, 1);

	if (!workers) {
		l->status = kmn_err(-errno, "sensor: workers of a policy");
		return;
	}
	worker_pool_give_up(workers, policy_cancelled);
	l->status = prepare(l, workers);
	worker_pool_stats(workers, &l->workers);
}

/* ---- in the loop ---- */

static void say_refused(struct sensor *s)
{
	s->refused++;
	log_error("sensor: policy refused, generation %llu stays in force: %s",
		  (unsigned long long)s->last.gen, s->last_error);
	sensor_say(s, SENSOR_POLICY_REFUSED, EVENT_HIGH,
		   "policy refused, generation %llu stays in force: %s",
		   (unsigned long long)s->last.gen, s->last_error);
}

static void say_committed(struct sensor *s)
{
	s->reloads++;
	log_info("sensor: policy %s in force, generation %llu, in %llu ms", s->policy->name,
		 (unsigned long long)s->last.gen,
		 (unsigned long long)(s->last.took_ns / NS_PER_MS));
	sensor_say(s, SENSOR_POLICY_COMMITTED, EVENT_INFO, "policy %s in force, generation %llu",
		   s->policy->name, (unsigned long long)s->last.gen);
	sensor_fire_canaries(s); /* each hook shows that it obeys the new one */
}

/* Nobody hears the answer to a SIGHUP: what would stand in it goes to the log, line by line. The
 * diagnostics are bounded (DIAG_MAX of them), the log by LOG_LINES. */
static void log_diagnostics(struct policy_diag *d, struct buf *text)
{
	const char *at = buf_text(text);

	for (unsigned i = 0; *at && i < LOG_LINES; i++) {
		size_t len = strcspn(at, "\n");

		if (policy_errors(d))
			log_error("policy: %.*s", (int)len, at);
		else
			log_warn("policy: %.*s", (int)len, at);
		at += len + (at[len] == '\n');
	}
	if (*at)
		log_warn("policy: and more; komainu reload --dry-run shows all");
}

static void commit(struct sensor_load *l)
{
	struct sensor *s = l->s;

	if (!l->status)
		l->status = policy_commit(KMN_TAKE(l->ready), l->diag, &l->out);
	l->out.status = l->status;
	l->out.took_ns = clock_boot_ns() - l->from_ns;
	s->last = l->out;
	s->last_ns = clock_boot_ns();
	l->status = sensor_loaded(s, l->status, l->policy, l->diag);
	if (!l->status)
		l->policy = NULL; /* it is the one in force */
	life_notify("READY=1");
	if (l->status < 0)
		say_refused(s);
	else
		say_committed(s);
}

static void load_done(void *arg)
{
	kmn_auto(buf) struct buf text = {};
	struct sensor_load *l = arg;
	struct sensor *s = l->s;

	s->load = NULL;
	worker_stats_add(&s->load_workers, &l->workers);
	if (!l->check)
		commit(l);
	policy_diag_text(l->diag, false, &text);
	if (l->asked)
		sensor_answer_outcome(l->asked, l->id, l->status, &l->out, &text);
	else
		log_diagnostics(l->diag, &text);
	load_free(l);
	if (!s->load_again)
		return;
	s->load_again = false;
	(void)sensor_reload(s, false, NULL, 0); /* logged */
}

/* Of a load that was to change the policy status shows why it did not. Returns err. */
static int not_begun(struct sensor *s, bool check, int err)
{
	if (check)
		return err;
	(void)snprintf(s->last_error, sizeof(s->last_error), "the load could not begin: %s",
		       strerror(-err));
	say_refused(s);
	return err;
}

int sensor_reload(struct sensor *s, bool check, struct control_socket *asked, uint64_t id)
{
	struct sensor_load *l;
	int r;

	if (s->load)
		return -EBUSY;
	l = calloc(1, sizeof(*l));
	if (!l)
		return not_begun(s, check, kmn_err(-ENOMEM, "sensor: load a policy"));
	l->s = s;
	l->check = check;
	l->asked = asked;
	l->id = id;
	l->from_ns = clock_boot_ns();
	l->state = bpfobj_state(s->core.bpf) ? bpfobj_state(s->core.bpf) : &l->none;
	l->out = s->last; /* live_bytes goes on from one to the next */
	l->out.gen = l->state->gen;
	l->out.stage = "parse";
	sensor_module_selves(s, l->selves);
	l->diag = policy_diag_new();
	r = l->diag ? 0 : kmn_err(-ENOMEM, "sensor: load a policy");
	if (!r)
		r = aside_start(s->core.loop, load_run, load_done, l, &l->aside);
	if (r < 0) {
		load_free(l);
		return not_begun(s, check, r);
	}
	s->load = l;
	if (!check)
		life_reloading();
	return 0;
}

void sensor_reload_end(struct sensor *s)
{
	struct sensor_load *l = s->load;

	if (!l)
		return;
	policy_cancel(true); /* within about a second; what it staged is in force nowhere */
	aside_end(l->aside);
	s->load = NULL;
	if (l->asked)
		control_refuse(l->asked, l->id, CONTROL_FAILED,
			       "the sensor ends; generation %llu stays in force",
			       (unsigned long long)l->state->gen);
	if (!l->check)
		log_info("sensor: a policy that was being loaded is given up");
	load_free(l);
}

void sensor_reload_json(const struct sensor *s, struct json *j)
{
	if (!s->load)
		return;
	json_object(j, "loading");
	json_bool(j, "check", s->load->check);
	json_str(j, "stage", policy_stage(&s->load->out));
	json_u64(j, "age_ms", (clock_boot_ns() - s->load->from_ns) / NS_PER_MS);
	json_end(j);
}
