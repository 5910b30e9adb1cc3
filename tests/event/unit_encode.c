#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "event/encode.h"
#include "event/sample.h"

static uint8_t bytes[EVENT_ENCODED_MAX], again[EVENT_ENCODED_MAX];

static void assert_text(struct text a, struct text b)
{
	assert_int_equal(!a.p, !b.p);
	assert_int_equal(a.len, b.len);
	if (a.len)
		assert_memory_equal(a.p, b.p, a.len);
}

static void assert_process(const struct process_view *a, const struct process_view *b)
{
	assert_text(a->exe, b->exe);
	assert_text(a->args, b->args);
	assert_text(a->cwd, b->cwd);
	assert_text(a->user, b->user);
	assert_memory_equal(a, b, offsetof(struct process_view, exe));
}

/* Every member, but seq, which the store sets. */
static void assert_event(const struct event *a, const struct event *b)
{
	assert_int_equal(a->time_ns, b->time_ns);
	assert_int_equal(a->boot_ns, b->boot_ns);
	assert_int_equal(a->gen, b->gen);
	assert_int_equal(a->count, b->count);
	assert_memory_equal(&a->part, &b->part, 7);
	assert_int_equal(a->rule_id, b->rule_id);
	assert_text(a->rule, b->rule);
	assert_text(a->message, b->message);
	assert_int_equal(a->pid, b->pid);
	assert_int_equal(a->start_ns, b->start_ns);
	assert_int_equal(a->cgroup_id, b->cgroup_id);
	assert_int_equal(a->left_out, b->left_out);
	assert_int_equal(a->who.n, b->who.n);
	for (uint32_t i = 0; i < a->who.n; i++)
		assert_process(&a->who.p[i], &b->who.p[i]);
	assert_text(a->who.container.id, b->who.container.id);
	assert_text(a->who.container.runtime, b->who.container.runtime);
	assert_text(a->who.container.name, b->who.container.name);
	assert_text(a->who.container.image, b->who.container.image);
	assert_text(a->who.container.pod, b->who.container.pod);
	assert_text(a->who.container.namespace_, b->who.container.namespace_);
	assert_int_equal(a->who.container.cgroup_id, b->who.container.cgroup_id);
	assert_int_equal(a->n, b->n);
	for (uint32_t i = 0; i < a->n; i++) {
		assert_int_equal(a->fields[i].id, b->fields[i].id);
		assert_int_equal(a->fields[i].type, b->fields[i].type);
		if (a->fields[i].type == EVENT_TEXT)
			assert_text(a->fields[i].text, b->fields[i].text);
		else if (a->fields[i].type == EVENT_IP)
			assert_memory_equal(a->fields[i].ip, b->fields[i].ip, 16);
		else
			assert_int_equal(a->fields[i].u, b->fields[i].u);
	}
}

static void an_event_reads_back_equal(void **state)
{
	struct event in, out;
	int len;

	(void)state;
	sample_event(&in);
	len = event_encode(&in, bytes, sizeof(bytes));
	assert_true(len > 0);
	assert_int_equal(event_decode(bytes, (size_t)len, &out), 0);
	assert_event(&in, &out);
	assert_int_equal(event_get_u64(&out, EVENT_F_bytes, 0), UINT64_MAX);
	assert_true(text_is(event_get_text(&out, EVENT_F_interface), "eth0"));
}

static void random_events_read_back_equal(void **state)
{
	static char pool[600];
	struct event in, out;
	unsigned seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(pool); i++)
		pool[i] = (char)rand_r(&seed);
	for (int run = 0; run < 20000; run++) {
		int len, cut;

		sample_random(&in, &seed, pool, 300);
		len = event_encode(&in, bytes, sizeof(bytes));
		assert_true(len > 0);
		assert_int_equal(event_decode(bytes, (size_t)len, &out), 0);
		assert_event(&in, &out);
		/* no room is an error, never a shorter event */
		cut = rand_r(&seed) % len;
		assert_int_equal(event_encode(&in, again, (size_t)cut), -ENOSPC);
	}
}

static void a_long_text_is_cut_and_its_length_kept(void **state)
{
	static char big[200000];
	struct event in, out;
	int len;

	(void)state;
	memset(big, 'x', sizeof(big));
	sample_event(&in);
	in.who.p[0].args = (struct text){ big, 65536 };
	in.who.p[1].exe = (struct text){ big + 1, 9000 };
	event_text(&in, EVENT_F_detail, (struct text){ big + 2, 8192 });
	event_bound(&in);
	event_bound(&in); /* the second time changes nothing */
	assert_int_equal(in.who.p[0].args.len, 65536);
	assert_int_equal(in.who.p[1].exe.len, EVENT_TEXT_MAX);
	assert_int_equal(event_cut_len(&in, in.who.p[1].exe), 9000);
	assert_int_equal(event_cut_len(&in, in.who.p[0].args), 0);
	len = event_encode(&in, bytes, sizeof(bytes));
	assert_true(len > 0);
	assert_int_equal(event_decode(bytes, (size_t)len, &out), 0);
	assert_event(&in, &out);
	assert_int_equal(event_cut_len(&out, out.who.p[1].exe), 9000);
	assert_int_equal(event_cut_len(&out, out.who.p[0].args), 0);
	assert_int_equal(event_cut_len(&out, event_get_text(&out, EVENT_F_detail)), 0);
}

static void the_biggest_event_still_fits(void **state)
{
	static char big[1 << 20];
	struct event in, out;
	int len;

	(void)state;
	memset(big, 'y', sizeof(big));
	event_init(&in, 1, 16, EVENT_TELEMETRY);
	in.rule = in.message = (struct text){ big, 1 << 20 };
	in.who.n = PROCESS_CHAIN;
	for (uint32_t i = 0; i < PROCESS_CHAIN; i++) {
		struct process_view *p = &in.who.p[i];

		p->exe = p->args = p->cwd = p->user = (struct text){ big, 1 << 20 };
	}
	while (in.n < EVENT_FIELDS_MAX)
		event_text(&in, EVENT_F_detail, (struct text){ big + in.n, 100000 });
	event_text(&in, EVENT_F_detail, text_of("one too many"));
	assert_int_equal(in.left_out, 1);
	event_bound(&in);
	assert_int_equal(in.who.p[0].args.len, EVENT_ARGS_MAX);
	len = event_encode(&in, bytes, sizeof(bytes));
	assert_true(len > 0);
	assert_int_equal(event_decode(bytes, (size_t)len, &out), 0);
	assert_event(&in, &out);
	assert_int_equal(event_cut_len(&out, out.message), 1 << 20);
}

static void fields_of_a_newer_sensor_are_skipped_or_kept(void **state)
{
	/* version 1; key 50 (unknown) bytes "zz"; key 51 number; part 1; field 999 number 5 */
	static const uint8_t newer[] = {
		1, 0xc9, 1, 2, 'z', 'z', 0xcc, 1, 9, 20, 1, 0x9c, 0x21, 5
	};
	/* the key of field 999 is (64 + 999) << 2 = 4252: 0x9c 0x21 */
	struct event out;

	(void)state;
	assert_int_equal(event_decode(newer, sizeof(newer), &out), 0);
	assert_int_equal(out.part, 1);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.fields[0].id, 999);
	assert_int_equal(event_get_u64(&out, (enum event_field_id)999, 0), 5);
	assert_null(event_field_name(999));
}

static void damaged_bytes_are_refused(void **state)
{
	struct event in, out;
	int len;

	(void)state;
	sample_event(&in);
	len = event_encode(&in, bytes, sizeof(bytes));
	assert_int_equal(event_decode(bytes, 0, &out), -EBADMSG);
	bytes[0] = EVENT_ENCODING + 1;
	assert_int_equal(event_decode(bytes, (size_t)len, &out), -EPROTONOSUPPORT);
	bytes[0] = EVENT_ENCODING;
	for (int i = 1; i < len; i++) { /* cut anywhere: an error, or a shorter event, no crash */
		uint8_t *exact = malloc((size_t)i);

		memcpy(exact, bytes, (size_t)i);
		(void)event_decode(exact, (size_t)i, &out);
		free(exact);
	}
	assert_int_equal(event_decode("\1\x14\x80\x02", 4, &out), -EBADMSG); /* part 256 */
	assert_int_equal(event_decode("\1\x35\xff\x01", 4, &out),
			 -EBADMSG);					 /* rule beyond the end */
	assert_int_equal(event_decode("\1\x05\x00", 3, &out), -EBADMSG); /* time as text */
	assert_int_equal(event_decode("\1\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 12, &out),
			 -EBADMSG); /* 65 bits */
}

static void varints_read_back(void **state)
{
	uint8_t b[VARINT_MAX];
	uint64_t v;

	(void)state;
	for (int bit = 0; bit < 64; bit++)
		for (int d = -1; d <= 1; d++) {
			uint64_t in = (1ULL << bit) + (uint64_t)d;
			size_t n = varint_put(b, in);

			assert_int_equal(varint_get(b, n, &v), n);
			assert_int_equal(v, in);
			assert_int_equal(varint_get(b, n - 1, &v), 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_reads_back_equal),
		cmocka_unit_test(random_events_read_back_equal),
		cmocka_unit_test(a_long_text_is_cut_and_its_length_kept),
		cmocka_unit_test(the_biggest_event_still_fits),
		cmocka_unit_test(fields_of_a_newer_sensor_are_skipped_or_kept),
		cmocka_unit_test(damaged_bytes_are_refused),
		cmocka_unit_test(varints_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
