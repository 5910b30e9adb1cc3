/* What the store may take, in bytes and in days, and what happens when that changes. */
#include "base/log.h"
#include "event/store_tool.h"

#define T0 (1790000000ULL * NS_PER_S)

static struct event_store *open_store(const struct store_config *c)
{
	struct event_store *s = NULL;

	assert_int_equal(store_open(c, &s), 0);
	return s;
}

static uint64_t bytes_on_disk(enum event_stream stream)
{
	char dir[PATH_MAX], name[PATH_MAX + 300];
	uint64_t sum = 0;
	struct dirent *e;
	struct stat st;
	DIR *d;

	(void)snprintf(dir, sizeof(dir), "%s/events/%s", state_dir,
		       event_stream_name((uint8_t)stream));
	d = opendir(dir);
	assert_non_null(d);
	while ((e = readdir(d))) {
		(void)snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		if (!stat(name, &st) && S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	}
	closedir(d);
	return sum;
}

static void the_budget_of_bytes_is_never_exceeded(void **state)
{
	struct store_config c = small_store();
	struct event_store *s;
	struct store_stats st;
	uint64_t first = 0, last = 0, n = 0;

	(void)state;
	c.bytes_max[EVENT_FINDINGS] = STORE_BYTES_MIN;
	s = open_store(&c);
	for (unsigned i = 0; i < 300; i++) { /* 20 MB into 4 MiB */
		assert_int_equal(store_events(s, EVENT_FINDINGS, n + 1, 100, 700, T0), 0);
		n += 100;
		assert_true(bytes_on_disk(EVENT_FINDINGS) <= STORE_BYTES_MIN);
	}
	store_stats(s, EVENT_FINDINGS, &st);
	assert_int_equal(st.bytes, bytes_on_disk(EVENT_FINDINGS));
	assert_int_equal(st.seq, n);
	assert_int_equal(st.expired_events + read_all(EVENT_FINDINGS, &first, &last), n);
	assert_int_equal(first, st.first_seq);
	assert_int_equal(last, n);
	assert_true(st.bytes > STORE_BYTES_MIN / 2); /* and it is used */
	assert_verified(EVENT_FINDINGS); /* the oldest are gone, the chain holds over the seam */
	store_close(s);
}

static void a_smaller_budget_is_reached_in_bounded_steps(void **state)
{
	const uint64_t small[EVENT_STREAMS] = { STORE_BYTES_MIN, STORE_BYTES_MIN };
	const uint32_t days[EVENT_STREAMS] = { 400, 7 };
	struct store_config c = small_store();
	struct store_stats before, st;
	struct event_store *s;
	uint64_t first = 0, last = 0, n = 0;
	unsigned steps = 1;

	(void)state;
	c.segment_max = 128 << 10;
	s = open_store(&c);
	while (n < 12000) { /* 10 MB */
		assert_int_equal(store_events(s, EVENT_FINDINGS, n + 1, 100, 700, T0), 0);
		n += 100;
	}
	assert_false(store_trim(s)); /* all is within its budget */
	store_stats(s, EVENT_FINDINGS, &before);
	assert_int_equal(before.expired_events, 0);
	assert_true(before.segments > 60);
	store_budgets(s, small, days);
	for (; store_trim(s); steps++) {
		store_stats(s, EVENT_FINDINGS, &st);
		assert_int_equal(st.expired_segments, steps * STORE_DROPS_MAX);
	}
	assert_true(steps > 1);
	store_stats(s, EVENT_FINDINGS, &st);
	assert_int_equal(st.bytes_max, STORE_BYTES_MIN);
	assert_true(bytes_on_disk(EVENT_FINDINGS) <= STORE_BYTES_MIN);
	assert_true(st.bytes > STORE_BYTES_MIN / 2); /* not more than had to go */
	assert_int_equal(st.expired_events + read_all(EVENT_FINDINGS, &first, &last), n);
	assert_int_equal(last, n);
	assert_verified(EVENT_FINDINGS);
	store_close(s);
}

static void an_open_segment_that_is_too_big_goes_too(void **state)
{
	const uint64_t small[EVENT_STREAMS] = { STORE_BYTES_MIN, STORE_BYTES_MIN };
	const uint32_t days[EVENT_STREAMS] = { 400, 7 };
	struct store_config c = small_store();
	struct store_stats st;
	struct event_store *s = open_store(&c);

	(void)state;
	for (uint64_t n = 0; n < 8000; n += 100)
		assert_int_equal(store_events(s, EVENT_FINDINGS, n + 1, 100, 700, T0), 0);
	store_stats(s, EVENT_FINDINGS, &st);
	assert_int_equal(st.segments, 1);
	assert_true(st.bytes > STORE_BYTES_MIN);
	store_budgets(s, small, days);
	while (store_trim(s))
		;
	assert_true(bytes_on_disk(EVENT_FINDINGS) <= STORE_BYTES_MIN);
	assert_int_equal(store_events(s, EVENT_FINDINGS, 8001, 100, 700, T0), 0);
	assert_verified(EVENT_FINDINGS);
	store_close(s);
}

static void noise_does_not_evict_findings(void **state)
{
	struct store_config c = small_store();
	struct event_store *s;
	uint64_t first = 0, last = 0;

	(void)state;
	c.bytes_max[EVENT_TELEMETRY] = STORE_BYTES_MIN;
	s = open_store(&c);
	assert_int_equal(store_events(s, EVENT_FINDINGS, 1, 100, 700, T0), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(store_events(s, EVENT_TELEMETRY, 100 * i + 1, 100, 700, T0), 0);
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 100);
	store_close(s);
}

static void events_expire_after_their_days(void **state)
{
	const uint64_t day = 86400 * NS_PER_S;
	struct store_config c = small_store();
	struct event_store *s;
	struct store_stats st;
	uint64_t first = 0, last = 0;

	(void)state;
	c.days_max[EVENT_FINDINGS] = 8;
	s = open_store(&c);
	for (unsigned i = 0; i < 40; i++) { /* an event a day */
		uint64_t now = T0 + i * day;

		assert_int_equal(store_events(s, EVENT_FINDINGS, i + 1, 1, 100, now), 0);
		(void)store_expire(s, now + 1);
		store_stats(s, EVENT_FINDINGS, &st);
		assert_true(st.oldest_ns + 10 * day >= now); /* 8 days and an eighth, not later */
		if (st.expired_events) /* the youngest that went was older than 8 days */
			assert_true((st.expired_events - 1 + 8) * day <= i * day);
	}
	assert_int_equal(st.expired_events + read_all(EVENT_FINDINGS, &first, &last), 40);
	assert_verified(EVENT_FINDINGS);
	(void)store_expire(s, T0 + 1000 * day);
	store_stats(s, EVENT_FINDINGS, &st);
	assert_int_equal(st.expired_events, 40);
	assert_int_equal(store_events(s, EVENT_FINDINGS, 41, 1, 100, T0 + 1000 * day), 0);
	assert_verified(EVENT_FINDINGS);
	store_close(s);
}

static void other_days_hold_at_the_next_look(void **state)
{
	const uint64_t day = 86400 * NS_PER_S, bytes[EVENT_STREAMS] = { 64 << 20, 64 << 20 };
	const uint32_t few[EVENT_STREAMS] = { 2, 2 };
	struct store_config c = small_store();
	struct store_stats st;
	struct event_store *s = open_store(&c);

	(void)state;
	assert_int_equal(store_events(s, EVENT_FINDINGS, 1, 1, 100, T0), 0);
	assert_int_equal(store_expire(s, T0 + 10 * day), 0); /* 400 days */
	store_budgets(s, bytes, few);
	assert_int_equal(store_expire(s, T0 + 10 * day), 1);
	store_stats(s, EVENT_FINDINGS, &st);
	assert_int_equal(st.days_max, 2);
	assert_int_equal(st.expired_events, 1);
	store_close(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_state_dir, remove_state_dir)
	const struct CMUnitTest tests[] = {
		T(the_budget_of_bytes_is_never_exceeded),
		T(a_smaller_budget_is_reached_in_bounded_steps),
		T(an_open_segment_that_is_too_big_goes_too),
		T(noise_does_not_evict_findings),
		T(events_expire_after_their_days),
		T(other_days_hold_at_the_next_look),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
