#include <bpf/bpf.h>
#include "base/log.h"
#include "net/net.skel.h"
#include "services/net/net_self.h"

int net_stage_put(struct net_bpf *skel, uint32_t stage, const struct bpf_program *prog)
{
	int fd = bpf_program__fd(prog);

	return bpf_map_update_elem(bpf_map__fd(skel->maps.net_tc_stages), &stage, &fd, BPF_ANY);
}

int net_stages_fill(struct net_bpf *skel)
{
	int r = net_stage_put(skel, NET_STAGE_END, skel->progs.net_end);

	for (uint32_t i = 0; !r && i < NET_STAGE_END; i++)
		r = net_stage_put(skel, i, skel->progs.net_off);
	return r < 0 ? kmn_err(r, "net: stages") : 0;
}

void net_folds_of(const struct net_bpf *skel, struct net_folds *f)
{
	f->folds_fd = bpf_map__fd(skel->maps.net_folds);
	f->rest_fd = bpf_map__fd(skel->maps.net_rest);
	f->lost_fd = bpf_map__fd(skel->maps.net_lost);
	f->control_fd = bpf_map__fd(skel->maps.net_control);
	f->cpus = (unsigned)libbpf_num_possible_cpus();
}
