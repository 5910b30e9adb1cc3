#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/utf8.h"
#include "event/live.h"
#include "event/ocsf.h"
#include "event/sample.h"
#include "event/sensor_kinds.h"
#include "event/text.h"

static void exec_text(const struct event *ev, struct buf *out)
{
	event_add_args(out, ev->who.p[0].args, 200);
}

static void denied_ocsf(const struct event *ev, struct json *j)
{
	ocsf_endpoint(j, "src_endpoint", ev, EVENT_F_src_ip, EVENT_F_src_port);
	ocsf_endpoint(j, "dst_endpoint", ev, EVENT_F_dst_ip, EVENT_F_dst_port);
}

static void plain_text(const struct event *ev, struct buf *out)
{
	(void)ev;
	buf_puts(out, "something happened");
}

#define EXEC 17
static const struct kmn_event_kind kinds_of_parts[] = {
	{ .kind = EXEC, .name = "exec", .text = exec_text, .ocsf_class = 1007, .ocsf_activity = 1 },
	{ .kind = KMN_EV_DENIED,
	  .name = "denied",
	  .text = plain_text,
	  .ocsf_class = 4001,
	  .ocsf_activity = 5,
	  .ocsf = denied_ocsf },
	{ 0 },
};
static struct event_kinds kinds;
static const struct event_origin origin = { .host_id = "11111111-2222-8333-8444-555555555555",
					    .boot_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
					    .hostname = "box",
					    .kernel = "6.1.0" };

static int setup(void **state)
{
	(void)state;
	event_kinds_init(&kinds);
	event_kinds_add(&kinds, KMN_MOD_firewall, "firewall", kinds_of_parts, NULL);
	return 0;
}

static cJSON *render(const struct event *ev, struct buf *out)
{
	cJSON *doc;

	buf_reset(out);
	assert_true(ocsf_event(ev, &kinds, &origin, out));
	assert_null(strchr(buf_text(out), '\n')); /* one line */
	assert_true(utf8_valid(out->data, out->len));
	doc = cJSON_ParseWithLength(out->data, out->len);
	if (!doc)
		fail_msg("not JSON: %s", buf_text(out));
	return doc;
}

/* "a.b[1].c" */
static const cJSON *at(const cJSON *doc, const char *path)
{
	char key[64];

	while (doc && *path) {
		size_t n = strcspn(path, ".[");

		if (n) {
			memcpy(key, path, n);
			key[n] = '\0';
			doc = cJSON_GetObjectItemCaseSensitive(doc, key);
		}
		path += n;
		if (*path == '[') {
			doc = cJSON_GetArrayItem(doc, (int)strtol(path + 1, NULL, 10));
			path = strchr(path, ']') + 1;
		}
		path += *path == '.';
	}
	return doc;
}

static const char *text_at(const cJSON *doc, const char *path)
{
	const char *t = cJSON_GetStringValue(at(doc, path));

	return t ? t : "(none)";
}

static double number_at(const cJSON *doc, const char *path)
{
	const cJSON *n = at(doc, path);

	return cJSON_IsNumber(n) ? n->valuedouble : -1;
}

/* What the schema requires: of every event (class 0), and of the classes that we write. */
static const struct {
	unsigned class_uid;
	const char *path;
} required[] = {
	{ 0, "activity_id" },
	{ 0, "category_uid" },
	{ 0, "class_uid" },
	{ 0, "type_uid" },
	{ 0, "severity_id" },
	{ 0, "time" },
	{ 0, "metadata.version" },
	{ 0, "metadata.product.name" },
	{ 0, "device.type_id" },
	{ 0, "device.os.name" },
	{ 0, "device.os.type_id" },
	{ 1007, "actor" },
	{ 1007, "device" },
	{ 1007, "process.pid" },
	{ 1007, "process.file.name" },
	{ 1007, "process.file.type_id" },
	{ 1007, "process.container.uid" },
	{ 1007, "process.container.image.uid" },
	{ 4001, "src_endpoint.ip" },
	{ 4001, "dst_endpoint.ip" },
	{ 5019, "device" },
	{ 6002, "app.name" },
};

static void assert_required(const cJSON *doc)
{
	unsigned class_uid = (unsigned)number_at(doc, "class_uid");

	for (size_t i = 0; i < sizeof(required) / sizeof(*required); i++)
		if ((!required[i].class_uid || required[i].class_uid == class_uid) &&
		    !at(doc, required[i].path))
			fail_msg("class %u has no %s", class_uid, required[i].path);
	assert_int_equal(number_at(doc, "category_uid"), class_uid / 1000);
	assert_int_equal(number_at(doc, "type_uid"),
			 class_uid * 100 + (unsigned)number_at(doc, "activity_id"));
}

/* No key twice in one object: a reader would lose one of the two. */
static void assert_unique(const cJSON *doc)
{
	const cJSON *a, *b;

	cJSON_ArrayForEach(a, doc)
	{
		for (b = a->next; b && a->string; b = b->next)
			if (!strcmp(a->string, b->string))
				fail_msg("key %s stands twice", a->string);
		assert_unique(a);
	}
}

static void every_kind_has_what_the_schema_requires(void **state)
{
	static const struct {
		uint8_t part, kind;
	} all[] = { { KMN_MOD_firewall, EXEC },
		    { KMN_MOD_firewall, KMN_EV_DENIED },
		    { KMN_MOD_firewall, 99 }, /* unknown to this version */
		    { 77, 5 } };
	struct buf out = { 0 };
	struct event ev;
	cJSON *doc;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		sample_event(&ev);
		ev.part = all[i].part;
		ev.kind = all[i].kind;
		doc = render(&ev, &out);
		assert_required(doc);
		assert_unique(doc);
		cJSON_Delete(doc);
	}
	for (const struct kmn_event_kind *k = sensor_kinds; k->kind; k++) {
		sensor_event(&ev, (enum sensor_kind)k->kind, EVENT_LOW, "said");
		event_text(&ev, EVENT_F_detail, text_of("in detail"));
		doc = render(&ev, &out);
		assert_required(doc);
		assert_unique(doc);
		assert_string_equal(text_at(doc, "message"), "said");
		cJSON_Delete(doc);
	}
	buf_free(&out);
}

static void an_event_says_who_what_and_where(void **state)
{
	struct buf out = { 0 };
	struct event ev;
	cJSON *doc;

	(void)state;
	sample_event(&ev);
	ev.seq = 99;
	doc = render(&ev, &out);
	assert_int_equal(number_at(doc, "severity_id"), 4);
	assert_string_equal(text_at(doc, "severity"), "High");
	assert_int_equal(number_at(doc, "metadata.sequence"), 99);
	assert_string_equal(text_at(doc, "metadata.uid"),
			    "11111111-2222-8333-8444-555555555555/"
			    "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee/findings/99");
	assert_string_equal(text_at(doc, "metadata.event_code"), "firewall.denied");
	assert_string_equal(text_at(doc, "src_endpoint.ip"), "10.0.0.1");
	assert_string_equal(text_at(doc, "dst_endpoint.ip"), "2001:db8::1");
	assert_int_equal(number_at(doc, "dst_endpoint.port"), 443);
	assert_int_equal(number_at(doc, "count"), 3);
	assert_int_equal(number_at(doc, "action_id"), 3); /* detect: observed, not denied */
	assert_string_equal(text_at(doc, "disposition"), "Detected");
	assert_true(cJSON_IsTrue(at(doc, "is_alert")));
	assert_string_equal(text_at(doc, "policy.uid"), "17");
	assert_int_equal(number_at(doc, "actor.process.pid"), 1234);
	assert_string_equal(text_at(doc, "actor.process.name"), "curl");
	assert_string_equal(text_at(doc, "actor.process.cmd_line"),
			    "curl -s http://example.test/a b");
	assert_string_equal(text_at(doc, "unmapped.komainu.args[2]"), "http://example.test/a b");
	assert_string_equal(text_at(doc, "actor.process.parent_process.name"), "bash");
	assert_string_equal(text_at(doc, "actor.process.ancestry[1].path"), "/bin/bash");
	assert_string_equal(text_at(doc, "actor.process.container.name"), "web");
	/* it began a second before the event */
	assert_int_equal(number_at(doc, "actor.process.created_time"), 1790000000123LL - 1000);
	assert_string_equal(text_at(doc, "unmapped.komainu.mode"), "detect");
	assert_string_equal(text_at(doc, "unmapped.komainu.rule.name"), "bad-nets");
	assert_string_equal(text_at(doc, "unmapped.komainu.attribution"), "owner");
	assert_string_equal(text_at(doc, "device.hostname"), "box");
	/* 64 bits exactly, which cJSON itself cannot read */
	assert_non_null(strstr(buf_text(&out), "\"bytes\":18446744073709551615"));
	assert_non_null(strstr(buf_text(&out), "\"time_ns\":1790000000123456789"));
	cJSON_Delete(doc);
	ev.part = KMN_MOD_firewall;
	ev.kind = EXEC;
	doc = render(&ev, &out); /* Process Activity: the actor is the parent */
	assert_int_equal(number_at(doc, "process.pid"), 1234);
	assert_int_equal(number_at(doc, "actor.process.pid"), 1233);
	assert_string_equal(text_at(doc, "message"), "curl -s 'http://example.test/a b'"
						     "  [curl(1234) me < bash(1233) < bash(1232)]"
						     "  {podman web docker.io/library/nginx:1.25}");
	cJSON_Delete(doc);
	buf_free(&out);
}

static void bytes_that_are_not_utf8_can_be_had_back(void **state)
{
	struct buf out = { 0 };
	struct event ev;
	cJSON *doc;

	(void)state;
	sample_event(&ev);
	ev.who.p[0].exe = text_of("/tmp/\xff\xfe\n\x1b[2J");
	ev.who.p[1].cwd = (struct text){ "/x\0y", 4 };
	doc = render(&ev, &out);
	assert_string_equal(text_at(doc, "actor.process.file.path"),
			    "/tmp/\xef\xbf\xbd\xef\xbf\xbd\n\x1b[2J");
	assert_string_equal(text_at(doc, "unmapped.komainu.texts[0].at"), "process[0].exe");
	assert_string_equal(text_at(doc, "unmapped.komainu.texts[0].base64"), "L3RtcC///gobWzJK");
	assert_null(memchr(out.data, '\x1b', out.len)); /* escaped: it does nothing to a terminal */
	cJSON_Delete(doc);
	buf_free(&out);
}

static void a_cut_text_says_how_long_it_was(void **state)
{
	static char big[100000];
	struct buf out = { 0 };
	struct event ev;
	cJSON *doc;

	(void)state;
	memset(big, 'a', sizeof(big));
	sample_event(&ev);
	ev.who.p[0].args = (struct text){ big, sizeof(big) };
	event_bound(&ev);
	doc = render(&ev, &out);
	assert_true(cJSON_IsTrue(at(doc, "metadata.is_truncated")));
	assert_string_equal(text_at(doc, "unmapped.komainu.texts[0].at"), "process[0].args");
	assert_int_equal(number_at(doc, "unmapped.komainu.texts[0].bytes_before_cut"), 100000);
	assert_int_equal(strlen(text_at(doc, "actor.process.cmd_line")), EVENT_ARGS_MAX);
	cJSON_Delete(doc);
	buf_free(&out);
}

static void random_events_are_json_and_lines_without_a_control_character(void **state)
{
	static char pool[600];
	const struct event_text_style style = { .date = true };
	struct buf out = { 0 }, line = { 0 };
	unsigned seed = 11;
	struct event ev;

	(void)state;
	for (int run = 0; run < 3000; run++) {
		for (size_t i = 0; i < sizeof(pool); i++)
			pool[i] = (char)(rand_r(&seed) >> 8);
		sample_random(&ev, &seed, pool, 500);
		if (run % 2)
			ev.part = KMN_MOD_firewall, ev.kind = run % 4 == 1 ? EXEC : KMN_EV_DENIED;
		event_bound(&ev);
		cJSON *doc = render(&ev, &out);
		assert_unique(doc);
		cJSON_Delete(doc);
		buf_reset(&line);
		event_line(&ev, &kinds, &style, &line);
		assert_true(utf8_valid(line.data, line.len));
		for (size_t i = 0; i + 1 < line.len; i++)
			assert_true((unsigned char)line.data[i] >= 0x20 && line.data[i] != 0x7f);
		assert_int_equal(line.data[line.len - 1], '\n');
	}
	buf_free(&out);
	buf_free(&line);
}

static void a_line_reads_well(void **state)
{
	const struct event_text_style style = { .date = true };
	struct buf out = { 0 };
	struct event ev;

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	sample_event(&ev);
	ev.kind = EXEC;
	event_line(&ev, &kinds, &style, &out);
	assert_string_equal(buf_text(&out), "2026-09-21 14:13:20.123 high     firewall "
					    "curl -s 'http://example.test/a b'"
					    "  [curl(1234) me < bash(1233) < bash(1232)]"
					    "  {podman web docker.io/library/nginx:1.25}\n");
	buf_reset(&out);
	sensor_event(&ev, SENSOR_POLICY_REFUSED, EVENT_MEDIUM, "a policy was refused");
	ev.time_ns = 1790000000123456789ULL;
	event_text(&ev, EVENT_F_detail, text_of("x.yaml:1:2: \x1b[2J"));
	event_line(&ev, &kinds, &style, &out);
	assert_string_equal(buf_text(&out), "2026-09-21 14:13:20.123 medium   sensor   "
					    "a policy was refused: x.yaml:1:2: \\x1b[2J\n");
	buf_free(&out);
}

static void a_terminal_that_stands_still_stops_nothing(void **state)
{
	struct event_live *live;
	uint64_t begin = clock_boot_ns();
	static char got[1 << 16];
	struct event ev;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0); /* 64 KiB that nobody reads */
	live = event_live_new(fd[1], &kinds, false);
	assert_non_null(live);
	sample_event(&ev);
	for (int i = 0; i < 50000; i++) /* 8 MB of lines */
		event_print_live(live, &ev);
	event_live_free(live);
	assert_true(clock_boot_ns() - begin < 20 * NS_PER_S);
	assert_true(read(fd[0], got, sizeof(got)) > 0);
	assert_non_null(strstr(got, "[curl(1234) me"));
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_has_what_the_schema_requires),
		cmocka_unit_test(an_event_says_who_what_and_where),
		cmocka_unit_test(bytes_that_are_not_utf8_can_be_had_back),
		cmocka_unit_test(a_cut_text_says_how_long_it_was),
		cmocka_unit_test(random_events_are_json_and_lines_without_a_control_character),
		cmocka_unit_test(a_line_reads_well),
		cmocka_unit_test(a_terminal_that_stands_still_stops_nothing),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
