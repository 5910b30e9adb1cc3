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
static void tell_listeners(uint32_t ifindex, const char *name)
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

static void link_off(struct net_link *l)
{
	uint32_t key = l->ifindex;

	if (l->in) {
		bpfobj_detach(self->core->bpf, l->in);
		hook_remove(self->core->hooks, l->in->key);
	}
	if (l->out) {
		bpfobj_detach(self->core->bpf, l->out);
		hook_remove(self->core->hooks, l->out->key);
	}
	l->in = l->out = NULL;
	l->in_on = l->out_on = false;
	l->nonce = 0;
	l->on = false;
	(void)bpf_map_delete_elem(bpf_map__fd(self->skel->maps.net_ifs), &key); /* or never there */
}

static void name_hook(const struct net_link *l, struct hook *h, bool egress)
{
	if (h)
		(void)snprintf(h->name, sizeof(h->name), "tc/%s/%s", l->name,
			       egress ? "egress" : "ingress");
}

/* Its pin bears the namespace and the index, which an interface keeps for life, and not the name.
 */
static struct hook *hang(struct net_link *l, bool egress, bool *on)
{
	char key[sizeof(((struct hook *)0)->key)];
	struct hook *h;

	(void)snprintf(key, sizeof(key), "tc/%lu/%u/%s", (unsigned long)self->netns, l->ifindex,
		       egress ? "egress" : "ingress");
	h = hook_get(self->core->hooks, KMN_SVC_net, key);
	if (!h)
		return NULL;
	name_hook(l, h, egress);
	h->required = l->up;
	*on = bpfobj_attach_tc(self->core->bpf, h,
			       egress ? self->skel->progs.net_egress
				      : self->skel->progs.net_ingress,
			       (int)l->ifindex, egress) == 0; /* the reason of a no is in h */
	return h;
}

static void put_facts(struct net_link *l, bool pod)
{
	struct net_if fact = { .zone = pod ? l->ifindex : 0,
			       .flags = (net_links_is_l3(l->type) ? NET_IF_L3 : 0U) |
					(pod ? NET_IF_POD : 0U) };
	uint32_t key = l->ifindex;
	int r = bpf_map_update_elem(bpf_map__fd(self->skel->maps.net_ifs), &key, &fact, BPF_ANY);

	if (r < 0)
		(void)kmn_err(r, "net: %s: facts", l->name);
	l->pod = pod;
}

/* What leaves by lo comes in by it: judged once. */
static bool hangs_out(const struct net_link *l)
{
	return strcmp(l->name, "lo") != 0;
}

/* The facts stand before the first packet is judged by them. */
static void link_on(struct net_link *l, bool pod)
{
	put_facts(l, pod);
	tell_listeners(l->ifindex, l->name);
	l->on = true;
	l->in = hang(l, false, &l->in_on);
	if (hangs_out(l))
		l->out = hang(l, true, &l->out_on);
}

/* Once more, which changes nothing where it still hangs. Failed is failed until a canary proves it.
 */
static void hang_back(struct net_link *l, struct hook *h, bool egress, bool *on)
{
	char why[sizeof(h->why)];
	bool failed;

	if (!h)
		return;
	failed = h->state == HOOK_FAILED;
	memcpy(why, h->why, sizeof(why));
	(void)hang(l, egress, on);
	if (!failed || h->state != HOOK_ATTACHED)
		return;
	h->state = HOOK_FAILED;
	memcpy(h->why, why, sizeof(why));
}

static void link_again(struct net_link *l)
{
	put_facts(l, l->pod);
	tell_listeners(l->ifindex, l->name);
	hang_back(l, l->in, false, &l->in_on);
	hang_back(l, l->out, true, &l->out_on);
	self->hung_again++;
	net_canaries_send(l);
}

/* Hang on it, or take out, as the patterns say. What hangs already stays as it is in the kernel. */
static void link_place(struct net_link *l)
{
	bool on = net_links_match(l->name, (const char *const *)wanted.text, wanted.n);
	bool pod = on && net_links_match(l->name, (const char *const *)pods.text, pods.n);

	if (!self->attached)
		return;
	if (l->on && (!on || hangs_out(l) != !!l->out))
		link_off(l);
	if (on && l->on && pod != l->pod)
		put_facts(l, pod);
	if (!on || l->on)
		return;
	link_on(l, pod);
	if (self->canaries)
		net_canaries_send(l);
}

/* The programs stay where they hang; only what goes by the name changes. */
static void link_renamed(struct net_link *l)
{
	if (l->on) {
		name_hook(l, l->in, false);
		name_hook(l, l->out, true);
		tell_listeners(l->ifindex, l->name);
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
			link_off(l);
		tell_listeners(l->ifindex, NULL);
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

#define AGAIN_MIN_NS (5 * NS_PER_S)
#define AGAIN_MAX_NS (60 * NS_PER_S)
#define AGAIN_LINKS 64 /* in one tick */

static bool failed(const struct hook *h)
{
	return h && h->state == HOOK_FAILED;
}

/* Has it failed, and is it time to try? Not in the tick that finds it: the event that tells of the
 * fault comes between. */
static bool again_due(struct net_link *l, uint64_t now_ns)
{
	if (l->doubted)
		return true;
	if (!l->up || l->nonce) /* nothing to be had there, or an answer is on its way */
		return false;
	if (!failed(l->in) && !failed(l->out)) {
		if (l->again_ns && l->wait_ns)
			log_info("net: %s: the programs are in their places again", l->name);
		l->again_ns = l->wait_ns = 0;
		return false;
	}
	if (!l->again_ns)
		l->again_ns = now_ns + NS_PER_S / 2;
	return now_ns >= l->again_ns;
}

/* What somebody took out (a qdisc deleted, a link detached), or the kernel refused for a while, is
 * hung again, ever more seldom as long as no canary proves it. */
static void hang_failed(uint64_t now_ns)
{
	unsigned n = 0;

	for (struct net_link *l = NULL; (l = net_links_next(l)) && n < AGAIN_LINKS;) {
		if (!l->on || !again_due(l, now_ns))
			continue;
		n++;
		if (!l->doubted) {
			if (!l->wait_ns)
				log_warn("net: %s: its programs are hung again until a canary "
					 "passes",
					 l->name);
			l->wait_ns = !l->wait_ns		     ? AGAIN_MIN_NS
				     : l->wait_ns < AGAIN_MAX_NS / 2 ? 2 * l->wait_ns
								     : AGAIN_MAX_NS;
			l->again_ns = now_ns + l->wait_ns;
		}
		l->doubted = false;
		link_again(l);
	}
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
	net_owners_attach(s->core);
	net_accept_attach(s->core);
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
	hang_failed(now_ns);
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
