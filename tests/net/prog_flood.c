#include "harness/rules.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "event/flood_abi.h"
#include "tests/event/flood.skel.h"

/* A million denied packets, each from an address that nobody has seen before, while another part
 * sends its findings through the same ring: not one of those is lost, and not one packet goes
 * uncounted. */
#define PACKETS 1000000
#define PACKETS_SLOW 100000 /* where the machine is emulated */
#define FINDINGS 4000
#define DRAIN_EVERY \
	2 /* findings between two looks at the ring: the sensor's shortest period, 2 ms */

struct flood {
	struct t_net *t;
	uint32_t packets;
	_Atomic bool done;
};

static void *spoof(void *arg)
{
	struct flood *fl = arg;
	struct t_frame f;

	for (uint32_t i = 0; i < fl->packets; i++) {
		t_udp_from(&f, i, 53);
		assert_int_equal(t_in(fl->t, &f), TC_ACT_SHOT);
	}
	fl->done = true;
	return NULL;
}

static struct flood_bpf *other_part(struct t_net *t)
{
	struct flood_bpf *bpf = flood_bpf__open();

	assert_non_null(bpf);
	t_share(t, bpf->obj);
	assert_int_equal(flood_bpf__load(bpf), 0);
	return bpf;
}

static void send_finding(struct flood_bpf *bpf, uint64_t number)
{
	uint64_t args[4] = { number, FLOOD_FINDING, 0, 0 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = args, .ctx_size_in = sizeof(args));

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.flood), &o), 0);
}

struct seen {
	uint64_t denials, next, lost;
};

static int on_record(void *arg, void *data, size_t size)
{
	const struct kmn_event *head = data;
	struct seen *s = arg;

	assert_int_equal(head->size, size);
	if (head->kind == KMN_EV_DENIED) {
		s->denials++;
		return 0;
	}
	s->lost += ((const struct flood_record *)data)->number - s->next;
	s->next = ((const struct flood_record *)data)->number + 1;
	return 0;
}

static void a_million_spoofed_packets_lose_no_finding_of_another_part(void **state)
{
	const char *row = getenv("ROW");
	struct flood fl = { .packets = row && strcmp(row, "host") ? PACKETS_SLOW : PACKETS };
	struct timespec ms = { .tv_nsec = 1000000 };
	struct seen seen = { 0 };
	struct ring_buffer *ring;
	struct flood_bpf *other;
	struct net_cidr cidr;
	struct fw_spec rule;
	uint64_t number = 0;
	pthread_t thread;

	(void)state;
	fl.t = t_net_open();
	rule = t_rule_udp(7, FW_DENY, KMN_PREVENT, &cidr, "11.0.0.0/8");
	t_stage(fl.t, &rule, 1, 1);
	t_commit(fl.t, 1);
	other = other_part(fl.t);
	ring = ring_buffer__new(bpf_map__fd(fl.t->net->maps.kmn_findings), on_record, &seen, NULL);
	assert_non_null(ring);
	assert_int_equal(pthread_create(&thread, NULL, spoof, &fl), 0);
	while (!fl.done || number < FINDINGS) {
		if (number < FINDINGS)
			send_finding(other, number++);
		(void)nanosleep(&ms, NULL);
		if (number % DRAIN_EVERY == 0)
			assert_true(ring_buffer__consume(ring) >= 0);
	}
	pthread_join(thread, NULL);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(seen.next, FINDINGS);
	assert_int_equal(seen.lost, 0);
	assert_true(seen.denials > 0); /* the flood did reach the ring */
	assert_int_equal(t_count(fl.t, KMN_C_OFFERED), t_count(fl.t, KMN_C_SENT) +
							       t_count(fl.t, KMN_C_DROPPED) +
							       t_count(fl.t, KMN_C_THROTTLED));
	assert_int_equal(t_count(fl.t, KMN_C_SENT), seen.denials + FINDINGS);
	assert_true(t_count(fl.t, KMN_C_THROTTLED) > fl.packets / 100);
	assert_int_equal(t_folded(fl.t, NULL, NULL), fl.packets); /* those told of by records too */
	ring_buffer__free(ring);
	flood_bpf__destroy(other);
	t_net_close(fl.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_spoofed_packets_lose_no_finding_of_another_part),
	};

	t_need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
