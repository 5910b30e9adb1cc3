#include "harness/rules.h"
#include "tests/net/other.skel.h"

static struct t_net *t;
static struct other_bpf *other;
static struct net_cidr cidr;
static struct t_frame f;

static int setup(void **state)
{
	struct fw_spec rule;

	(void)state;
	t_bind_cpu(0);
	t = t_net_open();
	rule = t_rule_udp(7, FW_DENY, KMN_PREVENT, &cidr, "11.0.0.1");
	t_stage(t, &rule, 1, 1);
	t_commit(t, 1);
	other = other_bpf__open();
	assert_non_null(other);
	t_share(t, other->obj);
	assert_int_equal(other_bpf__load(other), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	other_bpf__destroy(other);
	t_net_close(t);
	return 0;
}

static uint64_t other_seen(void)
{
	uint64_t cell[512], sum = 0;
	__u32 key = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(other->maps.other_seen), &key, cell), 0);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += cell[i];
	return sum;
}

static void a_missed_tail_call_is_counted_and_takes_the_fail_mode(void **state)
{
	__u32 stages = (__u32)bpf_map__fd(t->net->maps.net_tc_stages);
	uint64_t before = t_count(t, NET_C_MISSED_TAIL);

	(void)state;
	t_udp_from(&f, 9, 53);
	for (__u32 stage = 0; stage < NET_STAGES; stage++) {
		assert_int_equal(bpf_map_delete_elem((int)stages, &stage), 0);
		t->state->fail = NET_PASS;
		assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
		t->state->fail = NET_DROP;
		assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
		assert_int_equal(t_count(t, NET_C_MISSED_TAIL) - before, 2 * stage + 2);
		assert_int_equal(net_stages_fill(t->net), 0);
		assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	}
}

static void stages_run_in_order_and_a_drop_ends_them(void **state)
{
	(void)state;
	assert_int_equal(net_stage_put(t->net, NET_STAGE_webrep, other->progs.other_stage), 0);
	t_udp_from(&f, 9, 53);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	assert_int_equal(other_seen(), 1);
	t_udp_from(&f, 1, 53); /* the firewall stands before */
	assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	assert_int_equal(other_seen(), 1);
	t_udp_from(&f, 9, 7777);
	assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	t_udp_from(&f, 9, 7778);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	assert_int_equal(other_seen(), 3);
}

static void every_packet_that_goes_through_is_counted_once(void **state)
{
	uint64_t before = t_count(t, NET_C_JUDGED);

	(void)state;
	t_udp_from(&f, 1, 53);
	for (int i = 0; i < 10; i++)
		(void)t_in(t, &f);
	t_eth(&f, 0x0806);
	t_zero(&f, 46);
	(void)t_in(t, &f);
	assert_int_equal(t_count(t, NET_C_JUDGED), before + 11);
}

static void a_replay_sets_the_time_of_records_and_folds(void **state)
{
	(void)state;
	t->state->replay_ns = 12345678901;
	t_udp_from(&f, 1, 53);
	assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	assert_int_equal(t_records(t), 1);
	assert_int_equal(t->last.head.time_ns, 12345678901);
}

static void a_record_names_rule_generation_and_packet(void **state)
{
	(void)state;
	t_udp_from(&f, 1, 53);
	assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	assert_int_equal(t_records(t), 1);
	assert_int_equal(t->last.head.part, KMN_MOD_firewall);
	assert_int_equal(t->last.head.gen, 1);
	assert_int_equal(t->last.fold.rule_id, 7);
	assert_int_equal(t->last.fold.reason, FW_DENIED);
	assert_int_equal(t->last.fold.mode, KMN_PREVENT);
	assert_int_equal(t->last.first.key.proto, IPPROTO_UDP);
	assert_int_equal(t->last.first.len_bytes, f.len);
	assert_int_equal(t->last.first.ifindex, 1);
}

/* Only a nonce that user space wrote down for this very hook makes a frame a canary. */
static void a_canary_is_counted_turned_round_and_ended(void **state)
{
	struct net_canary_frame canary = { NET_CANARY_MAGIC, 0x1122334455667788 };
	struct net_canary_key key = { .ifindex = 1, .egress = 1 };
	struct net_canary c = { .nonce = canary.nonce };
	int map = bpf_map__fd(t->net->maps.net_canaries);
	uint64_t judged = t_count(t, NET_C_JUDGED);

	(void)state;
	t_eth(&f, NET_CANARY_ETHERTYPE);
	t_put(&f, &canary, sizeof(canary));
	t_zero(&f, 30);
	assert_int_equal(t_out(t, &f), TC_ACT_UNSPEC); /* not expected: an ordinary frame */
	assert_int_equal(t_count(t, NET_C_JUDGED), judged + 1);
	assert_int_equal(bpf_map_update_elem(map, &key, &c, BPF_ANY), 0);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC); /* expected at the other hook */
	assert_int_equal(t_out(t, &f), 7);	      /* TC_ACT_REDIRECT */
	assert_int_equal(t_count(t, NET_C_JUDGED), judged + 2);
	assert_int_equal(bpf_map_lookup_elem(map, &key, &c), 0);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.gen, 1);
	assert_true(c.seen_ns > 0);
	key.egress = 0;
	c = (struct net_canary){ .nonce = canary.nonce };
	assert_int_equal(bpf_map_update_elem(map, &key, &c, BPF_ANY), 0);
	assert_int_equal(t_in(t, &f), TC_ACT_SHOT);
	f.data[14 + 8] ^= 1; /* another nonce */
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	assert_int_equal(t_out(t, &f), TC_ACT_UNSPEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_missed_tail_call_is_counted_and_takes_the_fail_mode),
		TEST(stages_run_in_order_and_a_drop_ends_them),
		TEST(every_packet_that_goes_through_is_counted_once),
		TEST(a_replay_sets_the_time_of_records_and_folds),
		TEST(a_record_names_rule_generation_and_packet),
		TEST(a_canary_is_counted_turned_round_and_ended),
	};

	t_need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
