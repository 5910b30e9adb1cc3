#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include "base/log.h"
#include "services/net/folds.h"

int net_folds_init(struct net_folds *f)
{
	struct net_control c = {};
	uint32_t key = 0;
	int r = bpf_map_lookup_elem(f->control_fd, &key, &c);

	if (r < 0)
		return kmn_err(r, "net: denials: read the epoch");
	f->epoch = c.epoch;
	f->lost = calloc(f->cpus, sizeof(*f->lost));
	return f->lost ? 0 : kmn_err(-ENOMEM, "net: denials");
}

void net_folds_free(struct net_folds *f)
{
	free(f->lost);
	f->lost = NULL;
}

/* Of one batch: tell of what is over and delete it; the rest stays. */
static int tell(struct net_folds *f, int fd, uint32_t n, net_fold_fn *fn, void *arg)
{
	uint32_t over = 0;
	int r;

	for (uint32_t i = 0; i < n; i++) {
		if (f->key[i].epoch == f->epoch)
			continue;
		fn(arg, &f->key[i], &f->fold[i], f->fold[i].packets - f->fold[i].told);
		f->key[over++] = f->key[i];
	}
	if (!over)
		return 0;
	r = bpf_map_delete_batch(fd, f->key, &over, NULL);
	return r < 0 ? kmn_err(r, "net: denials: delete") : 0;
}

/* A walk by batches goes by bucket, so entries that come and go do not disturb it. */
static int flush_map(struct net_folds *f, int fd, net_fold_fn *fn, void *arg)
{
	uint32_t in = 0, out = 0, n;
	bool first = true, last = false;
	int r;

	while (!last) {
		n = NET_FOLDS_BATCH;
		r = bpf_map_lookup_batch(fd, first ? NULL : &in, &out, f->key, f->fold, &n, NULL);
		if (r < 0 && r != -ENOENT)
			return kmn_err(r, "net: denials: read");
		last = r == -ENOENT;
		r = tell(f, fd, n, fn, arg);
		if (r < 0)
			return r;
		in = out;
		first = false;
	}
	return 0;
}

/* The idle half of net_lost: nobody writes it, so it is read and cleared. */
static int flush_lost(struct net_folds *f, net_fold_fn *fn, void *arg)
{
	for (uint32_t part = 0; part < KMN_PARTS; part++) {
		struct net_fold_key key = { .reason = (uint16_t)(part << 8),
					    .epoch = f->epoch - 1 };
		uint32_t at = part * 2 + ((f->epoch - 1) & 1);
		uint64_t sum = 0;
		int r = bpf_map_lookup_elem(f->lost_fd, &at, f->lost);

		if (r < 0)
			return kmn_err(r, "net: denials: read part %u", part);
		for (unsigned cpu = 0; cpu < f->cpus; cpu++) {
			sum += f->lost[cpu];
			f->lost[cpu] = 0;
		}
		if (!sum)
			continue;
		fn(arg, &key, NULL, sum);
		r = bpf_map_update_elem(f->lost_fd, &at, f->lost, BPF_ANY);
		if (r < 0)
			return kmn_err(r, "net: denials: clear part %u", part);
	}
	return 0;
}

int net_folds_flush(struct net_folds *f, net_fold_fn *fn, void *arg)
{
	struct net_control next = { .epoch = f->epoch + 1 };
	uint32_t key = 0;
	int r;

	r = flush_map(f, f->folds_fd, fn, arg);
	if (!r)
		r = flush_map(f, f->rest_fd, fn, arg);
	if (!r)
		r = flush_lost(f, fn, arg);
	if (r < 0)
		return r;
	r = bpf_map_update_elem(f->control_fd, &key, &next, BPF_ANY);
	if (r < 0)
		return kmn_err(r, "net: denials: end the epoch");
	f->epoch++;
	return 0;
}
