#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/auto.h"
#include "net/accept.skel.h"
#include "net/net_abi.h"
#include "services/net/accept.h"

static struct accept_bpf *skel; /* NULL: refused, its hook says why */
static bool hangs;

/* No verdict hangs on it, and where it is missing there is the other way. */
static struct hook *accept_hook(struct kmn_core *core)
{
	struct hook *h = hook_get(core->hooks, KMN_SVC_net, "fexit/inet_csk_accept");

	if (h)
		h->required = false;
	return h;
}

/* Asked of the kernel's types, for a refused program is a page of the verifier's words. */
const char *net_accept_missing(const struct kernel *k)
{
	const char *why = NULL;
	struct btf *btf;

	if (!k->has[KERNEL_FENTRY])
		return k->why[KERNEL_FENTRY];
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return strerror(errno);
	if (btf__find_by_name_kind(btf, "bpf_sk_storage_tracing_allowed", BTF_KIND_FUNC) < 0)
		why = "storage of sockets is closed to tracing programs (open from 5.11 on)";
	btf__free(btf);
	return why;
}

void net_accept_start(struct kmn_core *core)
{
	static const char *const adopt[] = { "net_owners", NULL };
	struct hook *h = accept_hook(core);
	const char *why = net_accept_missing(core->kernel);

	if (!h)
		return;
	if (!why) {
		skel = accept_bpf__open();
		if (!skel)
			why = strerror(errno);
	}
	if (!why && bpfobj_load(core->bpf, skel->skeleton, adopt) < 0) /* logged */
		why = "this kernel refuses the program";
	if (!why)
		return;
	hook_failed(h, "%s", why);
	net_accept_stop();
}

void net_accept_attach(struct kmn_core *core)
{
	struct hook *h = skel ? accept_hook(core) : NULL;

	hangs = h && bpfobj_attach_trace(core->bpf, h, skel->progs.accept_exit) == 0; /* in h */
}

/* What stands on a connection of ours that was accepted without an address; 0 when there was none.
 */
static uint32_t drive(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger none = { .l_onoff = 1 }; /* leaves nothing in TIME_WAIT */
	int kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	kmn_auto(fd) int listener = socket(AF_INET, kind, 0);
	kmn_auto(fd) int out = socket(AF_INET, kind, 0);
	kmn_auto(fd) int in = -1;
	socklen_t len = sizeof(a);
	struct net_owner o = {};

	if (bind(listener, (void *)&a, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (void *)&a, &len) < 0)
		return 0;
	(void)setsockopt(out, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	(void)!connect(out, (void *)&a, len); /* on loopback it is there when the call returns */
	in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (in < 0)
		return 0;
	o.how = NET_OWNER_SURE & ~NET_OWNER_ACCEPTED;
	if (bpf_map_lookup_elem(bpf_map__fd(skel->maps.net_owners), &in, &o) < 0 ||
	    o.pid != (uint32_t)getpid())
		return NET_OWNER_MADE; /* accepted, and not seen */
	return NET_OWNER_MADE | o.how;
}

void net_accept_canary(struct kmn_core *core)
{
	struct hook *h = hangs ? accept_hook(core) : NULL;
	struct kmn_state *state = bpfobj_state(core->bpf);
	uint32_t how;

	if (!h)
		return;
	how = drive();
	if (how & NET_OWNER_ACCEPTED)
		hook_proven(h, state ? state->gen : 0);
	else
		hook_failed(h, "%s",
			    how ? "a connection of ours was accepted and bears no owner"
				: "no connection over loopback could be made: it is not proven");
}

void net_accept_stop(void)
{
	if (skel)
		accept_bpf__destroy(skel);
	skel = NULL;
	hangs = false;
}
