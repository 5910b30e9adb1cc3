#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "services/net/canary.h"

static int packet_fd = -1, map_fd = -1;

int net_canary_start(int canaries_fd)
{
	/* Protocol 0: it sends, and receives nothing. */
	packet_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (packet_fd < 0)
		return kmn_err(-errno, "net: canary: packet socket");
	map_fd = canaries_fd;
	return 0;
}

void net_canary_stop(void)
{
	if (packet_fd >= 0)
		close(packet_fd);
	packet_fd = map_fd = -1;
}

/* What the kernel did not take keeps the reason of that. */
static void fail(struct net_link *link, const char *why)
{
	if (link->in_on)
		hook_failed(link->in, "%s", why);
	if (link->out_on)
		hook_failed(link->out, "%s", why);
	link->nonce = 0;
}

/* Nothing passes there, so nothing can be proven, and nothing is missing. */
static void down(struct net_link *link)
{
	if (link->in_on)
		hook_off(link->in, "the interface is down");
	if (link->out_on)
		hook_off(link->out, "the interface is down");
	link->nonce = 0;
}

/* It came up: what hangs there is to be proven again. */
static void awake(struct hook *h, bool on)
{
	if (!on || h->state != HOOK_OFF)
		return;
	h->state = HOOK_ATTACHED;
	h->why[0] = '\0';
}

static int expect(const struct net_link *link, bool egress)
{
	struct net_canary_key key = { .ifindex = link->ifindex, .egress = egress };
	struct net_canary c = { .nonce = link->nonce };

	return bpf_map_update_elem(map_fd, &key, &c, BPF_ANY);
}

/* From and to the interface's own address: should the frame get out, nobody takes it. */
static int send_frame(const struct net_link *link)
{
	struct {
		struct ethhdr eth;
		struct net_canary_frame canary;
		uint8_t pad[ETH_ZLEN - sizeof(struct ethhdr) - sizeof(struct net_canary_frame)];
	} __attribute__((packed)) f = { .eth = { .h_proto = htons(NET_CANARY_ETHERTYPE) },
					.canary = { NET_CANARY_MAGIC, link->nonce } };
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(NET_CANARY_ETHERTYPE),
				  .sll_ifindex = (int)link->ifindex,
				  .sll_halen = ETH_ALEN };
	bool l3 = net_links_is_l3(link->type);
	const char *from = l3 ? (const char *)&f + sizeof(f.eth) : (const char *)&f;
	size_t len = l3 ? sizeof(f) - sizeof(f.eth) : sizeof(f);

	memcpy(f.eth.h_dest, link->mac, ETH_ALEN);
	memcpy(f.eth.h_source, link->mac, ETH_ALEN);
	memcpy(to.sll_addr, link->mac, ETH_ALEN);
	return sendto(packet_fd, from, len, 0, (void *)&to, sizeof(to)) < 0 ? -errno : 0;
}

void net_canary_send(struct net_link *link)
{
	int r;

	if (link->in)
		link->in->required = link->up; /* a cable that is not plugged in degrades nothing */
	if (link->out)
		link->out->required = link->up;
	if (!link->up) {
		down(link);
		return;
	}
	awake(link->in, link->in_on);
	awake(link->out, link->out_on);
	if (link->out && !link->out_on) { /* nothing turns it round */
		fail(link, "not proven: the egress hook, which the proof needs, is missing");
		return;
	}
	if (!link->in_on && !link->out_on)
		return;
	if (getrandom(&link->nonce, sizeof(link->nonce), 0) != sizeof(link->nonce))
		link->nonce = clock_boot_ns(); /* not secret enough, and not 0 */
	link->nonce |= 1;
	r = link->in_on ? expect(link, false) : 0;
	if (!r && link->out_on)
		r = expect(link, true);
	if (!r)
		r = send_frame(link);
	link->sent_ns = clock_boot_ns();
	if (r == -ENETDOWN) /* it went down meanwhile */
		down(link);
	else if (r < 0)
		fail(link, strerror(-r));
	else
		(void)net_canary_check(link, link->sent_ns); /* mostly it is back by now */
}

/* True: this hook has seen it. */
static bool check_hook(const struct net_link *link, struct hook *h, bool egress)
{
	struct net_canary_key key = { .ifindex = link->ifindex, .egress = egress };
	struct net_canary c = {};

	if (bpf_map_lookup_elem(map_fd, &key, &c) < 0 || c.nonce != link->nonce || !c.seen_ns)
		return false;
	hook_proven(h, c.gen);
	return true;
}

bool net_canary_check(struct net_link *link, uint64_t now_ns)
{
	bool in, out;

	if (!link->nonce)
		return false;
	in = !link->in_on || check_hook(link, link->in, false);
	out = !link->out_on || check_hook(link, link->out, true);
	if (in && out) {
		link->nonce = 0;
		return false;
	}
	if (now_ns < link->sent_ns + NET_CANARY_TIMEOUT_NS)
		return true;
	if (!in)
		hook_failed(link->in, out ? "a canary frame was turned round and did not arrive"
					  : "a canary frame was sent and not seen in 2 s");
	if (!out)
		hook_failed(link->out, "a canary frame was sent and not seen in 2 s: another "
				       "program stands before ours");
	link->nonce = 0;
	return false;
}
