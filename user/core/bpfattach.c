#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "core/bpfpins.h"
#include "core/tcfilter.h"

/* Not in the headers of the oldest libbpf that we build with. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47, FLAG_BEFORE = 1 << 3 };
#define TCX_PROGRAMS_MAX 64 /* of one hook: BPF_MPROG_MAX */

static void attached(struct hook *h, const char *type)
{
	h->type = type;
	h->survives = true;
	h->state = HOOK_ATTACHED;
	h->why[0] = '\0';
}

static int refused(struct hook *h, const char *type, const char *what, int err)
{
	h->type = type;
	hook_failed(h, "%s: %s", what, strerror(-err));
	return err;
}

/* A link whose pin goes is freed a moment later; detached first, its place is free at once, so that
 * the same program can hang there again under another name. */
static void drop_pin(const char *path)
{
	kmn_auto(fd) int fd = bpf_obj_get(path);

	if (fd >= 0)
		(void)bpf_link_detach(fd); /* tracing links know no detach: they go with the pin */
	(void)unlink(path);
}

/* Is the program among those of the interface? A link goes with its interface into another network
 * namespace, and ours may have got another one of that index. No answer: as far as we know it is.
 */
static bool hangs_at(int ifindex, enum bpf_attach_type type, int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 ids[TCX_PROGRAMS_MAX] = { 0 }, len = sizeof(info);
	LIBBPF_OPTS(bpf_prog_query_opts, q, .prog_ids = ids, .prog_cnt = TCX_PROGRAMS_MAX);

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len) < 0 ||
	    bpf_prog_query_opts(ifindex, type, &q) < 0)
		return true;
	for (__u32 i = 0; i < q.prog_cnt && i < TCX_PROGRAMS_MAX; i++)
		if (ids[i] == info.id)
			return true;
	return false;
}

/* Put prog behind the pinned link in one step. ifindex: 0, or where it must hang then. -ENOENT: no
 * pin, or a link whose place is gone (its interface went): the pin is dropped and a new link
 * wanted. */
static int update_pinned(const char *path, int prog_fd, int ifindex, enum bpf_attach_type type)
{
	kmn_auto(fd) int fd = bpf_obj_get(path);
	int r;

	if (fd < 0)
		return -ENOENT;
	r = bpf_link_update(fd, prog_fd, NULL);
	if (!r && (!ifindex || hangs_at(ifindex, type, prog_fd)))
		return 0;
	log_info("bpf: link %s: %s: made anew", path, r ? strerror(-r) : "of another interface");
	drop_pin(path);
	return -ENOENT;
}

static int create_pinned(const char *path, int prog_fd, int target, enum bpf_attach_type type,
			 __u32 flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	kmn_auto(fd) int fd = bpf_link_create(prog_fd, target, type, &opts);

	if (fd < 0)
		return fd;
	return bpf_obj_pin(fd, path) < 0 ? -errno : 0;
}

static int place_link(struct bpfobj *b, struct hook *h, const char *kind, int prog_fd, int target,
		      enum bpf_attach_type type, __u32 flags)
{
	bool tcx = type == (enum bpf_attach_type)TCX_INGRESS ||
		   type == (enum bpf_attach_type)TCX_EGRESS;
	char path[2 * BPFOBJ_PATH];
	int r;

	bpfpins_link_path(b->root, h->key, "", path, sizeof(path));
	r = update_pinned(path, prog_fd, tcx ? target : 0, type);
	if (r == -ENOENT)
		r = create_pinned(path, prog_fd, target, type, flags);
	if (r < 0)
		return refused(h, kind, "attach", r);
	attached(h, kind);
	return 0;
}

int bpfobj_attach_tc(struct bpfobj *b, struct hook *h, struct bpf_program *prog, int ifindex,
		     bool egress)
{
	int fd = bpf_program__fd(prog), r;

	h->ifindex = ifindex;
	h->egress = egress;
	if (b->kernel->has[KERNEL_TCX])
		return place_link(b, h, "tcx", fd, ifindex,
				  (enum bpf_attach_type)(egress ? TCX_EGRESS : TCX_INGRESS),
				  FLAG_BEFORE);
	r = tcfilter_set(ifindex, egress, BPFOBJ_TC_HANDLE, BPFOBJ_TC_PRIORITY, fd);
	if (r < 0)
		return refused(h, "clsact", "attach", r);
	attached(h, "clsact");
	return 0;
}

bool bpfobj_tc_hangs(struct bpfobj *b, const struct hook *h, struct bpf_program *prog)
{
	int fd = bpf_program__fd(prog);

	if (b->kernel->has[KERNEL_TCX])
		return hangs_at(h->ifindex,
				(enum bpf_attach_type)(h->egress ? TCX_EGRESS : TCX_INGRESS), fd);
	return tcfilter_has(h->ifindex, h->egress, BPFOBJ_TC_HANDLE, BPFOBJ_TC_PRIORITY);
}

int bpfobj_attach_cgroup(struct bpfobj *b, struct hook *h, struct bpf_program *prog, int cgroup_fd)
{
	return place_link(b, h, "cgroup", bpf_program__fd(prog), cgroup_fd,
			  bpf_program__expected_attach_type(prog), 0);
}

static const char *trace_kind(const struct bpf_program *prog)
{
	switch (bpf_program__expected_attach_type(prog)) {
	case BPF_TRACE_RAW_TP:
		return "tp_btf";
	case BPF_TRACE_FENTRY:
		return "fentry";
	case BPF_TRACE_FEXIT:
		return "fexit";
	case BPF_MODIFY_RETURN:
		return "fmod_ret";
	case BPF_LSM_MAC:
		return "lsm";
	default:
		return "tracing";
	}
}

#define NEXT "~next" /* a link that waits for its proof beside the one in force */

/* Of a start that died before its proof: beside the one in force it goes, alone it is in force. */
static void make_way(const char *next, const char *now)
{
	if (access(now, F_OK) == 0)
		(void)unlink(next);
	else
		(void)rename(next, now); /* mostly there is none */
}

int bpfobj_attach_trace(struct bpfobj *b, struct hook *h, struct bpf_program *prog)
{
	char path[2 * BPFOBJ_PATH], now[2 * BPFOBJ_PATH];
	kmn_auto(fd) int fd = -1;

	bpfpins_link_path(b->root, h->key, NEXT, path, sizeof(path));
	bpfpins_link_path(b->root, h->key, "", now, sizeof(now));
	make_way(path, now);
	fd = bpf_raw_tracepoint_open(NULL, bpf_program__fd(prog));
	if (fd < 0)
		return refused(h, trace_kind(prog), "attach", fd);
	if (bpf_obj_pin(fd, path) < 0)
		return refused(h, trace_kind(prog), "pin", -errno);
	attached(h, trace_kind(prog));
	h->unsettled = true;
	return 0;
}

int bpfobj_attach_settle(struct bpfobj *b, struct hook *h)
{
	char next[2 * BPFOBJ_PATH], now[2 * BPFOBJ_PATH];

	if (!h->unsettled)
		return 0;
	bpfpins_link_path(b->root, h->key, NEXT, next, sizeof(next));
	bpfpins_link_path(b->root, h->key, "", now, sizeof(now));
	if (rename(next, now) < 0 && errno != ENOENT) /* the old link ends with its pin */
		return kmn_err(-errno, "bpf: settle %s", h->name);
	h->unsettled = false;
	return 0;
}

void bpfobj_detach(struct bpfobj *b, struct hook *h)
{
	char path[2 * BPFOBJ_PATH];

	bpfpins_link_path(b->root, h->key, NEXT, path, sizeof(path));
	drop_pin(path);
	bpfpins_link_path(b->root, h->key, "", path, sizeof(path));
	drop_pin(path);
	if (h->ifindex && !b->kernel->has[KERNEL_TCX])
		(void)tcfilter_remove(h->ifindex, h->egress, BPFOBJ_TC_HANDLE, BPFOBJ_TC_PRIORITY);
	h->unsettled = false;
	h->state = HOOK_OFF;
}
