#include "policy/grace.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "base/auto.h"
#include "base/log.h"

static int by_map(void)
{
	kmn_auto(fd) int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kmn_grace_in", 4, 4, 1, NULL);
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (__u32)inner);
	kmn_auto(fd) int outer = -1;
	__u32 key = 0;

	if (inner < 0)
		return inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "kmn_grace", 4, 4, 1, &opts);
	if (outer < 0)
		return outer;
	return bpf_map_update_elem(outer, &key, &inner, BPF_ANY);
}

/* With one CPU online membarrier returns at once, though a preempted program may be there. */
static int by_membarrier(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return -ENOTSUP;
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}

int grace_wait(void)
{
	int r = by_map();

	if (r < 0)
		r = by_membarrier();
	return r < 0 ? kmn_err(r, "policy: no way to wait for running BPF programs") : 0;
}
