#include "harness/packets.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include "tests/net/push.skel.h"

static struct t_net *t;
static struct t_frame f;

static int setup(void **state)
{
	(void)state;
	t_bind_cpu(0);
	t = t_net_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t_net_close(t);
	return 0;
}

static struct net_pkt parsed(void)
{
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	return t_pkt(t);
}

static void want_addr(const __u32 got[4], const char *text)
{
	uint8_t want[16] = { [10] = 0xff, [11] = 0xff };

	if (strchr(text, ':'))
		assert_int_equal(inet_pton(AF_INET6, text, want), 1);
	else
		assert_int_equal(inet_pton(AF_INET, text, want + 12), 1);
	assert_memory_equal(got, want, 16);
}

static void ipv4_tcp_is_read_whole(void **state)
{
	struct net_pkt p;

	(void)state;
	t_packet(&f, "192.0.2.1", "198.51.100.9", IPPROTO_TCP, 41812, 443);
	p = parsed();
	want_addr(p.key.saddr_be, "192.0.2.1");
	want_addr(p.key.daddr_be, "198.51.100.9");
	assert_int_equal(p.key.ip_version, 4);
	assert_int_equal(p.key.proto, IPPROTO_TCP);
	assert_int_equal(ntohs(p.key.sport_be), 41812);
	assert_int_equal(ntohs(p.key.dport_be), 443);
	assert_int_equal(p.tcp_flags, 2);
	assert_int_equal(p.l3_off, 14);
	assert_int_equal(p.l4_off, 34);
	assert_int_equal(p.payload_off, 54);
	assert_int_equal(p.len_bytes, f.len);
	assert_int_equal(ntohs(p.ethertype_be), 0x0800);
	assert_int_equal(p.flags, 0);
	assert_int_equal(p.direction, NET_INCOMING);
}

static void egress_is_outgoing_and_a_pods_veth_turns_it_round(void **state)
{
	struct net_if pod = { .zone = 7, .flags = NET_IF_POD };
	__u32 lo = 1;

	(void)state;
	t_packet(&f, "192.0.2.1", "198.51.100.9", IPPROTO_UDP, 1, 2);
	assert_int_equal(t_out(t, &f), TC_ACT_UNSPEC);
	assert_int_equal(t_pkt(t).direction, NET_OUTGOING);
	assert_int_equal(t_pkt(t).key.zone, 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(t->net->maps.net_ifs), &lo, &pod, 0), 0);
	assert_int_equal(t_out(t, &f), TC_ACT_UNSPEC);
	assert_int_equal(t_pkt(t).direction, NET_INCOMING);
	assert_int_equal(t_pkt(t).key.zone, 7);
	assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	assert_int_equal(t_pkt(t).direction, NET_OUTGOING);
}

static void options_of_ipv4_move_the_ports(void **state)
{
	struct net_pkt p;

	(void)state;
	for (unsigned options = 4; options <= 40; options += 4) {
		t_eth(&f, 0x0800);
		t_ip4_full(&f, "192.0.2.1", "192.0.2.2", IPPROTO_UDP, options, 0, 0);
		t_udp(&f, 1000, 53);
		p = parsed();
		assert_int_equal(ntohs(p.key.sport_be), 1000);
		assert_int_equal(ntohs(p.key.dport_be), 53);
		assert_int_equal(p.l4_off, 34 + options);
		assert_int_equal(p.payload_off, 42 + options);
	}
}

static void protocols_with_ports_have_them_and_others_none(void **state)
{
	static const uint8_t with[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, 33, 136 };
	struct net_pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(with); i++) {
		t_packet(&f, "192.0.2.1", "192.0.2.2", with[i], 7, 9);
		p = parsed();
		assert_int_equal(ntohs(p.key.sport_be), 7);
		assert_int_equal(ntohs(p.key.dport_be), 9);
	}
	t_packet(&f, "192.0.2.1", "192.0.2.2", IPPROTO_GRE, 7, 9);
	p = parsed();
	assert_int_equal(p.key.sport_be, 0);
	assert_int_equal(p.key.dport_be, 0);
	assert_int_equal(p.flags, 0);
	t_eth(&f, 0x0800);
	t_ip4(&f, "192.0.2.1", "192.0.2.2", IPPROTO_ICMP);
	t_icmp(&f, 3, 4);
	p = parsed();
	assert_int_equal(p.icmp_type, 3);
	assert_int_equal(p.icmp_code, 4);
}

static void fragments_are_marked_and_only_the_first_has_ports(void **state)
{
	struct net_pkt p;

	(void)state;
	t_eth(&f, 0x0800);
	t_ip4_full(&f, "192.0.2.1", "192.0.2.2", IPPROTO_UDP, 0, 0, 1);
	t_udp(&f, 5, 6);
	p = parsed();
	assert_int_equal(p.flags, NET_PKT_FRAGMENT);
	assert_int_equal(ntohs(p.key.dport_be), 6);
	t_eth(&f, 0x0800);
	t_ip4_full(&f, "192.0.2.1", "192.0.2.2", IPPROTO_UDP, 0, 1480, 0);
	t_udp(&f, 5, 6);
	p = parsed();
	assert_int_equal(p.flags, NET_PKT_FRAGMENT | NET_PKT_LATER);
	assert_int_equal(p.key.sport_be, 0);
	assert_int_equal(p.key.dport_be, 0);
	assert_int_equal(p.key.proto, IPPROTO_UDP);
	t_eth(&f, 0x86dd);
	t_ip6(&f, "2001:db8::1", "2001:db8::2", IPPROTO_FRAGMENT);
	t_fragment6(&f, IPPROTO_TCP, 0, 1);
	t_tcp(&f, 5, 6, 2);
	p = parsed();
	assert_int_equal(p.flags, NET_PKT_FRAGMENT);
	assert_int_equal(ntohs(p.key.dport_be), 6);
	t_eth(&f, 0x86dd);
	t_ip6(&f, "2001:db8::1", "2001:db8::2", IPPROTO_FRAGMENT);
	t_fragment6(&f, IPPROTO_TCP, 1448, 0);
	t_tcp(&f, 5, 6, 2);
	p = parsed();
	assert_int_equal(p.flags, NET_PKT_FRAGMENT | NET_PKT_LATER);
	assert_int_equal(p.key.dport_be, 0);
	assert_int_equal(p.key.proto, IPPROTO_TCP);
}

static void an_atomic_fragment_is_a_whole_packet(void **state)
{
	struct net_pkt p;

	(void)state;
	t_eth(&f, 0x86dd);
	t_ip6(&f, "2001:db8::1", "2001:db8::2", IPPROTO_FRAGMENT);
	t_fragment6(&f, IPPROTO_TCP, 0, 0);
	t_tcp(&f, 5, 6, 2);
	p = parsed();
	assert_int_equal(p.flags, 0);
	assert_int_equal(ntohs(p.key.dport_be), 6);
}

static void extension_headers_are_walked(void **state)
{
	struct net_pkt p;

	(void)state;
	t_eth(&f, 0x86dd);
	t_ip6(&f, "2001:db8::1", "2001:db8::2", IPPROTO_HOPOPTS);
	t_ext(&f, IPPROTO_HOPOPTS, IPPROTO_ROUTING, 8);
	t_ext(&f, IPPROTO_ROUTING, IPPROTO_DSTOPTS, 24);
	t_ext(&f, IPPROTO_DSTOPTS, IPPROTO_AH, 16);
	t_ext(&f, IPPROTO_AH, IPPROTO_UDP, 24);
	t_udp(&f, 546, 547);
	p = parsed();
	assert_int_equal(p.key.ip_version, 6);
	want_addr(p.key.saddr_be, "2001:db8::1");
	want_addr(p.key.daddr_be, "2001:db8::2");
	assert_int_equal(p.key.proto, IPPROTO_UDP);
	assert_int_equal(ntohs(p.key.sport_be), 546);
	assert_int_equal(ntohs(p.key.dport_be), 547);
	assert_int_equal(p.l4_off, 14 + 40 + 8 + 24 + 16 + 24);
	assert_int_equal(p.flags, 0);
}

static void a_chain_at_the_bound_is_read_and_one_beyond_is_marked(void **state)
{
	struct net_pkt p;

	(void)state;
	for (unsigned n = NET_EXT_MAX; n <= NET_EXT_MAX + 1; n++) {
		t_eth(&f, 0x86dd);
		t_ip6(&f, "2001:db8::1", "2001:db8::2", IPPROTO_DSTOPTS);
		for (unsigned i = 0; i + 1 < n; i++)
			t_ext(&f, IPPROTO_DSTOPTS, IPPROTO_DSTOPTS, 8);
		t_ext(&f, IPPROTO_DSTOPTS, IPPROTO_TCP, 8);
		t_tcp(&f, 5, 6, 2);
		p = parsed();
		assert_int_equal(p.flags, n > NET_EXT_MAX ? NET_PKT_NO_PROTO : 0);
		assert_int_equal(ntohs(p.key.dport_be), n > NET_EXT_MAX ? 0 : 6);
	}
}

static void tags_are_looked_through(void **state)
{
	static const uint16_t kinds[] = { 0x8100, 0x88a8, 0x9100 };
	struct net_pkt p;

	(void)state;
	for (int i = 0; i < 3; i++) {
		t_eth(&f, kinds[i]);
		t_tag(&f, 100, 0x0800);
		t_ip4(&f, "192.0.2.1", "192.0.2.2", IPPROTO_UDP);
		t_udp(&f, 5, 6);
		p = parsed();
		assert_int_equal(p.n_vlans, 1);
		assert_int_equal(p.vlan[0], 100);
		assert_int_equal(ntohs(p.key.dport_be), 6);
		assert_int_equal(p.l3_off, 18);
	}
	t_eth(&f, 0x88a8);
	t_tag(&f, 4000, 0x8100);
	t_tag(&f, 42, 0x86dd);
	t_ip6(&f, "2001:db8::1", "2001:db8::2", IPPROTO_UDP);
	t_udp(&f, 5, 6);
	p = parsed();
	assert_int_equal(p.n_vlans, 2);
	assert_int_equal(p.vlan[0], 4000);
	assert_int_equal(p.vlan[1], 42);
	assert_int_equal(p.key.ip_version, 6);
	assert_int_equal(ntohs(p.key.dport_be), 6);
}

static void a_tag_in_the_metadata_is_the_outermost(void **state)
{
	struct push_bpf *push = push_bpf__open_and_load();
	struct net_pkt p;
	__u32 zero = 0;
	int fd = bpf_program__fd(t->net->progs.net_ingress);

	(void)state;
	assert_non_null(push);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(push->maps.push_next), &zero, &fd, BPF_ANY), 0);
	t_eth(&f, 0x8100);
	t_tag(&f, 100, 0x0800);
	t_ip4(&f, "192.0.2.1", "192.0.2.2", IPPROTO_UDP);
	t_udp(&f, 5, 6);
	assert_int_equal(t_run(push->progs.push_tag, &f), TC_ACT_UNSPEC);
	p = t_pkt(t);
	assert_int_equal(p.n_vlans, 2);
	assert_int_equal(p.vlan[0], 77);
	assert_int_equal(p.vlan[1], 100);
	assert_int_equal(ntohs(p.key.dport_be), 6);
	push_bpf__destroy(push);
}

/* A test run takes the first 14 bytes for an Ethernet header; on a device without one they are the
 * packet's own, chosen here so that bytes 12 and 13 say IP. */
static void devices_without_ethernet_are_read_from_the_first_byte(void **state)
{
	struct net_if l3 = { .flags = NET_IF_L3 };
	struct net_pkt p;
	__u32 lo = 1;

	(void)state;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(t->net->maps.net_ifs), &lo, &l3, 0), 0);
	f.len = 0;
	t_ip4(&f, "8.0.2.1", "192.0.2.2", IPPROTO_UDP);
	t_udp(&f, 5, 6);
	t_zero(&f, 18);
	p = parsed();
	assert_int_equal(p.l3_off, 0);
	want_addr(p.key.saddr_be, "8.0.2.1");
	assert_int_equal(ntohs(p.key.dport_be), 6);
	f.len = 0;
	t_ip6(&f, "2001:db8:86dd::1", "2001:db8::2", IPPROTO_TCP);
	t_tcp(&f, 5, 6, 2);
	p = parsed();
	assert_int_equal(p.key.ip_version, 6);
	assert_int_equal(ntohs(p.key.dport_be), 6);
}

static void other_frames_pass_and_are_no_ip(void **state)
{
	struct net_pkt p;
	uint64_t before = t_count(t, NET_C_UNPARSED);

	(void)state;
	t_eth(&f, 0x0806);
	t_zero(&f, 46);
	p = parsed();
	assert_int_equal(p.key.ip_version, 0);
	assert_int_equal(ntohs(p.ethertype_be), 0x0806);
	t_eth(&f, 0x8100); /* more tags than are looked through */
	for (int i = 0; i < NET_VLANS_MAX; i++)
		t_tag(&f, 1, 0x8100);
	t_tag(&f, 1, 0x0800);
	t_ip4(&f, "192.0.2.1", "192.0.2.2", IPPROTO_UDP);
	t_udp(&f, 5, 6);
	p = parsed();
	assert_int_equal(p.key.ip_version, 0);
	assert_int_equal(t_count(t, NET_C_UNPARSED), before);
}

/* Every cut of every frame: what is missing is said, nothing is read behind the end. Below a tag,
 * because the newest kernels refuse to test-run an IP frame without its whole header. */
static void cut_frames_are_unreadable_or_marked(void **state)
{
	struct t_frame whole;
	struct net_pkt p;

	(void)state;
	t->state->fail = NET_DROP;
	t_eth(&whole, 0x8100);
	t_tag(&whole, 1, 0x0800);
	t_ip4(&whole, "192.0.2.1", "192.0.2.2", IPPROTO_TCP);
	t_tcp(&whole, 5, 6, 2);
	for (f = whole, f.len = 14; f.len < whole.len; f.len++) {
		uint64_t before = t_count(t, NET_C_UNPARSED);
		int verdict = t_in(t, &f);

		if (f.len < 38) {
			assert_int_equal(verdict, TC_ACT_SHOT);
			assert_int_equal(t_count(t, NET_C_UNPARSED), before + 1);
			continue;
		}
		assert_int_equal(verdict, TC_ACT_UNSPEC);
		p = t_pkt(t);
		assert_int_equal(p.flags, f.len < 42 ? NET_PKT_NO_PORTS : 0);
		assert_int_equal(ntohs(p.key.dport_be), f.len < 42 ? 0 : 6);
	}
	t_eth(&whole, 0x8100);
	t_tag(&whole, 1, 0x86dd);
	t_ip6(&whole, "2001:db8::1", "2001:db8::2", IPPROTO_DSTOPTS);
	t_ext(&whole, IPPROTO_DSTOPTS, IPPROTO_UDP, 16);
	t_udp(&whole, 5, 6);
	for (f = whole, f.len = 58; f.len < whole.len; f.len++) {
		assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
		p = t_pkt(t);
		assert_int_equal(p.flags, f.len < 66   ? NET_PKT_NO_PROTO
					  : f.len < 78 ? NET_PKT_NO_PORTS
						       : 0);
	}
}

static void a_version_that_contradicts_the_frame_is_unreadable(void **state)
{
	uint64_t before = t_count(t, NET_C_UNPARSED);

	(void)state;
	t_packet(&f, "192.0.2.1", "192.0.2.2", IPPROTO_UDP, 5, 6);
	f.data[14] = 0x65;
	(void)t_in(t, &f);
	f.data[14] = 0x44; /* a header of 16 bytes */
	(void)t_in(t, &f);
	t_packet(&f, "2001:db8::1", "2001:db8::2", IPPROTO_UDP, 5, 6);
	f.data[14] = 0x45;
	(void)t_in(t, &f);
	assert_int_equal(t_count(t, NET_C_UNPARSED), before + 3);
}

static void random_bytes_do_no_harm(void **state)
{
	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		f.len = 14 + (size_t)rand() % 200;
		for (size_t b = 0; b < f.len; b++)
			f.data[b] = (uint8_t)rand();
		f.data[12] = 0x81;
		f.data[13] = 0x00;
		f.data[16] = i & 1 ? 0x08 : 0x86;
		f.data[17] = i & 1 ? 0x00 : 0xdd;
		f.data[18] = (uint8_t)((i & 1 ? 0x40 : 0x60) | (f.data[18] & 15));
		if (i % 3 == 0)
			f.data[24] = (uint8_t)("\x00\x2b\x2c\x33\x3c"[rand() % 5]);
		assert_int_equal(t_in(t, &f), TC_ACT_UNSPEC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(ipv4_tcp_is_read_whole),
		TEST(egress_is_outgoing_and_a_pods_veth_turns_it_round),
		TEST(options_of_ipv4_move_the_ports),
		TEST(protocols_with_ports_have_them_and_others_none),
		TEST(fragments_are_marked_and_only_the_first_has_ports),
		TEST(an_atomic_fragment_is_a_whole_packet),
		TEST(extension_headers_are_walked),
		TEST(a_chain_at_the_bound_is_read_and_one_beyond_is_marked),
		TEST(tags_are_looked_through),
		TEST(a_tag_in_the_metadata_is_the_outermost),
		TEST(devices_without_ethernet_are_read_from_the_first_byte),
		TEST(other_frames_pass_and_are_no_ip),
		TEST(cut_frames_are_unreadable_or_marked),
		TEST(a_version_that_contradicts_the_frame_is_unreadable),
		TEST(random_bytes_do_no_harm),
	};

	t_need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
