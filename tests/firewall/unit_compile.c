#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "modules/firewall/firewall.h"
#include "policy/transaction.h"
#include "services/net/net.h"

static char folder[64];
static struct worker_pool *workers;
static const struct kmn_module *const modules[] = { &firewall_module, NULL };

struct made {
	struct policy_diag *d;
	struct policy *p;
	struct fw_plan *plan; /* NULL: there are errors */
	char said[8192];
};

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

/* The module's part of a policy, in mode prevent unless it says otherwise. */
static struct made make_text(const char *text)
{
	struct made m = { .d = policy_diag_new() };
	struct buf said = { 0 };
	char path[128];
	const char *file = path;
	void *plan = NULL;

	write_file("p.yaml", text);
	(void)snprintf(path, sizeof(path), "%s/p.yaml", folder);
	m.p = policy_load(&file, 1, modules, m.d);
	if (m.p && fw_compile(m.p, workers, m.d, &plan) == 0)
		m.plan = plan;
	policy_diag_text(m.d, false, &said);
	(void)snprintf(m.said, sizeof(m.said), "%s", buf_text(&said));
	buf_free(&said);
	return m;
}

static struct made make_rules(const char *rules)
{
	char text[8192];

	(void)snprintf(text, sizeof(text),
		       "version: 1\nname: t\nmode: prevent\nmodules:\n  firewall:\n    rules:\n%s",
		       rules);
	return make_text(text);
}

static void end(struct made *m)
{
	if (m->plan)
		fw_plan_free(m->plan);
	policy_free(m->p);
	policy_diag_free(m->d);
}

static void must_compile(const struct made *m)
{
	if (!m->plan)
		print_message("%s\n", m->said);
	assert_non_null(m->plan);
	assert_int_equal(policy_errors(m->d), 0);
}

static void every_key_is_read(void **state)
{
	struct made m = make_rules(
		"      - {name: a, action: deny, priority: 3, direction: outgoing,\n"
		"         protocol: [tcp, 17, sctp], source: 10.0.0.0/8,\n"
		"         destination: [\"2001:db8::/32\", 192.0.2.7], source_port: 1024-65535,\n"
		"         destination_port: [80, 443, 8000-8080], interfaces: [eth0, \"wl*\"],\n"
		"         mode: detect}\n"
		"      - {name: b, action: allow, priority: 4}\n");
	struct fw_spec *s;

	(void)state;
	must_compile(&m);
	assert_int_equal(m.plan->n_specs, 2);
	s = &m.plan->specs[0];
	assert_int_equal(s->id, 1);
	assert_string_equal(s->name, "a");
	assert_int_equal(s->action, FW_DENY);
	assert_int_equal(s->priority, 3);
	assert_int_equal(s->directions, FW_OUT);
	assert_int_equal(s->mode, KMN_DETECT);
	assert_true(fw_has_proto(s, 6) && fw_has_proto(s, 17) && fw_has_proto(s, 132));
	assert_false(fw_has_proto(s, 1));
	assert_int_equal(s->source.n, 1);
	assert_int_equal(s->source.cidr[0].bits, 104);
	assert_int_equal(s->destination.n, 2);
	assert_int_equal(s->source_port.range[0].from, 1024);
	assert_int_equal(s->source_port.range[0].to, 65535);
	assert_int_equal(s->destination_port.n, 3);
	assert_int_equal(s->destination_port.range[2].to, 8080);
	assert_int_equal(s->n_interfaces, 2);
	s = &m.plan->specs[1];
	assert_int_equal(s->action, FW_ALLOW);
	assert_int_equal(s->directions, FW_IN | FW_OUT);
	assert_false(s->proto_given || s->source.given || s->destination_port.given);
	assert_int_equal(m.plan->t.rules[0].id, 2); /* priority 4 is asked first */
	assert_int_equal(m.plan->n_interfaces, 1);
	assert_string_equal(m.plan->interfaces[0], "*");
	end(&m);
}

static void ports_without_a_protocol_mean_those_that_have_ports(void **state)
{
	struct made m = make_rules("      - {name: a, action: deny, destination_port: 53}\n");

	(void)state;
	must_compile(&m);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(fw_has_proto(&m.plan->specs[0], i), fw_proto_has_ports(i));
	end(&m);
}

static void the_lowest_mode_is_in_force(void **state)
{
	static const char *const words[] = { "off", "detect", "prevent" };

	(void)state;
	for (int policy = 0; policy < 3; policy++)
		for (int module = 0; module < 3; module++)
			for (int rule = 0; rule < 3; rule++) {
				int low = policy < module ? policy : module;
				char text[512];
				struct made m;

				(void)snprintf(text, sizeof(text),
					       "version: 1\nname: t\nmode: \"%s\"\nmodules:\n"
					       "  firewall:\n    mode: \"%s\"\n    rules:\n"
					       "      - {name: a, action: deny, mode: \"%s\"}\n",
					       words[policy], words[module], words[rule]);
				m = make_text(text);
				must_compile(&m);
				low = low < rule ? low : rule;
				assert_int_equal(m.plan->specs[0].mode, low);
				assert_int_equal(m.plan->t.head.n_rules, low != KMN_OFF);
				assert_int_equal(m.plan->n_interfaces, policy && module ? 1 : 0);
				end(&m);
			}
}

static void what_is_wrong_is_said_where_it_stands(void **state)
{
	static const struct {
		const char *rule, *at, *what;
	} bad[] = {
		{ "source: 10.0.0.1/8", ":7:45:", "did you mean `10.0.0.0/8`?" },
		{ "source: 10.0.0.256", ":7:45:", "not an IPv4 or IPv6 address" },
		{ "source: 10.0.0.0/33", ":7:45:", "not 0-32" },
		{ "source: \"2001:db8::/129\"", ":7:45:", "not 0-128" },
		{ "source: [10.0.0.0/8, x]", ":7:58:", "not an IPv4 or IPv6 address" },
		{ "source: 10.0.0.9-10.0.0.1", ":7:45:", "runs backwards" },
		{ "source: \"10.0.0.9-::1\"", ":7:45:", "one address family to the other" },
		{ "source: {not: 10.0.0.0/8}", ":7:45:", "not supported" },
		{ "source: {list: nowhere.txt}", ":7:52:", "No such file" },
		{ "source: any", ":7:45:", "remove the key" },
		{ "protocol: tpc", ":7:47:", "did you mean `tcp`?" },
		{ "protocol: 256", ":7:47:", "not an IP protocol" },
		{ "destination_port: 65536", ":7:55:", "not a port number" },
		{ "destination_port: 90-80", ":7:55:", "runs backwards" },
		{ "destination_port: http", ":7:55:", "for example: 443" },
		{ "destination_port: {list: f}", ":7:55:", "a list file cannot stand here" },
		{ "protocol: [tcp, icmp], destination_port: 1", ":7:78:", "icmp, which has none" },
		{ "priority: 5", ":7:47:", "4" },
		{ "direction: in", ":7:48:", "incoming" },
		{ "sorce: 10.0.0.0/8", ":7:37:", "did you mean `source`?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char text[256];
		struct made m;

		(void)snprintf(text, sizeof(text), "      - {name: alpha, action: deny, %s}\n",
			       bad[i].rule);
		m = make_rules(text);
		if (m.plan || !strstr(m.said, bad[i].at) || !strstr(m.said, bad[i].what))
			print_message("%s: wanted %s %s, got:\n%s\n", bad[i].rule, bad[i].at,
				      bad[i].what, m.said);
		assert_null(m.plan);
		assert_non_null(strstr(m.said, bad[i].at));
		assert_non_null(strstr(m.said, bad[i].what));
		assert_int_equal(policy_errors(m.d), 1);
		end(&m);
	}
}

static void all_errors_come_at_once(void **state)
{
	struct made m = make_rules("      - {name: a, action: deny, source: x}\n"
				   "      - {name: b, action: deny, destination_port: y}\n"
				   "      - {name: c, action: deny, protocol: [z, tcp, w]}\n");

	(void)state;
	assert_null(m.plan);
	assert_int_equal(policy_errors(m.d), 4);
	end(&m);
}

static void two_rules_cannot_share_a_name(void **state)
{
	struct made m = make_rules("      - {name: a, action: deny}\n"
				   "      - {name: b, action: deny}\n"
				   "      - {name: a, action: deny}\n");

	(void)state;
	assert_null(m.plan);
	assert_int_equal(policy_errors(m.d), 1);
	assert_non_null(strstr(m.said, ":9:16:"));
	assert_non_null(strstr(m.said, "the first is in line 7"));
	end(&m);
}

static void an_allow_that_exempts_from_nothing_is_told(void **state)
{
	struct made m = make_rules("      - {name: a, action: allow, priority: 1}\n"
				   "      - {name: b, action: deny, priority: 1}\n");

	(void)state;
	must_compile(&m);
	assert_non_null(strstr(m.said, "has no effect"));
	end(&m);
	m = make_rules("      - {name: a, action: allow, priority: 2}\n"
		       "      - {name: b, action: deny, priority: 1}\n");
	must_compile(&m);
	assert_null(strstr(m.said, "has no effect"));
	end(&m);
}

static uint32_t low32(const struct net_cidr *c)
{
	return (uint32_t)c->addr[12] << 24 | (uint32_t)c->addr[13] << 16 |
	       (uint32_t)c->addr[14] << 8 | c->addr[15];
}

/* The prefixes of a range lie one behind the other, from its first address to its last. */
static void a_range_becomes_its_prefixes(void **state)
{
	static const uint32_t ends[][2] = {
		{ 0x0a000001, 0x0a000009 }, { 0, 0xffffffff },
		{ 0x0a000000, 0x0affffff }, { 5, 5 },
		{ 1, 0xfffffffe },	    { 0xc0000280, 0xc00002ff }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		uint32_t a = ends[i][0], b = ends[i][1];
		uint64_t next = a;
		char text[256];
		struct made m;

		(void)snprintf(text, sizeof(text),
			       "      - {name: a, action: deny, source: %u.%u.%u.%u-%u.%u.%u.%u}\n",
			       a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, b >> 24,
			       b >> 16 & 255, b >> 8 & 255, b & 255);
		m = make_rules(text);
		must_compile(&m);
		for (uint32_t k = 0; k < m.plan->specs[0].source.n; k++) {
			const struct net_cidr *c = &m.plan->specs[0].source.cidr[k];

			assert_true(net_cidr_is_v4(c) && net_cidr_is_clean(c));
			assert_int_equal(low32(c), next);
			next += 1ULL << (128 - c->bits);
		}
		assert_int_equal(next, (uint64_t)b + 1);
		assert_true(m.plan->specs[0].source.n <= 62);
		end(&m);
	}
}

static void a_list_file_is_read_by_a_worker(void **state)
{
	struct made m;

	(void)state;
	write_file("drop.txt", "# names\n192.0.2.0/24 ; SBL1\n\n  2001:db8::1\n192.0.2.0/24\n");
	m = make_rules(
		"      - {name: a, action: deny, source: {list: drop.txt}}\n"
		"      - {name: b, action: deny, destination: [{list: drop.txt}, 10.0.0.1]}\n");
	must_compile(&m);
	assert_int_equal(m.plan->specs[0].source.n, 2);
	assert_int_equal(m.plan->specs[1].destination.n, 3);
	end(&m);
	write_file("drop.txt", "192.0.2.0/24\n<html>\n");
	m = make_rules("      - {name: a, action: deny, source: {list: drop.txt}}\n");
	assert_null(m.plan);
	assert_non_null(strstr(m.said, "drop.txt:2:1: \"<html>\" is not an IPv4 or IPv6 address"));
	end(&m);
}

static void an_empty_list_matches_nobody(void **state)
{
	struct made m;

	(void)state;
	write_file("drop.txt", "# nobody today\n");
	m = make_rules("      - {name: a, action: deny, source: {list: drop.txt}}\n");
	must_compile(&m);
	assert_true(m.plan->specs[0].source.given);
	assert_int_equal(m.plan->specs[0].source.n, 0);
	end(&m);
}

static void more_rules_than_the_classifier_takes_are_refused(void **state)
{
	struct fw_spec *specs = calloc(FW_RULES_MAX + 1, sizeof(*specs));
	struct fw_tables t;
	const char *why = "";

	(void)state;
	for (uint32_t i = 0; i <= FW_RULES_MAX; i++)
		specs[i] =
			(struct fw_spec){ .id = i + 1, .mode = KMN_PREVENT, .directions = FW_IN };
	assert_int_equal(fw_tables_build(&t, specs, FW_RULES_MAX + 1, &why), -E2BIG);
	assert_non_null(strstr(why, "1024"));
	specs[7].mode = KMN_OFF; /* what is off takes no place */
	assert_int_equal(fw_tables_build(&t, specs, FW_RULES_MAX + 1, &why), 0);
	assert_int_equal(t.head.n_rules, FW_RULES_MAX);
	fw_tables_free(&t);
	free(specs);
}

static void explain_lists_the_rules_in_the_order_they_are_asked(void **state)
{
	struct made m = make_rules("      - {name: low, action: deny}\n"
				   "      - {name: exempt, action: allow, priority: 2}\n"
				   "      - {name: high, action: deny, priority: 2}\n"
				   "      - {name: gone, action: deny, mode: \"off\"}\n");
	struct buf out = { 0 };
	struct json j = json_on(&out);
	const char *high, *exempt, *low, *gone;

	(void)state;
	must_compile(&m);
	json_object(&j, NULL);
	fw_explain(m.p, m.plan, &j);
	json_end(&j);
	high = strstr(buf_text(&out), "\"high\"");
	exempt = strstr(buf_text(&out), "\"exempt\"");
	low = strstr(buf_text(&out), "\"low\"");
	gone = strstr(buf_text(&out), "\"gone\"");
	assert_true(high && exempt && low && gone);
	assert_true(high < exempt && exempt < low && low < gone);
	assert_non_null(strstr(buf_text(&out), "no implicit deny"));
	assert_non_null(strstr(buf_text(&out), "\"decided_by\":\"rule\""));
	buf_free(&out);
	end(&m);
}

static void a_policy_without_the_module_hangs_on_nothing(void **state)
{
	struct made m = make_text("version: 1\nname: t\nmode: prevent\n");

	(void)state;
	must_compile(&m);
	assert_int_equal(m.plan->n_interfaces, 0);
	assert_int_equal(m.plan->t.head.n_rules, 0);
	end(&m);
}

int main(int argc, char **argv)
{
	static const struct worker_job *const jobs[] = { &net_list_job, NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(ports_without_a_protocol_mean_those_that_have_ports),
		cmocka_unit_test(the_lowest_mode_is_in_force),
		cmocka_unit_test(what_is_wrong_is_said_where_it_stands),
		cmocka_unit_test(all_errors_come_at_once),
		cmocka_unit_test(two_rules_cannot_share_a_name),
		cmocka_unit_test(an_allow_that_exempts_from_nothing_is_told),
		cmocka_unit_test(a_range_becomes_its_prefixes),
		cmocka_unit_test(a_list_file_is_read_by_a_worker),
		cmocka_unit_test(an_empty_list_matches_nobody),
		cmocka_unit_test(more_rules_than_the_classifier_takes_are_refused),
		cmocka_unit_test(explain_lists_the_rules_in_the_order_they_are_asked),
		cmocka_unit_test(a_policy_without_the_module_hangs_on_nothing),
	};
	const char *tmp = getenv("TMPDIR");
	char path[128];
	int r;

	if (argc && !strcmp(argv[0], WORKER_ARGV0))
		worker_main(jobs);
	(void)snprintf(folder, sizeof(folder), "%.40s/fwXXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder))
		return 1;
	workers = worker_pool_new(NULL, jobs, 1);
	r = workers ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
	if (workers)
		worker_pool_free(workers);
	(void)snprintf(path, sizeof(path), "%s/p.yaml", folder);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/drop.txt", folder);
	(void)unlink(path);
	(void)rmdir(folder);
	return r;
}
