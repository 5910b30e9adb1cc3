#include <linux/if.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "harness/packets.h"

void t_need_bpf(void)
{
	if (geteuid() != 0) {
		puts("skipped: needs root");
		exit(77);
	}
}

void t_own_netns(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &up), 0);
	close(fd);
}

void t_bind_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct t_net *t = ctx;
	const struct kmn_event *ev = data;

	assert_int_equal(ev->size, size);
	if (ev->kind == KMN_EV_DENIED) {
		assert_int_equal(size, sizeof(struct net_denied));
		assert_true(net_denied_check(ev));
		t->last = *(const struct net_denied *)data;
		t->records++;
	}
	return 0;
}

void t_share(struct t_net *t, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		struct bpf_map *same =
			bpf_object__find_map_by_name(t->net->obj, bpf_map__name(map));

		if (same && !bpf_map__is_internal(map))
			assert_int_equal(bpf_map__reuse_fd(map, bpf_map__fd(same)), 0);
	}
}

struct t_net *t_net_open(void)
{
	struct t_net *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->net = net_bpf__open_and_load();
	assert_non_null(t->net);
	t->fw = firewall_bpf__open();
	assert_non_null(t->fw);
	t_share(t, t->fw->obj);
	assert_int_equal(firewall_bpf__load(t->fw), 0);
	assert_int_equal(net_stages_fill(t->net), 0);
	assert_int_equal(net_stage_put(t->net, NET_STAGE_firewall, t->fw->progs.fw_tc), 0);
	fw_maps_of(t->fw, &t->maps);
	fw_half_init(&t->half[0]);
	fw_half_init(&t->half[1]);
	net_folds_of(t->net, &t->folds);
	assert_int_equal(net_folds_init(&t->folds), 0);
	t->state = mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_map__fd(t->net->maps.kmn_state), 0);
	assert_ptr_not_equal(t->state, MAP_FAILED);
	t->ring = ring_buffer__new(bpf_map__fd(t->net->maps.kmn_findings), on_record, t, NULL);
	assert_non_null(t->ring);
	return t;
}

void t_net_close(struct t_net *t)
{
	ring_buffer__free(t->ring);
	munmap(t->state, (size_t)getpagesize());
	net_folds_free(&t->folds);
	fw_half_close(&t->half[0]);
	fw_half_close(&t->half[1]);
	firewall_bpf__destroy(t->fw);
	net_bpf__destroy(t->net);
	free(t);
}

void t_stage(struct t_net *t, const struct fw_spec *specs, uint32_t n, uint64_t gen)
{
	struct fw_plan plan = { .specs = (struct fw_spec *)specs, .n_specs = n };
	const char *why = "";

	assert_int_equal(fw_tables_build(&plan.t, specs, n, &why), 0);
	assert_int_equal(fw_half_fill(&t->maps, &t->half[gen & 1], &plan, gen), 0);
	fw_half_link(&plan, t->half[gen & 1].ifs.fd, 1, "lo");
	fw_tables_free(&plan.t);
}

void t_commit(struct t_net *t, uint64_t gen)
{
	__atomic_store_n(&t->state->gen, gen, __ATOMIC_RELEASE);
}

int t_run(const struct bpf_program *prog, const struct t_frame *f)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = (__u32)f->len,
		    .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), 0);
	return (int)opts.retval;
}

int t_in(struct t_net *t, const struct t_frame *f)
{
	return t_run(t->net->progs.net_ingress, f);
}

int t_out(struct t_net *t, const struct t_frame *f)
{
	return t_run(t->net->progs.net_egress, f);
}

struct net_pkt t_pkt(struct t_net *t)
{
	struct net_pkt all[512], p;
	__u32 key = 0;
	int cpu = sched_getcpu();

	assert_true(libbpf_num_possible_cpus() <= 512 && cpu >= 0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t->net->maps.net_pkts), &key, all), 0);
	memcpy(&p, &all[cpu], sizeof(p));
	return p;
}

uint64_t t_count(struct t_net *t, uint32_t what)
{
	uint64_t cell[512], sum = 0;

	assert_true(libbpf_num_possible_cpus() <= 512);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t->net->maps.kmn_counts), &what, cell), 0);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += cell[i];
	return sum;
}

uint64_t t_records(struct t_net *t)
{
	uint64_t before = t->records;

	assert_true(ring_buffer__consume(t->ring) >= 0);
	return t->records - before;
}

void t_grace(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		usleep(50000); /* with nohz_full the call is refused */
}

struct summing {
	net_fold_fn *fn;
	void *arg;
	uint64_t sum;
};

static void on_fold(void *arg, const struct net_fold_key *key, const struct net_fold *fold,
		    uint64_t packets)
{
	struct summing *s = arg;

	s->sum += fold ? fold->packets : packets;
	if (s->fn)
		s->fn(s->arg, key, fold, packets);
}

uint64_t t_folded(struct t_net *t, net_fold_fn *fn, void *arg)
{
	struct summing s = { fn, arg, 0 };

	assert_int_equal(net_folds_flush(&t->folds, on_fold, &s), 0);
	t_grace();
	assert_int_equal(net_folds_flush(&t->folds, on_fold, &s), 0);
	t_grace();
	return s.sum;
}
