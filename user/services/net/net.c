#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/net.skel.h"
#include "services/net/accept.h"
#include "services/net/canary.h"
#include "services/net/net.h"
#include "services/net/net_self.h"
#include "services/net/owners.h"
#include "services/net/place.h"

KMN_AUTO_DEFINE(struct net_bpf *, net_bpf__destroy)

/* One sensor to a process: modules reach the service by functions, so it is here. */
static struct net_self *self;

/* What modules said before the service started (tests) or before it attached. */
struct patterns {
	char **text;
	unsigned n;
};
static struct patterns wanted, pods;
static struct {
	net_link_fn *fn;
	void *arg;
} listeners[NET_LISTENERS_MAX];

struct net_self *net_self(void)
{
	return self;
}

/* ---- stages ---- */
int net_stage_set(struct kmn_core *core, enum net_stage stage, struct bpf_program *prog)
{
	int r;

	(void)core;
	if (!self || !self->skel)
		return -ENODEV;
	r = net_stage_put(self->skel, stage, prog);
	return r < 0 ? kmn_err(r, "net: stage %d", stage) : 0;
}

/* ---- interfaces ---- */
void net_tell_listeners(uint32_t ifindex, const char *name)
{
	for (unsigned i = 0; i < NET_LISTENERS_MAX; i++)
		if (listeners[i].fn)
			listeners[i].fn(listeners[i].arg, ifindex, name);
}

int net_on_link(net_link_fn *fn, void *arg)
{
	for (unsigned i = 0; i < NET_LISTENERS_MAX; i++) {
		if (fn ? listeners[i].fn != NULL : listeners[i].arg != arg)
			continue;
		listeners[i].fn = fn;
		listeners[i].arg = fn ? arg : NULL;
		if (fn && self)
			net_each_link(fn, arg);
		return 0;
	}
	return fn ? -ENOSPC : 0;
}

/* Hang on it, or take out, as the patterns say. What hangs already stays as it is in the kernel. */
static void link_place(struct net_link *l)
{
	bool on = net_links_match(l->name, (const char *const *)wanted.text, wanted.n);
	bool pod = on && net_links_match(l->name, (const char *const *)pods.text, pods.n);

	if (!self->attached)
		return;
	if (l->on && (!on || net_place_has_egress(l) != !!l->out))
		net_place_off(l);
	if (on && l->on && pod != l->pod)
		net_place_facts(l, pod);
	if (!on || l->on)
		return;
	net_place_on(l, pod);
	if (self->canaries)
		net_canaries_send(l);
}

/* The programs stay where they hang; only what goes by the name changes. */
static void link_renamed(struct net_link *l)
{
	if (l->on) {
		net_place_renamed(l);
		net_tell_listeners(l->ifindex, l->name);
	}
	link_place(l);
}

static void on_change(void *arg, struct net_link *l, enum net_link_change what)
{
	(void)arg;
	switch (what) {
	case NET_LINK_NEW:
		link_place(l);
		break;
	case NET_LINK_RENAMED:
		link_renamed(l);
		break;
	case NET_LINK_UP:
	case NET_LINK_DOWN:
		if (l->on && self->canaries)
			net_canaries_send(l);
		break;
	case NET_LINK_GONE:
		if (l->on)
			net_place_off(l);
		net_tell_listeners(l->ifindex, NULL);
		break;
	}
}

static void patterns_free(struct patterns *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free(p->text[i]);
	free(p->text);
	*p = (struct patterns){ 0 };
}

static int patterns_copy(struct patterns *out, const char *const *text, unsigned n)
{
	struct patterns copy = { 0 };

	copy.text = n ? calloc(n, sizeof(*copy.text)) : NULL;
	for (; copy.text && copy.n < n; copy.n++) {
		copy.text[copy.n] = strdup(text[copy.n]);
		if (!copy.text[copy.n])
			break;
	}
	if (copy.n < n) {
		patterns_free(&copy);
		return -ENOMEM;
	}
	patterns_free(out);
	*out = copy;
	return 0;
}

int net_set_interfaces(const char *const *names, unsigned n, const char *const *pod_names,
		       unsigned n_pods)
{
	int r = patterns_copy(&wanted, names, n);

	if (!r)
		r = patterns_copy(&pods, pod_names, n_pods);
	if (r < 0)
		return kmn_err(r, "net: interfaces");
	if (self && self->skel)
		for (struct net_link *l = NULL; (l = net_links_next(l));)
			link_place(l);
	return 0;
}

unsigned net_patterns(void)
{
	return wanted.n;
}

/* ---- canary ---- */
#define CANARY_LOOK_MS 50

/* Runs only while a canary is on its way. */
static void look(void *arg)
{
	uint64_t now = clock_boot_ns();
	bool waiting = false;

	(void)arg;
	for (struct net_link *l = NULL; (l = net_links_next(l));)
		waiting |= net_canary_check(l, now);
	if (!waiting)
		(void)loop_timer_set(self->core->loop, self->look_timer, 0);
}

void net_canaries_send(struct net_link *only)
{
	bool waiting = false;

	self->canaries = true;
	for (struct net_link *l = NULL; (l = net_links_next(l));)
		if (l->on && (!only || only == l)) {
			net_canary_send(l);
			waiting |= l->nonce != 0;
		}
	if (waiting && self->look_timer >= 0)
		(void)loop_timer_set(self->core->loop, self->look_timer, CANARY_LOOK_MS);
}

static void net_canary_all(void *arg)
{
	(void)arg;
	if (!self->skel)
		return;
	net_canaries_send(NULL);
	net_owners_canary(self->core);
	net_accept_canary(self->core);
}

/* ---- life ---- */
static void mark_refused(struct net_self *s, const char *why)
{
	struct hook *h = hook_get(s->core->hooks, KMN_SVC_net, "tc");

	(void)snprintf(s->why, sizeof(s->why), "%s", why);
	if (!h)
		return;
	h->required = true;
	hook_failed(h, "%s", why);
}

static int load(struct net_self *s)
{
	static const char *const adopt[] = { "net_folds",   "net_rest",	   "net_lost",
					     "net_control", "net_sources", "net_shares",
					     "net_owners",  NULL };
	kmn_auto(net_bpf__destroy) struct net_bpf *skel = net_bpf__open();
	int r;

	if (!skel)
		return kmn_err(-errno, "net: open BPF object");
	r = bpfobj_load(s->core->bpf, skel->skeleton, adopt); /* logged */
	if (!r)
		r = net_stages_fill(skel);
	if (!r)
		r = net_canary_start(bpf_map__fd(skel->maps.net_canaries));
	if (r < 0)
		return r;
	net_folds_of(skel, &s->told.folds);
	s->told.events = s->core->events;
	r = net_told_init(&s->told);
	if (!r)
		s->skel = KMN_TAKE(skel);
	return r;
}

static void net_stop(void *arg);

static int net_start(struct kmn_core *core, void **out)
{
	struct stat ns;
	int r;

	self = calloc(1, sizeof(*self));
	if (!self)
		return kmn_err(-ENOMEM, "net");
	self->core = core;
	self->netns = stat("/proc/self/ns/net", &ns) < 0 ? 0 : ns.st_ino;
	self->look_timer = -1;
	*out = self;
	r = load(self);
	if (r < 0) {
		mark_refused(self,
			     "this kernel refuses the packet programs: packets are not judged");
		return 0;
	}
	net_owners_start(core);
	net_accept_start(core);
	r = net_links_start(core->loop, on_change, NULL);
	if (!r && core->loop) {
		self->look_timer = loop_every(core->loop, CANARY_LOOK_MS, look, NULL);
		r = self->look_timer < 0 ? self->look_timer
					 : loop_timer_set(core->loop, self->look_timer, 0);
	}
	if (!r)
		return 0;
	net_stop(self);
	*out = NULL;
	return r;
}

static int net_attach(void *arg)
{
	struct net_self *s = arg;

	if (!s->skel)
		return 0;
	s->attached = true;
	net_accept_attach(s->core);
	net_owners_attach(s->core); /* takes in what was accepted before that one stood there */
	for (struct net_link *l = NULL; (l = net_links_next(l));)
		link_place(l);
	return 0;
}

static void net_tick(void *arg, uint64_t now_ns)
{
	struct net_self *s = arg;

	/* The time between two flushes is the grace period of the folds; a loop that was late may
	 * call twice in a row. */
	if (!s->skel || now_ns < s->flushed_ns + NS_PER_S / 2)
		return;
	s->flushed_ns = now_ns;
	net_told_flush(&s->told);
	net_names_flushed();
	net_place_tick(now_ns);
}

static void net_stop(void *arg)
{
	struct net_self *s = arg;

	net_links_stop(s->core->loop);
	if (s->look_timer >= 0)
		loop_timer_drop(s->core->loop, s->look_timer);
	net_canary_stop();
	net_accept_stop();
	net_owners_stop();
	net_told_free(&s->told);
	net_names_drop_all();
	patterns_free(&wanted);
	patterns_free(&pods);
	memset(listeners, 0, sizeof(listeners));
	if (s->skel)
		net_bpf__destroy(s->skel);
	free(s);
	self = NULL;
}

const char *net_trouble(void)
{
	if (!self)
		return "the packet service is not running";
	return self->skel ? NULL : self->why;
}

static const struct kmn_event_kind kinds[] = { { .kind = 0 } };

const struct kmn_part net_service = {
	.name = "net",
	.summary = "packet hooks: interfaces, parsing, attribution, denials",
	.id = KMN_SVC_net,
	.kinds = kinds,
	.start = net_start,
	.attach = net_attach,
	.canary = net_canary_all,
	.tick = net_tick,
	.stop = net_stop,
	.probe = net_probe,
	.health = net_health,
	.status = net_status,
	.metrics = net_metrics,
	.memory_max = net_memory_max,
};
