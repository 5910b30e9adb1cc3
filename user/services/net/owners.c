#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "context/process.h"
#include "net/net_abi.h"
#include "net/owner.skel.h"
#include "services/net/owners.h"

#define OWNERS_SOCKETS_MAX 65536 /* taken in at start; a power of two */
#define OWNERS_TIME_NS (2 * NS_PER_S)

static struct net_owners_stats stats;
static struct owner_bpf *skel;
static const char *const hook_names[] = {
	"cgroup/sock_create",  "cgroup/connect4",     "cgroup/connect6",    "cgroup/sendmsg4",
	"cgroup/sendmsg6",     "cgroup/post_bind4",   "cgroup/post_bind6",  "cgroup/getpeername4",
	"cgroup/getpeername6", "cgroup/getsockname4", "cgroup/getsockname6"
};
#define OWNER_HOOKS (sizeof(hook_names) / sizeof(*hook_names))

static struct bpf_program *program(size_t i)
{
	struct bpf_program *const all[OWNER_HOOKS] = {
		skel->progs.owner_create,   skel->progs.owner_connect4, skel->progs.owner_connect6,
		skel->progs.owner_sendmsg4, skel->progs.owner_sendmsg6, skel->progs.owner_bind4,
		skel->progs.owner_bind6,    skel->progs.owner_peer4,	skel->progs.owner_peer6,
		skel->progs.owner_name4,    skel->progs.owner_name6
	};

	return all[i];
}

/* No verdict hangs on these hooks: without them the service is degraded, no module is. */
static struct hook *owner_hook(struct kmn_core *core, size_t i)
{
	struct hook *h = hook_get(core->hooks, KMN_SVC_net, hook_names[i]);

	if (h)
		h->required = false;
	return h;
}

static void fail_all(struct kmn_core *core, const char *why)
{
	(void)snprintf(stats.why, sizeof(stats.why), "%s", why);
	for (size_t i = 0; i < OWNER_HOOKS; i++) {
		struct hook *h = owner_hook(core, i);

		if (h)
			hook_failed(h, "%s", why);
	}
}

void net_owners_start(struct kmn_core *core)
{
	static const char *const adopt[] = { "net_owners", NULL };
	int r;

	memset(&stats, 0, sizeof(stats));
	if (!core->kernel->cgroup2_root[0]) {
		fail_all(core, "no cgroup2 is mounted: denials name no process");
		return;
	}
	skel = owner_bpf__open();
	if (!skel) {
		fail_all(core, strerror(errno));
		return;
	}
	r = bpfobj_load(core->bpf, skel->skeleton, adopt); /* logged */
	if (r < 0) {
		fail_all(core, "this kernel refuses the program: denials name no process");
		owner_bpf__destroy(skel);
		skel = NULL;
		return;
	}
	stats.loaded = true;
}

void net_owners_attach(struct kmn_core *core)
{
	kmn_auto(fd) int cgroup = -1;

	if (!stats.loaded)
		return;
	cgroup = open(core->kernel->cgroup2_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0) {
		fail_all(core, strerror(errno));
		return;
	}
	for (size_t i = 0; i < OWNER_HOOKS; i++) {
		struct hook *h = owner_hook(core, i);

		if (h)
			(void)bpfobj_attach_cgroup(core->bpf, h, program(i), cgroup); /* in h */
	}
	net_owners_take_in(bpf_map__fd(skel->maps.net_owners), core->kernel, &stats);
}

/* What the hooks have written onto a UDP socket of ours that was made, bound to loopback, sent from
 * (to itself), connected, and asked for both its names. */
static uint32_t drive(int family)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *a = family == AF_INET ? (void *)&in4 : (void *)&in6;
	socklen_t len = family == AF_INET ? sizeof(in4) : sizeof(in6);
	kmn_auto(fd) int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage got;
	socklen_t got_len = sizeof(got);
	struct net_owner o = {};

	if (fd < 0)
		return 0;
	if (bind(fd, a, len) == 0 && getsockname(fd, a, &len) == 0) {
		(void)!sendto(fd, "", 0, 0, a, len); /* what counts is what the hook wrote */
		(void)!connect(fd, a, len);
		(void)!getpeername(fd, (void *)&got, &got_len);
		got_len = sizeof(got);
		(void)!getsockname(fd, (void *)&got, &got_len);
	}
	if (bpf_map_lookup_elem(bpf_map__fd(skel->maps.net_owners), &fd, &o) < 0 ||
	    o.pid != (uint32_t)getpid())
		return 0;
	return o.how;
}

void net_owners_canary(struct kmn_core *core)
{
	static const struct {
		bool v6;
		uint32_t how;
	} want[OWNER_HOOKS] = { { false, NET_OWNER_MADE },     { false, NET_OWNER_CONNECTED },
				{ true, NET_OWNER_CONNECTED }, { false, NET_OWNER_SENT },
				{ true, NET_OWNER_SENT },      { false, NET_OWNER_BOUND },
				{ true, NET_OWNER_BOUND },     { false, NET_OWNER_PEER },
				{ true, NET_OWNER_PEER },      { false, NET_OWNER_NAME },
				{ true, NET_OWNER_NAME } };
	struct kmn_state *state = bpfobj_state(core->bpf);
	uint32_t v4, v6;

	if (!stats.loaded)
		return;
	v4 = drive(AF_INET);
	v6 = drive(AF_INET6);
	stats.works = v4 & NET_OWNER_MADE;
	for (size_t i = 0; i < OWNER_HOOKS; i++) {
		struct hook *h = owner_hook(core, i);

		if (!h || !h->type) /* it did not even attach: the reason is there */
			continue;
		if ((want[i].v6 ? v6 : v4) & want[i].how)
			hook_proven(h, state ? state->gen : 0);
		else
			hook_failed(h,
				    want[i].v6 && !v6
					    ? "a socket of IPv6 on loopback bears no owner: is "
					      "IPv6 off?"
					    : "a socket of ours bears no owner: the sensor may run "
					      "outside of the cgroup2 tree that it sees");
	}
}

void net_owners_stop(void)
{
	if (skel)
		owner_bpf__destroy(skel);
	skel = NULL;
	stats.loaded = false;
}

const struct net_owners_stats *net_owners_stats(void)
{
	return &stats;
}

/* ---- what was open before ---- */
struct walk {
	int map;
	struct net_owners_stats *stats;
	struct process_host host;
	uint64_t until_ns;
	uint64_t *inode; /* sockets seen, open addressing; 0 = free */
	uint32_t n;
	bool full;
};

/* The process in hand. */
struct holder {
	int pidfd;
	struct net_owner owner;
};

/* Its place, or the free one where it belongs: at most half of them are taken. */
static uint64_t *place_of(struct walk *w, uint64_t inode)
{
	uint32_t at = (uint32_t)(inode * 0x9e3779b97f4a7c15ULL >> 40) % (2 * OWNERS_SOCKETS_MAX);

	while (w->inode[at] && w->inode[at] != inode)
		at = (at + 1) % (2 * OWNERS_SOCKETS_MAX);
	return &w->inode[at];
}

/* False: seen already, or no room. */
static bool is_new(struct walk *w, uint64_t inode)
{
	if (*place_of(w, inode))
		return false;
	if (w->n < OWNERS_SOCKETS_MAX)
		return true;
	w->stats->left_out++;
	w->full = true;
	return false;
}

/* Only of one that was had in hand: of a holder that ends meanwhile another one may be the heir. */
static void seen(struct walk *w, uint64_t inode)
{
	*place_of(w, inode) = inode;
	w->n++;
}

/* A listening socket names its opener, so that what accept() makes of it is told as "listener".
 * False: the holder gave it not out, as it ended or closed it. */
static bool take_in(struct walk *w, const struct holder *h, int number)
{
	kmn_auto(fd) int fd = (int)syscall(SYS_pidfd_getfd, h->pidfd, number, 0);
	struct net_owner o = h->owner;
	int domain = 0, listens = 0;
	socklen_t len = sizeof(int);

	if (fd < 0)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    (domain != AF_INET && domain != AF_INET6))
		return true;
	len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens)
		o.how = 0;
	if (bpf_map_update_elem(w->map, &fd, &o, BPF_NOEXIST) == 0)
		w->stats->taken_in++;
	return true;
}

/* Who it is, once for all its sockets. The pidfd was opened while the folder still showed it: both
 * are of one process. */
static bool know(struct walk *w, int dir, uint32_t pid, struct holder *h)
{
	uint64_t start_ns, cgroup_id;

	h->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (h->pidfd < 0 || process_read_identity(&w->host, dir, &start_ns, &cgroup_id) < 0)
		return false;
	h->owner = (struct net_owner){
		.pid = pid, .how = NET_OWNER_HELD, .start_ns = start_ns, .cgroup_id = cgroup_id
	};
	return true;
}

static void walk_fds(struct walk *w, DIR *fds, int dir, uint32_t pid)
{
	struct holder h = { .pidfd = -1 };
	char target[64];
	struct dirent *e;

	while (!w->full && (e = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), e->d_name, target, sizeof(target) - 1);
		uint64_t inode;

		if (n < 0)
			continue;
		target[n] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) != 1 || !is_new(w, inode))
			continue;
		if (h.pidfd < 0 && !know(w, dir, pid, &h))
			break; /* it ended */
		if (take_in(w, &h, (int)strtol(e->d_name, NULL, 10)))
			seen(w, inode);
	}
	if (h.pidfd >= 0)
		close(h.pidfd);
}

static void walk_process(struct walk *w, int proc, const char *name)
{
	kmn_auto(fd) int dir = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = fd < 0 ? NULL : fdopendir(fd);

	if (fds) { /* else a kernel thread, or it ended */
		walk_fds(w, fds, dir, (uint32_t)strtoul(name, NULL, 10));
		(void)closedir(fds);
	} else if (fd >= 0) {
		close(fd);
	}
}

void net_owners_take_in(int owners_fd, const struct kernel *kernel, struct net_owners_stats *s)
{
	struct walk w = { .map = owners_fd,
			  .stats = s,
			  .host = { .proc_root = "/proc",
				    .cgroup_root = kernel->cgroup_root,
				    .cgroup_name =
					    kernel->cgroup_subsys < 0 ? "" : kernel->cgroup_name },
			  .until_ns = clock_boot_ns() + OWNERS_TIME_NS };
	struct dirent *e;
	DIR *proc;

	w.inode = calloc(2 * OWNERS_SOCKETS_MAX, sizeof(*w.inode));
	proc = w.inode ? opendir("/proc") : NULL;
	while (proc && !w.full && (e = readdir(proc))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		if (clock_boot_ns() > w.until_ns) {
			log_warn("net: open sockets: not all taken in within 2 s");
			s->left_out++;
			break;
		}
		walk_process(&w, dirfd(proc), e->d_name);
	}
	if (proc)
		(void)closedir(proc);
	free(w.inode);
}
