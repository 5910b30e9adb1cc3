#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/auto.h"
#include "core/tcfilter.h"

/* The number of filters at parent, by a dump: a dump of RTM_GETTFILTER ends with NLMSG_DONE. */
static int count_filters(int ifindex, unsigned parent)
{
	struct {
		struct nlmsghdr h;
		struct tcmsg t;
	} ask = { .h = { .nlmsg_len = sizeof(ask),
			 .nlmsg_type = RTM_GETTFILTER,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		  .t = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent } };
	kmn_auto(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct timeval limit = { .tv_sec = 2 };
	char answer[16384] __attribute__((aligned(8)));
	int n = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t got = recv(fd, answer, sizeof(answer), 0);
		struct nlmsghdr *m = (struct nlmsghdr *)answer;

		if (got < 0)
			return -errno;
		for (; NLMSG_OK(m, (unsigned)got); m = NLMSG_NEXT(m, got)) {
			if (m->nlmsg_type == NLMSG_DONE)
				return n;
			if (m->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(m))->error;
			n += m->nlmsg_type == RTM_NEWTFILTER;
		}
	}
}

int tcfilter_set(int ifindex, bool egress, unsigned handle, unsigned priority, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority, .prog_fd = prog_fd,
		    .flags = BPF_TC_F_REPLACE);
	int r = bpf_tc_hook_create(&hook);

	if (r < 0 && r != -EEXIST)
		return r;
	return bpf_tc_attach(&hook, &opts);
}

bool tcfilter_has(int ifindex, bool egress, unsigned handle, unsigned priority)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
	int r = bpf_tc_query(&hook, &opts);

	return r != -ENOENT && r != -EINVAL; /* the latter: there is no qdisc */
}

int tcfilter_remove(int ifindex, bool egress, unsigned handle, unsigned priority)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
	int r = bpf_tc_query(&hook, &opts);

	if (r < 0)
		return -ENOENT; /* no qdisc, no filter, or not of BPF */
	LIBBPF_OPTS(bpf_tc_opts, gone, .handle = handle, .priority = priority);
	r = bpf_tc_detach(&hook, &gone);
	if (r < 0)
		return r;
	if (count_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) == 0 &&
	    count_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)) == 0) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		(void)bpf_tc_hook_destroy(&hook); /* an empty qdisc costs nothing */
	}
	return 0;
}

int tcfilter_remove_all(unsigned handle, unsigned priority, unsigned *n)
{
	struct if_nameindex *all = if_nameindex();
	int first = 0;

	if (!all)
		return -errno;
	for (struct if_nameindex *i = all; i->if_index; i++)
		for (int egress = 0; egress < 2; egress++) {
			int r = tcfilter_remove((int)i->if_index, egress, handle, priority);

			*n += r == 0;
			if (r < 0 && r != -ENOENT && !first)
				first = r;
		}
	if_freenameindex(all);
	return first;
}
