#include <errno.h>
#include <fnmatch.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "services/net/links.h"
#include "services/net/net.h"

#define LINKS_READS_MAX 64 /* datagrams in one turn of the loop */
#define LINKS_GONE 64	   /* names kept of interfaces that went */
#define LINKS_DUMP_MS 3000 /* the first dump, at the start */

/* One sensor to a process: one table. */
static struct {
	int fd;
	bool open, dumping, again; /* again: messages were lost, dump once more */
	bool lost;		   /* and what was known before that dump is to be doubted */
	net_link_change_fn *fn;
	void *arg;
	struct net_link link[NET_IFS_MAX];
	struct {
		uint32_t ifindex;
		char name[IFNAMSIZ];
	} gone[LINKS_GONE];
	unsigned gone_next;
	uint64_t left_out;
} t = { .fd = -1 };

bool net_links_is_l3(uint16_t type)
{
	switch (type) {
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return true;
	default:
		return false;
	}
}

bool net_links_match(const char *name, const char *const *patterns, unsigned n)
{
	bool lo = !strcmp(name, "lo");

	for (unsigned i = 0; i < n; i++)
		if (lo ? !strcmp(patterns[i], "lo") : fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

struct net_link *net_links_next(struct net_link *link)
{
	for (link = link ? link + 1 : t.link; link < t.link + NET_IFS_MAX; link++)
		if (link->ifindex)
			return link;
	return NULL;
}

struct net_link *net_links_find(uint32_t ifindex)
{
	for (struct net_link *l = NULL; (l = net_links_next(l));)
		if (l->ifindex == ifindex)
			return l;
	return NULL;
}

void net_each_link(net_link_fn *fn, void *arg)
{
	for (struct net_link *l = NULL; (l = net_links_next(l));)
		fn(arg, l->ifindex, l->name);
}

const char *net_links_name(uint32_t ifindex)
{
	const struct net_link *l = net_links_find(ifindex);

	if (l)
		return l->name;
	for (unsigned i = 0; i < LINKS_GONE; i++)
		if (ifindex && t.gone[i].ifindex == ifindex)
			return t.gone[i].name;
	return "";
}

uint64_t net_links_left_out(void)
{
	return t.left_out;
}

static struct net_link *free_slot(void)
{
	for (unsigned i = 0; i < NET_IFS_MAX; i++)
		if (!t.link[i].ifindex)
			return &t.link[i];
	return NULL;
}

static void remember_gone(const struct net_link *l)
{
	t.gone[t.gone_next].ifindex = l->ifindex;
	memcpy(t.gone[t.gone_next].name, l->name, sizeof(l->name));
	t.gone_next = (t.gone_next + 1) % LINKS_GONE;
}

static void on_gone(struct net_link *l)
{
	t.fn(t.arg, l, NET_LINK_GONE);
	remember_gone(l);
	memset(l, 0, sizeof(*l));
}

static void on_new(const struct ifinfomsg *info, const char *name, const uint8_t *mac)
{
	struct net_link *l = net_links_find((uint32_t)info->ifi_index);
	bool up = info->ifi_flags & IFF_UP, is_new = !l;

	if (is_new) {
		l = free_slot();
		if (!l) {
			if (!t.left_out++)
				log_warn("net: more than %d interfaces: %s is not protected",
					 NET_IFS_MAX, name);
			return;
		}
		l->ifindex = (uint32_t)info->ifi_index;
	}
	l->seen = true;
	l->type = info->ifi_type;
	if (mac)
		memcpy(l->mac, mac, sizeof(l->mac));
	if (is_new || strcmp(l->name, name)) {
		(void)snprintf(l->name, sizeof(l->name), "%s", name);
		if (!is_new)
			t.fn(t.arg, l, NET_LINK_RENAMED);
	}
	if (is_new) {
		l->up = up;
		t.fn(t.arg, l, NET_LINK_NEW);
	} else if (l->up != up) {
		l->up = up;
		t.fn(t.arg, l, up ? NET_LINK_UP : NET_LINK_DOWN);
	}
}

static void on_message(const struct nlmsghdr *h)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	const char *name = NULL;
	const uint8_t *mac = NULL;
	struct net_link *l;
	int len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*info)) || info->ifi_family != AF_UNSPEC)
		return; /* a bridge also speaks of its ports, as of links that come and go */
	len = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*info)));
	for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_IFNAME && RTA_PAYLOAD(a) <= IFNAMSIZ)
			name = RTA_DATA(a);
		else if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == 6)
			mac = RTA_DATA(a);
	}
	if (h->nlmsg_type == RTM_NEWLINK && name && info->ifi_index > 0) {
		on_new(info, name, mac);
	} else if (h->nlmsg_type == RTM_DELLINK) {
		l = net_links_find((uint32_t)info->ifi_index);
		if (l)
			on_gone(l);
	}
}

static int ask_dump(void)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
	} ask = { .h = { .nlmsg_len = sizeof(ask),
			 .nlmsg_type = RTM_GETLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };

	for (struct net_link *l = NULL; (l = net_links_next(l));)
		l->seen = false;
	t.again = false;
	if (send(t.fd, &ask, sizeof(ask), 0) < 0)
		return kmn_err(-errno, "net: ask for the interfaces");
	t.dumping = true;
	return 0;
}

/* The dump is whole: what it did not show went while messages were lost. */
static void end_dump(void)
{
	t.dumping = false;
	for (struct net_link *l = NULL; (l = net_links_next(l));)
		if (!l->seen)
			on_gone(l);
	if (t.again) {
		(void)ask_dump(); /* logged */
		return;
	}
	if (t.lost)
		for (struct net_link *l = NULL; (l = net_links_next(l));)
			l->doubted = true;
	t.lost = false;
}

static void on_datagram(const char *data, size_t size)
{
	int len = (int)size;

	for (const struct nlmsghdr *h = (const void *)data; NLMSG_OK(h, (unsigned)len);
	     h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			t.again = true;
		if (h->nlmsg_type == NLMSG_DONE)
			end_dump();
		else if (h->nlmsg_type == NLMSG_ERROR)
			t.again = true; /* of a dump that could not run: one ran already */
		else
			on_message(h);
	}
}

void net_links_read(void)
{
	static char data[32768] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (int i = 0; t.open && i < LINKS_READS_MAX; i++) {
		ssize_t n = recv(t.fd, data, sizeof(data), MSG_DONTWAIT);

		if (n > 0) {
			on_datagram(data, (size_t)n);
		} else if (n < 0 && errno == ENOBUFS) { /* messages were lost */
			if (!t.lost)
				log_info("net: messages about interfaces were lost: all are read "
					 "again");
			t.again = t.lost = true;
			if (!t.dumping)
				(void)ask_dump(); /* logged */
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else {
			return;
		}
	}
}

static void on_readable(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	net_links_read();
}

/* The first dump is waited for: what hangs on an interface is part of the start. */
static int first_dump(void)
{
	uint64_t until = clock_boot_ns() + LINKS_DUMP_MS * NS_PER_MS;
	int r = ask_dump();

	while (!r && t.dumping) {
		struct pollfd p = { .fd = t.fd, .events = POLLIN };

		if (clock_boot_ns() > until)
			return kmn_err(-ETIMEDOUT, "net: read the interfaces");
		(void)poll(&p, 1, 100);
		net_links_read();
	}
	return r;
}

int net_links_start(struct loop *loop, net_link_change_fn *fn, void *arg)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int r, size = 1024 * 1024;

	t.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (t.fd < 0)
		return kmn_err(-errno, "net: rtnetlink");
	t.open = true;
	t.fn = fn;
	t.arg = arg;
	(void)setsockopt(t.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* as far as allowed */
	r = bind(t.fd, (void *)&addr, sizeof(addr)) < 0 ? kmn_err(-errno, "net: rtnetlink: bind")
							: first_dump();
	if (!r && loop)
		r = loop_watch(loop, t.fd, EPOLLIN, on_readable, NULL);
	if (r < 0)
		net_links_stop(NULL);
	return r;
}

void net_links_stop(struct loop *loop)
{
	if (!t.open)
		return;
	if (loop)
		loop_unwatch(loop, t.fd);
	close(t.fd);
	memset(&t, 0, sizeof(t));
	t.fd = -1;
}
