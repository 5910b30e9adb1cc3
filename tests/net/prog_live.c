/* Packets that no test run can make: real ones on loopback of a network namespace of its own, whose
 * bytes lie in pages beside the skb (down to the first 14), or are many segments in one. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "harness/rules.h"

static struct t_net *t;

static int attach(bool egress)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = 1,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1,
		    .prog_fd = bpf_program__fd(egress ? t->net->progs.net_egress
						      : t->net->progs.net_ingress));

	(void)bpf_tc_hook_create(&hook); /* there from the other direction */
	hook.attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
	return bpf_tc_attach(&hook, &opts);
}

static int setup(void **state)
{
	(void)state;
	t_own_netns();
	t = t_net_open();
	assert_int_equal(attach(false), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t_net_close(t);
	return 0;
}

static void deny_port(enum kmn_mode mode, uint8_t proto, uint16_t port, uint64_t gen)
{
	struct fw_range range = { port, port };
	struct fw_spec s = { .id = 1,
			     .action = FW_DENY,
			     .mode = (uint8_t)mode,
			     .directions = FW_IN,
			     .proto_given = true,
			     .proto = { 1ULL << proto },
			     .destination_port = { true, &range, 1, 1 } };

	t_stage(t, &s, 1, gen);
	t_commit(t, gen);
	t_grace();
}

static struct sockaddr_in at(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static bool datagram_arrives(size_t size, uint16_t port)
{
	struct sockaddr_in a = at(port);
	int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = { .fd = in, .events = POLLIN };
	char *data = calloc(1, size);
	bool got;

	assert_true(in >= 0 && out >= 0 && data);
	assert_int_equal(bind(in, (void *)&a, sizeof(a)), 0);
	assert_int_equal(sendto(out, data, size, 0, (void *)&a, sizeof(a)), (ssize_t)size);
	got = poll(&p, 1, getenv("KOMAINU_VM") ? 2000 : 400) == 1;
	free(data);
	close(in);
	close(out);
	return got;
}

static void a_large_datagram_is_judged_by_its_port(void **state)
{
	(void)state;
	assert_true(datagram_arrives(60000, 5300));
	deny_port(KMN_PREVENT, IPPROTO_UDP, 5300, 1);
	assert_false(datagram_arrives(60000, 5300));
	assert_false(datagram_arrives(1, 5300));
	assert_true(datagram_arrives(60000, 5301));
	assert_int_equal(t_folded(t, NULL, NULL), 2);
}

struct flags {
	uint32_t seen, largest;
};

static void on_fold(void *arg, const struct net_fold_key *key, const struct net_fold *fold,
		    uint64_t packets)
{
	struct flags *f = arg;

	(void)key;
	(void)packets;
	f->seen |= fold->first.flags;
	if (fold->bytes / fold->packets > f->largest)
		f->largest = (uint32_t)(fold->bytes / fold->packets);
}

/* On loopback TCP goes in skbs of up to 64 KiB that count as many segments. */
static void segments_in_one_are_judged_once_and_by_their_port(void **state)
{
	struct sockaddr_in a = at(5302);
	int listener = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0), in;
	static char data[500000];
	struct flags f = { 0, 0 };
	int mss = 1000;
	ssize_t sent;

	(void)state;
	deny_port(KMN_DETECT, IPPROTO_TCP, 5302, 1);
	assert_int_equal(setsockopt(out, IPPROTO_TCP, 2 /* TCP_MAXSEG */, &mss, sizeof(mss)), 0);
	assert_int_equal(bind(listener, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(out, (void *)&a, sizeof(a)), 0);
	in = accept(listener, NULL, NULL);
	assert_true(in >= 0);
	sent = send(out, data, sizeof(data), MSG_DONTWAIT);
	assert_true(sent > 20000);
	for (ssize_t got = 0; got < sent;) {
		ssize_t n = recv(in, data, sizeof(data), 0);

		assert_true(n > 0); /* detect: nothing is missing */
		got += n;
	}
	assert_true(t_folded(t, on_fold, &f) >= 3);
	assert_true(f.largest > 1500);
	close(in);
	close(out);
	close(listener);
}

/* All but the Ethernet header lies in pages: a program that looked at the linear part alone would
 * see no IP header. */
static void headers_outside_of_the_linear_part_are_read(void **state)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = 1,
				  .sll_halen = ETH_ALEN };
	struct {
		struct virtio_net_hdr vnet;
		uint8_t frame[6000]; /* above a page the kernel splits where hdr_len says */
	} __attribute__((packed)) m;
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;
	struct t_frame f;

	(void)state;
	memset(&m, 0, sizeof(m));
	m.vnet.hdr_len = ETH_HLEN;
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	deny_port(KMN_PREVENT, IPPROTO_UDP, 5303, 1);
	t_packet(&f, "127.0.0.1", "127.0.0.1", IPPROTO_UDP, 1, 5303);
	memcpy(m.frame, f.data, f.len);
	for (int i = 0; i < 10; i++)
		assert_int_equal(sendto(fd, &m, sizeof(m), 0, (void *)&to, sizeof(to)), sizeof(m));
	m.frame[36] ^= 1; /* another port */
	for (int i = 0; i < 10; i++)
		assert_int_equal(sendto(fd, &m, sizeof(m), 0, (void *)&to, sizeof(to)), sizeof(m));
	usleep(100000);
	assert_int_equal(t_folded(t, NULL, NULL), 10);
	close(fd);
}

/* A canary goes out by egress, comes round, and ends at ingress; nobody else sees it. */
static void a_canary_comes_round_and_ends(void **state)
{
	struct net_canary_key out = { .ifindex = 1, .egress = 1 }, in = { .ifindex = 1 };
	struct net_canary c = { .nonce = 77 }, seen;
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(NET_CANARY_ETHERTYPE),
				  .sll_ifindex = 1,
				  .sll_halen = ETH_ALEN };
	struct net_canary_frame frame = { NET_CANARY_MAGIC, 77 };
	int map = bpf_map__fd(t->net->maps.net_canaries), fd = socket(AF_PACKET, SOCK_RAW, 0);
	uint64_t judged;
	struct t_frame f;

	(void)state;
	assert_int_equal(attach(true), 0);
	t_commit(t, 5);
	assert_int_equal(bpf_map_update_elem(map, &out, &c, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map, &in, &c, BPF_ANY), 0);
	judged = t_count(t, NET_C_JUDGED);
	t_eth(&f, NET_CANARY_ETHERTYPE);
	memset(f.data, 0, 12);
	t_put(&f, &frame, sizeof(frame));
	t_zero(&f, 30);
	assert_int_equal(sendto(fd, f.data, f.len, 0, (void *)&to, sizeof(to)), (ssize_t)f.len);
	usleep(100000);
	assert_int_equal(bpf_map_lookup_elem(map, &out, &seen), 0);
	assert_true(seen.seen_ns && seen.gen == 5 && seen.count == 1);
	assert_int_equal(bpf_map_lookup_elem(map, &in, &seen), 0);
	assert_true(seen.seen_ns && seen.gen == 5 && seen.count == 1);
	assert_int_equal(t_count(t, NET_C_JUDGED), judged);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_large_datagram_is_judged_by_its_port),
		TEST(segments_in_one_are_judged_once_and_by_their_port),
		TEST(headers_outside_of_the_linear_part_are_read),
		TEST(a_canary_comes_round_and_ends),
	};

	t_need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
