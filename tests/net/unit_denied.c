#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "event/ocsf.h"
#include "services/net/denied.h"
#include "services/net/names.h"

static const struct kmn_event_kind kinds[] = { NET_DENIED_KIND, { .kind = 0 } };

static struct net_denied make(void)
{
	struct net_denied d = {
		.head = { .size = sizeof(d), .part = KMN_MOD_firewall, .kind = KMN_EV_DENIED },
		.fold = { .gen = 3,
			  .rule_id = 2,
			  .reason = KMN_REASON(KMN_MOD_firewall, 1),
			  .mode = KMN_DETECT,
			  .direction = NET_OUTGOING },
		.first = { .len_bytes = 74,
			   .ethertype_be = htons(0x0800),
			   .tcp_flags = 2,
			   .who = { .pid = 1234, .via = NET_VIA_OWNER } },
	};

	d.first.key.ip_version = 4;
	d.first.key.proto = 6;
	d.first.key.saddr_be[2] = d.first.key.daddr_be[2] = htonl(0xffff);
	d.first.key.saddr_be[3] = htonl(0x0a000005);
	d.first.key.daddr_be[3] = htonl(0x0a010009);
	d.first.key.sport_be = htons(41812);
	d.first.key.dport_be = htons(443);
	return d;
}

static void name_rules(void)
{
	static const char *const names[] = { "first", "bad-nets" };

	net_names_take(KMN_MOD_firewall, 3, net_names_new(names, 2));
}

static void text_of_event(const struct event *ev, char *out, size_t size)
{
	struct buf b = buf_fixed(out, size);

	net_denied_text(ev, &b);
	(void)buf_text(&b);
}

static void fill(struct event *ev, const struct net_denied *d, const char *interface)
{
	event_init(ev, KMN_MOD_firewall, KMN_EV_DENIED, EVENT_FINDINGS);
	net_denied_fill(ev, &d->fold, &d->first, interface);
}

static void the_line_says_what_where_which_rule_and_who(void **state)
{
	struct net_denied d = make();
	struct event ev;
	char line[512];

	(void)state;
	name_rules();
	fill(&ev, &d, "veth0");
	ev.count = 17;
	ev.who.n = 1;
	ev.who.p[0].pid = 1234;
	ev.who.p[0].exe = text_of("/usr/bin/curl");
	text_of_event(&ev, line, sizeof(line));
	assert_string_equal(line, "would deny tcp 10.0.0.5:41812 -> 10.1.0.9:443 outgoing on veth0 "
				  "rule \"bad-nets\" by curl[1234] x17");
	assert_int_equal(ev.action, EVENT_WOULD_DENY);
	assert_int_equal(ev.via, EVENT_VIA_OWNER);
	assert_int_equal(ev.pid, 1234);
	d.fold.mode = KMN_PREVENT;
	d.fold.direction = NET_INCOMING;
	d.first.who.via = NET_VIA_LISTENER;
	fill(&ev, &d, "eth0");
	ev.who.n = 1;
	ev.who.p[0].pid = 80;
	ev.who.p[0].exe = text_of("/usr/sbin/nginx");
	text_of_event(&ev, line, sizeof(line));
	assert_string_equal(line, "denied tcp 10.0.0.5:41812 -> 10.1.0.9:443 incoming on eth0 rule "
				  "\"bad-nets\" for nginx[80]");
	assert_int_equal(ev.action, EVENT_DENIED);
	assert_int_equal(ev.via, EVENT_VIA_LISTENER);
	net_names_drop_all();
}

static void ipv6_and_protocols_without_ports_read_well(void **state)
{
	struct net_denied d = make();
	struct event ev;
	char line[512];

	(void)state;
	d.first.key.ip_version = 6;
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", d.first.key.saddr_be), 1);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::2", d.first.key.daddr_be), 1);
	fill(&ev, &d, "");
	text_of_event(&ev, line, sizeof(line));
	assert_string_equal(line,
			    "would deny tcp [2001:db8::1]:41812 -> [2001:db8::2]:443 outgoing "
			    "rule 2 of an earlier policy");
	d.first.key.proto = 99;
	d.first.key.sport_be = d.first.key.dport_be = 0;
	fill(&ev, &d, "");
	text_of_event(&ev, line, sizeof(line));
	assert_string_equal(line,
			    "would deny protocol 99 2001:db8::1 -> 2001:db8::2 outgoing rule 2 "
			    "of an earlier policy");
	d.fold.many = 1;
	fill(&ev, &d, "eth0");
	ev.count = 1000;
	text_of_event(&ev, line, sizeof(line));
	assert_string_equal(line, "would deny packets to many addresses outgoing rule 2 of an "
				  "earlier policy x1000");
}

static void names_from_hostile_policies_do_nothing_to_a_terminal(void **state)
{
	static const char *const names[] = { "a", "\x1b[2Jx" };
	struct net_denied d = make();
	struct event ev;
	char line[512];

	(void)state;
	net_names_take(KMN_MOD_firewall, 3, net_names_new(names, 2));
	fill(&ev, &d, "e\nth");
	text_of_event(&ev, line, sizeof(line));
	assert_null(strchr(line, 0x1b));
	assert_null(strchr(line, '\n'));
	net_names_drop_all();
}

static void ocsf_names_ends_rule_and_outcome(void **state)
{
	static struct event_kinds all;
	struct event_origin origin = { 0 };
	struct net_denied d = make();
	struct buf out = { 0 };
	struct event ev;
	const char *text;

	(void)state;
	name_rules();
	event_kinds_init(&all);
	event_kinds_add(&all, KMN_MOD_firewall, "firewall", kinds, NULL);
	fill(&ev, &d, "veth0");
	ev.count = 3;
	event_u64(&ev, EVENT_F_bytes, 222);
	assert_true(ocsf_event(&ev, &all, &origin, &out));
	text = buf_text(&out);
	assert_non_null(strstr(text, "\"class_uid\":4001"));
	assert_non_null(strstr(text, "\"type_uid\":400106"));
	assert_non_null(strstr(text, "\"src_endpoint\":{\"ip\":\"10.0.0.5\",\"port\":41812,"
				     "\"interface_name\":\"veth0\"}"));
	assert_non_null(strstr(text, "\"dst_endpoint\":{\"ip\":\"10.1.0.9\",\"port\":443}"));
	assert_non_null(strstr(text, "\"firewall_rule\":{\"uid\":\"2\",\"name\":\"bad-nets\"}"));
	assert_non_null(strstr(text, "\"protocol_name\":\"tcp\""));
	assert_non_null(strstr(text, "\"traffic\":{\"packets\":3,\"bytes\":222}"));
	assert_non_null(strstr(text, "\"action\":\"Observed\""));
	buf_free(&out);
	net_names_drop_all();
}

static void records_that_are_not_sound_are_refused(void **state)
{
	struct net_denied d = make();

	(void)state;
	assert_true(net_denied_check(&d.head));
	d.fold.direction = 2;
	assert_false(net_denied_check(&d.head));
	d = make();
	d.fold.mode = KMN_OFF;
	assert_false(net_denied_check(&d.head));
	d = make();
	d.fold.reason = KMN_REASON(KMN_MOD_firewall + 1, 1); /* of another module */
	assert_false(net_denied_check(&d.head));
	d = make();
	d.first.key.ip_version = 5;
	assert_false(net_denied_check(&d.head));
	d = make();
	d.first.who.via = 9;
	assert_false(net_denied_check(&d.head));
}

/* A denial of generation 1 is told of up to two flushes after generation 2 came. */
static void names_live_until_their_denials_are_told(void **state)
{
	static const char *const old[] = { "old" }, *const new[] = { "new" };

	(void)state;
	net_names_take(1, 1, net_names_new(old, 1));
	net_names_take(1, 2, net_names_new(new, 1));
	for (int i = 0; i < 2; i++) {
		net_names_flushed();
		assert_true(text_is(net_names_find(1, 1, 1), "old"));
		assert_true(text_is(net_names_find(1, 2, 1), "new"));
	}
	for (int i = 0; i < 3; i++)
		net_names_flushed();
	assert_null(net_names_find(1, 1, 1).p);
	assert_true(text_is(net_names_find(1, 2, 1), "new"));
	assert_null(net_names_find(1, 2, 2).p);
	assert_null(net_names_find(1, 2, 0).p);
	assert_null(net_names_find(2, 2, 1).p);
	net_names_drop_all();
	assert_int_equal(net_names_bytes(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_says_what_where_which_rule_and_who),
		cmocka_unit_test(ipv6_and_protocols_without_ports_read_well),
		cmocka_unit_test(names_from_hostile_policies_do_nothing_to_a_terminal),
		cmocka_unit_test(ocsf_names_ends_rule_and_outcome),
		cmocka_unit_test(records_that_are_not_sound_are_refused),
		cmocka_unit_test(names_live_until_their_denials_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
