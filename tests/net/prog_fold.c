#include "harness/rules.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "tests/net/other.skel.h"

#define FLUSHES 20 /* while the floods go on */

static struct t_net *t;
static struct net_cidr cidr;

static int setup(void **state)
{
	struct fw_spec rule;

	(void)state;
	t = t_net_open();
	rule = t_rule_udp(7, FW_DENY, KMN_PREVENT, &cidr, "11.0.0.0/8");
	t_stage(t, &rule, 1, 1);
	t_commit(t, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t_net_close(t);
	return 0;
}

struct flood {
	pthread_t thread;
	uint32_t cpu, sources;
	_Atomic uint32_t runs;
	_Atomic bool stop;
};

static void *flood(void *arg)
{
	struct flood *fl = arg;
	struct t_frame f;

	t_bind_cpu(fl->cpu);
	while (!fl->stop) {
		t_udp_from(&f, fl->runs++ % fl->sources, 53);
		assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	}
	return NULL;
}

static uint32_t shots(const struct flood *fl, uint32_t source)
{
	return fl->runs / fl->sources + (source < fl->runs % fl->sources);
}

static void start(struct flood *fl, uint32_t cpu, uint32_t sources)
{
	unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	*fl = (struct flood){ .cpu = cpu % cpus, .sources = sources };
	assert_int_equal(pthread_create(&fl->thread, NULL, flood, fl), 0);
}

struct sums {
	uint64_t packets, told, bytes, keys, many, lost, sources[64];
};

static void on_fold(void *arg, const struct net_fold_key *key, const struct net_fold *fold,
		    uint64_t packets)
{
	struct sums *s = arg;

	if (!fold) {
		s->lost += packets;
		s->packets += packets;
		return;
	}
	assert_int_equal(key->rule_id, 7);
	assert_int_equal(key->gen, 1);
	assert_int_equal(key->reason, FW_DENIED);
	assert_true(fold->first_ns && fold->first_ns <= fold->last_ns);
	assert_int_equal(fold->packets, packets + fold->told);
	s->keys++;
	s->packets += fold->packets;
	s->told += fold->told;
	s->bytes += fold->bytes;
	if (key->many)
		s->many += fold->packets;
	else if (((uint8_t *)key->peer_be)[15] < 64)
		s->sources[((uint8_t *)key->peer_be)[15]] += fold->packets;
}

/* Two processors count the same 64 keys while a third reads and deletes them over and over. */
static void no_count_is_lost_between_reading_and_deleting(void **state)
{
	struct sums s = { 0 };
	struct flood a, b;

	(void)state;
	start(&a, 0, 64);
	start(&b, 1, 64);
	for (int i = 0; i < FLUSHES || a.runs < 64 || b.runs < 64; i++) {
		assert_int_equal(net_folds_flush(&t->folds, on_fold, &s), 0);
		t_grace();
	}
	a.stop = b.stop = true;
	pthread_join(a.thread, NULL);
	pthread_join(b.thread, NULL);
	(void)t_folded(t, on_fold, &s);
	assert_int_equal(s.packets, a.runs + b.runs);
	assert_int_equal(s.many, 0);
	assert_int_equal(s.told, t_records(t));
	assert_true(s.told >= 1);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(s.sources[i], shots(&a, i) + shots(&b, i));
}

/* Of each thread, in a loop inside the kernel. What one processor loses to nobody needs no million,
 * and one that is emulated takes seconds for it. */
#define TIGHT 1000000
#define TIGHT_ALONE (TIGHT / 20)

static void *tight_flood(void *arg)
{
	struct flood *fl = arg;
	struct t_frame f;

	t_bind_cpu(fl->cpu);
	t_udp_from(&f, 1, 53);
	for (uint32_t i = 0; i < 20; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f.data,
			    .data_size_in = (__u32)f.len, .repeat = (int)fl->runs / 20);

		assert_int_equal(
			bpf_prog_test_run_opts(bpf_program__fd(t->net->progs.net_ingress), &opts),
			0);
	}
	return NULL;
}

/* Without the lock of the fold two processors lose thousands of these. */
static void one_key_sends_one_record_and_is_counted_whole(void **state)
{
	unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t each = cpus > 1 ? TIGHT : TIGHT_ALONE;
	struct flood fl[2] = { { .cpu = 0, .runs = each }, { .cpu = 1 % cpus, .runs = each } };
	struct sums s = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&fl[i].thread, NULL, tight_flood, &fl[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(fl[i].thread, NULL);
	assert_int_equal(t_records(t), 1);
	assert_int_equal(t_folded(t, on_fold, &s), 2 * each);
	assert_int_equal(s.keys, 1);
	assert_int_equal(s.told, 1);
}

static void a_full_map_counts_under_the_rule_and_the_sum_is_exact(void **state)
{
	const uint32_t sources = NET_FOLDS_MAX + 5000;
	struct sums s = { 0 };
	struct t_frame f;

	(void)state;
	for (uint32_t i = 0; i < 2 * sources; i++) {
		t_udp_from(&f, i % sources, 53);
		assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	}
	assert_true(t_count(t, NET_C_FOLDS_FULL) >= 2 * 5000);
	assert_int_equal(t_folded(t, on_fold, &s), 2 * sources);
	assert_int_equal(s.many, t_count(t, NET_C_FOLDS_FULL));
	assert_int_equal(s.lost, 0);
}

/* Even the table of rules is full: the part's own cell has the rest. */
static void when_even_the_rules_have_no_room_the_module_counts(void **state)
{
	struct net_fold_key key = { .epoch = t->folds.epoch, .rule_id = 1000, .many = 1 };
	int rest = bpf_map__fd(t->net->maps.net_rest), folds = bpf_map__fd(t->net->maps.net_folds);
	struct net_fold fold = { .packets = 0 };
	struct sums s = { 0 };
	struct t_frame f;

	(void)state;
	for (key.gen = 5; !bpf_map_update_elem(rest, &key, &fold, BPF_NOEXIST); key.gen++)
		;
	for (key.gen = 5; !bpf_map_update_elem(folds, &key, &fold, BPF_NOEXIST); key.gen++)
		;
	for (int i = 0; i < 100; i++) {
		t_udp_from(&f, (uint32_t)i, 53);
		assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	}
	for (key.gen = 5; !bpf_map_delete_elem(rest, &key); key.gen++)
		;
	for (key.gen = 5; !bpf_map_delete_elem(folds, &key); key.gen++)
		;
	assert_int_equal(t_folded(t, on_fold, &s), 100);
	assert_int_equal(s.lost, 100);
	memset(&s, 0, sizeof(s)); /* and it was cleared */
	assert_int_equal(t_folded(t, on_fold, &s), 0);
}

static unsigned keys_in(int fd)
{
	struct net_fold_key key, *at = NULL;
	unsigned n = 0;

	while (bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		n++;
	}
	return n;
}

static void flushed_keys_leave_the_map(void **state)
{
	struct t_frame f;

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		t_udp_from(&f, i, 53);
		(void)t_in(t, &f);
	}
	assert_int_equal(keys_in(bpf_map__fd(t->net->maps.net_folds)), 100);
	assert_int_equal(net_folds_flush(&t->folds, on_fold, &(struct sums){ 0 }), 0);
	assert_int_equal(keys_in(bpf_map__fd(t->net->maps.net_folds)), 100); /* still in use */
	t_grace();
	assert_int_equal(net_folds_flush(&t->folds, on_fold, &(struct sums){ 0 }), 0);
	assert_int_equal(keys_in(bpf_map__fd(t->net->maps.net_folds)), 0);
}

static void check_ring_sums(void)
{
	assert_int_equal(t_count(t, KMN_C_OFFERED), t_count(t, KMN_C_SENT) +
							    t_count(t, KMN_C_DROPPED) +
							    t_count(t, KMN_C_THROTTLED));
}

/* Sources that nobody has seen before come without end: the records stay within what the module and
 * all modules together may send; not one packet goes uncounted. */
static void a_spoofed_flood_stays_within_the_budget(void **state)
{
	uint64_t from = clock_boot_ns(), seconds, records;
	struct t_frame f;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		t_udp_from(&f, i << 8, 53); /* a /24 each */
		(void)t_in(t, &f);
	}
	seconds = (clock_boot_ns() - from) / NS_PER_S + 1;
	records = t_records(t);
	assert_true(records >= NET_FLOOR_BURST);
	assert_true(records <=
		    NET_FLOOR_BURST + NET_SHARED_BURST + seconds * (NET_FLOOR_S + NET_SHARED_S));
	assert_int_equal(records, t_count(t, KMN_C_SENT));
	check_ring_sums();
	assert_int_equal(t_folded(t, NULL, NULL), 10000);
}

static void one_source_has_its_own_small_budget(void **state)
{
	struct t_frame f;

	(void)state;
	t->state->replay_ns = 1000 * NS_PER_S; /* the clock stands still */
	for (uint32_t i = 0; i < 200; i++) {   /* 200 keys, one /24 */
		t_udp_from(&f, 0x010100 + i, 53);
		(void)t_in(t, &f);
	}
	assert_int_equal(t_records(t), NET_SOURCE_BURST);
	t->state->replay_ns += NS_PER_S;
	for (uint32_t i = 200; i < 250; i++) {
		t_udp_from(&f, 0x010100 + i, 53);
		(void)t_in(t, &f);
	}
	assert_int_equal(t_records(t), NET_PER_SOURCE_S);
	check_ring_sums();
}

/* The firewall's flood has spent its floor and what all share; another module's floor is there. */
static void a_flood_of_one_module_leaves_the_floor_of_another(void **state)
{
	struct other_bpf *other = other_bpf__open();
	uint64_t mine = 0;
	struct t_frame f;

	(void)state;
	assert_non_null(other);
	t_share(t, other->obj);
	assert_int_equal(other_bpf__load(other), 0);
	assert_int_equal(net_stage_put(t->net, NET_STAGE_webrep, other->progs.other_stage), 0);
	t->state->replay_ns = 1000 * NS_PER_S;
	for (uint32_t i = 0; i < 6000; i++) {
		t_udp_from(&f, i << 8, 53);
		(void)t_in(t, &f);
	}
	assert_int_equal(t_records(t), NET_FLOOR_BURST + NET_SHARED_BURST);
	for (uint32_t i = 0; i < 100; i++) {
		t_packet(&f, "192.0.2.0", "198.51.100.1", IPPROTO_UDP, 1, 7777);
		f.data[27] = (uint8_t)i;
		assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
		if (t_records(t)) {
			assert_int_equal(t->last.head.part, 2);
			mine++;
		}
	}
	assert_int_equal(mine, 100);
	other_bpf__destroy(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(no_count_is_lost_between_reading_and_deleting),
		TEST(one_key_sends_one_record_and_is_counted_whole),
		TEST(a_full_map_counts_under_the_rule_and_the_sum_is_exact),
		TEST(when_even_the_rules_have_no_room_the_module_counts),
		TEST(flushed_keys_leave_the_map),
		TEST(a_spoofed_flood_stays_within_the_budget),
		TEST(one_source_has_its_own_small_budget),
		TEST(a_flood_of_one_module_leaves_the_floor_of_another),
	};

	t_need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
