#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "net/net.skel.h"
#include "services/net/net.h"
#include "services/net/net_self.h"
#include "services/net/place.h"

static struct bpf_program *program(bool egress)
{
	return egress ? net_self()->skel->progs.net_egress : net_self()->skel->progs.net_ingress;
}

void net_place_off(struct net_link *l)
{
	uint32_t key = l->ifindex;

	if (l->in) {
		bpfobj_detach(net_self()->core->bpf, l->in);
		hook_remove(net_self()->core->hooks, l->in->key);
	}
	if (l->out) {
		bpfobj_detach(net_self()->core->bpf, l->out);
		hook_remove(net_self()->core->hooks, l->out->key);
	}
	l->in = l->out = NULL;
	l->in_on = l->out_on = false;
	l->nonce = 0;
	l->on = false;
	(void)bpf_map_delete_elem(bpf_map__fd(net_self()->skel->maps.net_ifs),
				  &key); /* or never there */
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

	(void)snprintf(key, sizeof(key), "tc/%lu/%u/%s", (unsigned long)net_self()->netns,
		       l->ifindex, egress ? "egress" : "ingress");
	h = hook_get(net_self()->core->hooks, KMN_SVC_net, key);
	if (!h)
		return NULL;
	name_hook(l, h, egress);
	h->required = l->up;
	*on = bpfobj_attach_tc(net_self()->core->bpf, h, program(egress), (int)l->ifindex,
			       egress) == 0; /* the reason of a no is in h */
	return h;
}

void net_place_facts(struct net_link *l, bool pod)
{
	struct net_if fact = { .zone = pod ? l->ifindex : 0,
			       .flags = (net_links_is_l3(l->type) ? NET_IF_L3 : 0U) |
					(pod ? NET_IF_POD : 0U) };
	uint32_t key = l->ifindex;
	int r = bpf_map_update_elem(bpf_map__fd(net_self()->skel->maps.net_ifs), &key, &fact,
				    BPF_ANY);

	if (r < 0)
		(void)kmn_err(r, "net: %s: facts", l->name);
	l->pod = pod;
}

/* What leaves by lo comes in by it: judged once. */
bool net_place_has_egress(const struct net_link *l)
{
	return strcmp(l->name, "lo") != 0;
}

/* The facts stand before the first packet is judged by them. */
void net_place_on(struct net_link *l, bool pod)
{
	net_place_facts(l, pod);
	net_tell_listeners(l->ifindex, l->name);
	l->on = true;
	l->in = hang(l, false, &l->in_on);
	if (net_place_has_egress(l))
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

void net_place_renamed(struct net_link *l)
{
	name_hook(l, l->in, false);
	name_hook(l, l->out, true);
}

static void link_again(struct net_link *l)
{
	net_place_facts(l, l->pod);
	net_tell_listeners(l->ifindex, l->name);
	hang_back(l, l->in, false, &l->in_on);
	hang_back(l, l->out, true, &l->out_on);
	net_self()->hung_again++;
	net_canaries_send(l);
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

#define LOOKS 64 /* interfaces that one tick looks at */

static void look(struct hook *h, bool egress)
{
	if (h && (h->state == HOOK_ATTACHED || h->state == HOOK_PROVEN) &&
	    !bpfobj_tc_hangs(net_self()->core->bpf, h, program(egress)))
		hook_failed(h, "somebody took the program out");
}

/* Canaries, which prove that a program runs, go seldom; that one is gone is seen within the second,
 * on a host of many interfaces within some. */
static void look_around(void)
{
	static unsigned from; /* of the links that have programs: where the last tick ended */
	unsigned n = 0;

	for (struct net_link *l = NULL; (l = net_links_next(l));) {
		if (!l->on || n++ < from)
			continue;
		if (n > from + LOOKS) {
			from += LOOKS;
			return;
		}
		look(l->in, false);
		look(l->out, true);
	}
	from = 0;
}

void net_place_tick(uint64_t now_ns)
{
	look_around();
	hang_failed(now_ns);
}
