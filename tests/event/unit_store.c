#include <fcntl.h>
#include <time.h>
#include "base/log.h"
#include "event/store_tool.h"

#define T0 (1790000000ULL * NS_PER_S)

static struct event_store *open_store(const struct store_config *c)
{
	struct event_store *s = NULL;

	assert_int_equal(store_open(c, &s), 0);
	return s;
}

static void what_is_stored_is_read_back_in_order(void **state)
{
	struct store_config c = small_store();
	struct event_store *s = open_store(&c);
	uint64_t first = 0, last = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			store_events(s, EVENT_FINDINGS, 1 + 1000u * (unsigned)i, 1000, 100, T0), 0);
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 10000); /* while it is open */
	assert_int_equal(first, 1);
	assert_int_equal(last, 10000);
	assert_int_equal(read_all(EVENT_TELEMETRY, &first, &last), 0);
	store_close(s);
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 10000);
	assert_verified(EVENT_FINDINGS);
}

static void numbers_go_on_after_a_restart(void **state)
{
	struct store_config c = small_store();
	uint64_t first = 0, last = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct event_store *s = open_store(&c);
		struct store_stats st;

		store_stats(s, EVENT_FINDINGS, &st);
		assert_int_equal(st.seq, 7 * i);
		assert_int_equal(store_events(s, EVENT_FINDINGS, 7 * i + 1, 7, 50, T0), 0);
		store_close(s);
	}
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 140);
	assert_verified(EVENT_FINDINGS);
}

static void a_second_writer_is_refused(void **state)
{
	struct store_config c = small_store();
	struct event_store *s = open_store(&c), *other = NULL;

	(void)state;
	assert_int_equal(store_open(&c, &other), -EBUSY);
	store_close(s);
	s = open_store(&c);
	store_close(s);
}

static void a_reader_finds_the_last_ones_and_goes_on_over_a_new_segment(void **state)
{
	struct store_config c = small_store();
	struct event_store *s;
	struct event_reader *r;
	static struct event ev;
	struct store_stats st;
	uint64_t seq = 0;

	(void)state;
	c.segment_max = 256 << 10;
	s = open_store(&c);
	assert_int_equal(store_events(s, EVENT_FINDINGS, 1, 100, 500, T0), 0);
	assert_int_equal(event_reader_open(state_dir, EVENT_FINDINGS, &r), 0);
	event_reader_seek(r, 95);
	for (uint64_t want = 95; want <= 100; want++) {
		assert_int_equal(event_reader_next(r, &ev), 1);
		assert_int_equal(ev.seq, want);
	}
	for (unsigned i = 1; i < 20; i++) { /* followed: over several segments, none left out */
		assert_int_equal(event_reader_next(r, &ev), 0);
		assert_int_equal(store_events(s, EVENT_FINDINGS, 100 * i + 1, 100, 500, T0), 0);
		for (seq = 100 * i + 1; seq <= 100 * i + 100; seq++) {
			assert_int_equal(event_reader_next(r, &ev), 1);
			assert_int_equal(ev.seq, seq);
		}
	}
	store_stats(s, EVENT_FINDINGS, &st);
	assert_true(st.segments > 3);
	event_reader_close(r);
	store_close(s);
}

static bool odd(void *arg, const struct event *ev)
{
	(void)arg;
	return ev->seq % 2;
}

static void a_tail_has_at_least_as_many_as_were_asked_for(void **state)
{
	struct store_config c = small_store();
	struct event_store *s;
	struct event_reader *r;
	static struct event ev;
	uint64_t seq, found, last, n = 0;

	(void)state;
	c.segment_max = 256 << 10;
	s = open_store(&c);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(store_events(s, EVENT_FINDINGS, 50 * i + 1, 50, 400, T0), 0);
	assert_int_equal(event_reader_open(state_dir, EVENT_FINDINGS, &r), 0);
	assert_int_equal(event_reader_tail(r, 300, odd, NULL, &seq, &found, &last), 0);
	assert_int_equal(last, 2500);
	assert_true(found >= 300 && found < 330);
	while (event_reader_next(r, &ev) > 0)
		n += odd(NULL, &ev);
	assert_int_equal(n, found);
	assert_int_equal(event_reader_tail(r, 100000, odd, NULL, &seq, &found, &last), 0);
	assert_int_equal(found, 1250);
	assert_int_equal(event_reader_next(r, &ev), 1);
	assert_int_equal(ev.seq, 1);
	event_reader_close(r);
	store_close(s);
}

static void batches_outside_of_the_filter_are_not_read(void **state)
{
	struct segment_filter by_time = { .from_ns = T0 + 50 * NS_PER_S,
					  .to_ns = T0 + 60 * NS_PER_S };
	struct segment_filter by_part = { .services = 2 }, by_severity = { .severities = 1 << 5 };
	struct store_config c = small_store();
	struct event_store *s = open_store(&c);
	struct event_reader *r;
	static struct event ev;
	uint64_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(store_events(s, EVENT_FINDINGS, i + 1, 1, 400, T0 + i * NS_PER_S),
				 0);
	assert_int_equal(event_reader_open(state_dir, EVENT_FINDINGS, &r), 0);
	event_reader_filter(r, &by_time);
	while (event_reader_next(r, &ev) > 0)
		n++;
	assert_int_equal(n, 11);
	assert_int_equal(event_reader_stats(r)->batches, 11);
	event_reader_filter(r, &by_part);
	event_reader_seek(r, 1);
	assert_int_equal(event_reader_next(r, &ev), 0);
	event_reader_filter(r, &by_severity);
	event_reader_seek(r, 1);
	assert_int_equal(event_reader_next(r, &ev), 0);
	event_reader_close(r);
	store_close(s);
}

/* ---- tampering: five segments with ten batches each ---- */

static int tamper_setup(void **state)
{
	struct store_config c = small_store();
	struct event_store *s;
	struct store_stats st;
	uint64_t n = 0;

	if (make_state_dir(state) < 0)
		return -1;
	c.segment_max = 512 << 10;
	s = open_store(&c);
	do {
		assert_int_equal(store_events(s, EVENT_FINDINGS, n + 1, 50, 700, T0), 0);
		n += 50;
		store_stats(s, EVENT_FINDINGS, &st);
	} while (st.segments < 5);
	assert_int_equal(store_events(s, EVENT_FINDINGS, n + 1, 50, 700, T0), 0);
	store_close(s);
	assert_verified(EVENT_FINDINGS);
	return 0;
}

static void assert_found(const char *needle)
{
	struct verify_result result;
	struct said said;

	verify(EVENT_FINDINGS, &said, &result);
	if (!strstr(said.all, needle))
		fail_msg("verify does not say \"%s\" but:\n%s", needle, said.all);
}

static void a_deleted_batch_is_found(void **state)
{
	(void)state;
	sql(2, "DELETE FROM batch WHERE first_seq = (SELECT first_seq FROM batch ORDER BY first_seq"
	       " LIMIT 1 OFFSET 3)");
	assert_found("findings segment 2: numbers ");
	assert_found("are missing");
}

static void a_deleted_last_batch_of_a_sealed_segment_is_found(void **state)
{
	(void)state;
	sql(2, "DELETE FROM batch WHERE first_seq = (SELECT max(first_seq) FROM batch)");
	assert_found("findings segment 2: it was sealed with numbers");
}

static void a_changed_byte_is_found(void **state)
{
	(void)state;
	sql(3, "UPDATE batch SET blob = CAST(substr(blob, 1, 500) || x'00' || substr(blob, 502)"
	       " AS BLOB) WHERE first_seq = (SELECT first_seq FROM batch LIMIT 1 OFFSET 4)");
	assert_found("findings segment 3: the batch with numbers");
}

static void a_changed_time_is_found(void **state)
{
	(void)state;
	sql(5, "UPDATE batch SET last_ns = last_ns + 1 WHERE first_seq ="
	       " (SELECT first_seq FROM batch LIMIT 1 OFFSET 0)"); /* not sealed yet */
	assert_found("findings segment 5: the batch with numbers");
}

static void exchanged_batches_are_found(void **state)
{
	(void)state; /* two batches of fifty events each exchange all but their numbers */
	sql(2, "CREATE TEMP TABLE two AS SELECT * FROM batch ORDER BY first_seq LIMIT 2 OFFSET 2;"
	       "UPDATE batch SET (first_ns, last_ns, raw_len, chain, blob) ="
	       " (SELECT first_ns, last_ns, raw_len, chain, blob FROM two"
	       "  WHERE two.first_seq <> batch.first_seq)"
	       " WHERE first_seq IN (SELECT first_seq FROM two)");
	assert_found("findings segment 2: the batch with numbers");
}

static void a_chain_that_was_computed_again_is_found(void **state)
{
	(void)state; /* a whole, honest chain, but not the one that was signed */
	sql(2, "UPDATE seal SET final = zeroblob(32)");
	assert_found("findings segment 2: its signature is wrong");
	assert_found("findings segment 3: the segment before it (2) did not end like this");
}

static void a_removed_seal_is_found(void **state)
{
	(void)state;
	sql(2, "DELETE FROM seal");
	assert_found("findings segment 3: the segment before it (2) has lost its seal");
}

static void exchanged_segments_are_found(void **state)
{
	char a[PATH_MAX], b[PATH_MAX], c[PATH_MAX];

	(void)state;
	segment_name(a, sizeof(a), EVENT_FINDINGS, 2, "db");
	segment_name(b, sizeof(b), EVENT_FINDINGS, 3, "db");
	segment_name(c, sizeof(c), EVENT_FINDINGS, 9, "x");
	assert_int_equal(rename(a, c) | rename(b, a) | rename(c, b), 0);
	assert_found("findings segment 2: it is segment 3 of findings");
}

static void a_missing_segment_is_found(void **state)
{
	char a[PATH_MAX];
	struct verify_result result;
	struct said said;

	(void)state;
	segment_name(a, sizeof(a), EVENT_FINDINGS, 3, "db");
	assert_int_equal(unlink(a), 0);
	assert_found("findings segment 4: the segment before it, 3, is missing");
	verify(EVENT_FINDINGS, &said, &result);
	assert_true(result.missing >= 100);
	segment_name(a, sizeof(a), EVENT_FINDINGS, 2, "db"); /* the oldest ones may go */
	assert_int_equal(unlink(a), 0);
	segment_name(a, sizeof(a), EVENT_FINDINGS, 1, "db");
	assert_int_equal(unlink(a), 0);
	assert_verified(EVENT_FINDINGS);
}

static void a_store_of_another_host_is_found(void **state)
{
	char name[PATH_MAX];
	struct hostkey key;
	struct verify_result result;
	struct said said;

	(void)state;
	(void)snprintf(name, sizeof(name), "%s/host.key", state_dir);
	assert_int_equal(unlink(name), 0);
	(void)snprintf(name, sizeof(name), "%s/host.json", state_dir);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(hostkey_open(state_dir, &key), 0);
	verify(EVENT_FINDINGS, &said, &result);
	assert_int_equal(said.n, 5);
	assert_non_null(strstr(said.all, "it was written by another host"));
}

/* ---- damage ---- */

static unsigned damaged_said;
static void count_damaged(void *arg, enum event_stream stream, const char *what)
{
	(void)arg;
	assert_int_equal(stream, EVENT_FINDINGS);
	assert_non_null(strstr(what, "is damaged"));
	damaged_said++;
}

static void overwrite(unsigned number, off_t from, size_t len)
{
	char path[PATH_MAX], *junk = malloc(len);
	int fd;

	memset(junk, 0xa5, len);
	segment_name(path, sizeof(path), EVENT_FINDINGS, number, "db");
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, len, from), len);
	close(fd);
	free(junk);
}

static void a_damaged_segment_is_set_aside_and_the_rest_works(void **state)
{
	struct store_config c = small_store();
	struct event_store *s;
	struct event_reader *r;
	static struct event ev;
	struct store_stats st;
	char path[PATH_MAX];
	uint64_t seq, n = 0, last = 0;

	(void)state;
	c.segment_max = 512 << 10;
	c.damaged = count_damaged;
	overwrite(2, 0, 8192); /* the first page of an old one */
	overwrite(5, 0, 8192); /* and of the newest */
	damaged_said = 0;
	s = open_store(&c);
	assert_int_equal(damaged_said, 2);
	store_stats(s, EVENT_FINDINGS, &st);
	assert_int_equal(st.damaged, 2);
	segment_name(path, sizeof(path), EVENT_FINDINGS, 2, "damaged");
	assert_int_equal(access(path, F_OK), 0);
	segment_name(path, sizeof(path), EVENT_FINDINGS, 5, "damaged");
	assert_int_equal(access(path, F_OK), 0);
	seq = st.seq + 1;
	assert_true(seq >
		    1ULL << 32); /* the newest did not tell its last number: none is used twice */
	assert_int_equal(store_events(s, EVENT_FINDINGS, seq, 10, 100, T0), 0);
	assert_int_equal(event_reader_open(state_dir, EVENT_FINDINGS, &r), 0);
	while (event_reader_next(r, &ev) > 0) {
		assert_true(ev.seq > last);
		last = ev.seq;
		n++;
	}
	assert_int_equal(last, seq + 9);
	assert_true(n > 500); /* those of the segments 1, 3 and 4 */
	event_reader_close(r);
	store_close(s);
	assert_found("findings segment 2: it is damaged");
	assert_found("findings segment 6: the sensor began it after a damaged segment");
	s = open_store(&c); /* once aside, it is not told of again */
	assert_int_equal(damaged_said, 2);
	store_close(s);
}

static void damage_found_while_writing_costs_no_event(void **state)
{
	struct store_config c = small_store();
	struct event_store *s;
	uint64_t n = 0;
	struct store_stats st;
	int r = 0;

	(void)state;
	c.damaged = count_damaged;
	damaged_said = 0;
	s = open_store(&c);
	assert_int_equal(store_events(s, EVENT_FINDINGS, 1, 500, 700, T0), 0);
	store_close(s); /* the log is folded back: what follows reads the file */
	s = open_store(&c);
	overwrite(1, 8192, 200000);
	for (n = 500; n < 20000 && !damaged_said && !r; n += 50)
		r = store_events(s, EVENT_FINDINGS, n + 1, 50, 700, T0);
	assert_int_equal(r, 0);
	assert_int_equal(damaged_said, 1);
	store_stats(s, EVENT_FINDINGS, &st);
	assert_int_equal(st.seq, n); /* numbers go on without a hole */
	assert_int_equal(store_events(s, EVENT_FINDINGS, n + 1, 50, 700, T0), 0);
	store_close(s);
}

/* Any flipped bits: never a crash, never other events than were written without a word. */
static void flipped_bits_are_found_or_touch_nothing(void **state)
{
	char path[PATH_MAX];
	unsigned seed = (unsigned)time(NULL), found = 0;
	uint64_t total = 0;

	(void)state;
	print_message("flips: seed %u\n", seed);
	{
		struct verify_result result;
		struct said said;

		verify(EVENT_FINDINGS, &said, &result);
		total = result.events;
	}
	segment_name(path, sizeof(path), EVENT_FINDINGS, 3, "db");
	for (int run = 0; run < 60; run++) {
		struct verify_result result;
		struct said said;
		struct stat st;
		uint8_t byte;
		off_t at;
		int fd = open(path, O_RDWR);

		assert_true(fd >= 0 && !fstat(fd, &st));
		at = (off_t)((uint64_t)rand_r(&seed) % (uint64_t)st.st_size);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= (uint8_t)(1 << run % 8);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		verify(EVENT_FINDINGS, &said, &result);
		found += said.n > 0;
		if (!said.n) /* unused room of a page */
			assert_int_equal(result.events, total);
		byte ^= (uint8_t)(1 << run % 8);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
	}
	assert_true(found > 40);
	assert_verified(EVENT_FINDINGS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_state_dir, remove_state_dir)
#define TAMPER(name) cmocka_unit_test_setup_teardown(name, tamper_setup, remove_state_dir)
	const struct CMUnitTest tests[] = {
		T(what_is_stored_is_read_back_in_order),
		T(numbers_go_on_after_a_restart),
		T(a_second_writer_is_refused),
		T(a_reader_finds_the_last_ones_and_goes_on_over_a_new_segment),
		T(a_tail_has_at_least_as_many_as_were_asked_for),
		T(batches_outside_of_the_filter_are_not_read),
		TAMPER(a_deleted_batch_is_found),
		TAMPER(a_deleted_last_batch_of_a_sealed_segment_is_found),
		TAMPER(a_changed_byte_is_found),
		TAMPER(a_changed_time_is_found),
		TAMPER(exchanged_batches_are_found),
		TAMPER(a_chain_that_was_computed_again_is_found),
		TAMPER(a_removed_seal_is_found),
		TAMPER(exchanged_segments_are_found),
		TAMPER(a_missing_segment_is_found),
		TAMPER(a_store_of_another_host_is_found),
		TAMPER(a_damaged_segment_is_set_aside_and_the_rest_works),
		T(damage_found_while_writing_costs_no_event),
		TAMPER(flipped_bits_are_found_or_touch_nothing),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
