#include <signal.h>
#include <sys/wait.h>
#include "base/log.h"
#include "event/sink.h"
#include "event/store_tool.h"

static struct event_kinds kinds;

static struct event_sink *open_sink(uint64_t bytes)
{
	struct event_sink_config c = { .state_dir = state_dir,
				       .kinds = &kinds,
				       .bytes_max = { bytes, bytes } };
	struct event_sink *s = event_sink_new(&c);

	assert_non_null(s);
	return s;
}

/* Event number of a stream, with len bytes that do not pack. */
static void emit(struct event_sink *s, enum event_stream stream, uint64_t number, uint32_t len)
{
	static char detail[8192];
	static unsigned seed = 5;
	struct event ev;

	for (uint32_t i = 0; i < len; i++)
		detail[i] = (char)rand_r(&seed);
	event_init(&ev, KMN_MOD_firewall, KMN_EV_DENIED, stream);
	event_u64(&ev, EVENT_F_bytes, number);
	event_text(&ev, EVENT_F_detail, (struct text){ detail, len });
	event_emit(s, &ev);
}

static struct event_stream_stats stats(struct event_sink *s, enum event_stream stream)
{
	struct event_stats st;

	event_sink_stats(s, &st);
	assert_int_equal(st.stream[stream].emitted, st.stream[stream].stored +
							    st.stream[stream].dropped +
							    st.stream[stream].in_memory);
	return st.stream[stream];
}

static void sleep_ms(unsigned ms)
{
	const struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void an_event_is_on_disk_soon_after_it_was_emitted(void **state)
{
	struct event_sink *s = open_sink(0);
	uint64_t begin = clock_boot_ns(), first = 0, last = 0;
	struct event_reader *r;
	static struct event ev;

	(void)state;
	emit(s, EVENT_FINDINGS, 1, 100);
	while (!stats(s, EVENT_FINDINGS).stored && clock_boot_ns() < begin + 5 * NS_PER_S) {
		sleep_ms(50); /* as the rings' timer does */
		event_sink_turn(s);
	}
	assert_true(clock_boot_ns() - begin <
		    2 * NS_PER_S); /* 200 ms and what a busy machine adds */
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 1);
	assert_int_equal(event_reader_open(state_dir, EVENT_FINDINGS, &r), 0);
	assert_int_equal(event_reader_next(r, &ev), 1);
	assert_true(ev.time_ns > clock_wall_ns() - 10 * NS_PER_S && ev.time_ns <= clock_wall_ns());
	assert_true(ev.boot_ns >= begin && ev.boot_ns <= clock_boot_ns());
	assert_int_equal(ev.count, 1);
	assert_string_equal(event_reader_origin(r)->host_id, event_sink_host_id(s));
	event_reader_close(r);
	event_sink_free(s);
}

/* Wait for n events of a stream to be on disk, without another turn. */
static bool stored(struct event_sink *s, enum event_stream stream, uint64_t n)
{
	uint64_t until = clock_boot_ns() + 10 * NS_PER_S;

	while (stats(s, stream).stored < n && clock_boot_ns() < until)
		sleep_ms(5);
	return stats(s, stream).stored >= n;
}

static void a_lone_event_waits_for_no_other(void **state)
{
	struct event_sink *s = open_sink(0);

	(void)state;
	for (int i = 0; i < EVENT_STREAMS; i++) {
		emit(s, (enum event_stream)i, 1, 100);
		event_sink_turn(s); /* the one in which it came */
		assert_true(stored(s, (enum event_stream)i, 1));
	}
	event_sink_free(s);
}

static void many_events_go_together(void **state)
{
	struct event_sink *s = open_sink(0);
	uint64_t begin = clock_boot_ns(), most;

	(void)state;
	for (uint64_t i = 1; i <= 200; i++) { /* as the rings under load: a turn each 2 ms */
		emit(s, EVENT_TELEMETRY, i, 100);
		event_sink_turn(s);
		sleep_ms(2);
	}
	most = 2 + (clock_boot_ns() - begin) / (EVENT_HAND_OVER_MS * NS_PER_MS);
	assert_int_equal(event_sink_flush(s, 10000), 0);
	assert_true(stats(s, EVENT_TELEMETRY).commits <= most + 1);
	event_sink_free(s);
}

static void other_budgets_hold_at_once_and_hold_nothing_up(void **state)
{
	const uint64_t big[EVENT_STREAMS] = { 32 << 20, 64 << 20 };
	const uint64_t small[EVENT_STREAMS] = { STORE_BYTES_MIN, STORE_BYTES_MIN };
	const uint64_t ours[EVENT_STREAMS] = { 0 };
	const uint32_t days[EVENT_STREAMS] = { 30, 3 }, our_days[EVENT_STREAMS] = { 0 };
	struct event_sink *s = open_sink(0);
	uint64_t first = 0, last = 0, begin, until = clock_boot_ns() + 20 * NS_PER_S;

	(void)state;
	event_sink_budgets(s, big, days);
	for (uint64_t i = 1; i <= 12000; i++) {
		emit(s, EVENT_FINDINGS, i, 700);
		if (i % 500 == 0)
			assert_int_equal(event_sink_flush(s, 10000), 0);
	}
	while (stats(s, EVENT_FINDINGS).bytes < 8 << 20 && clock_boot_ns() < until)
		sleep_ms(5);
	assert_int_equal(stats(s, EVENT_FINDINGS).bytes_max, big[0]);
	assert_int_equal(stats(s, EVENT_TELEMETRY).bytes_max, big[1]);
	assert_int_equal(stats(s, EVENT_FINDINGS).days_max, 30);
	assert_int_equal(stats(s, EVENT_FINDINGS).expired_events, 0);
	begin = clock_boot_ns();
	event_sink_budgets(s, small, days);
	assert_true(clock_boot_ns() - begin < NS_PER_S / 2); /* it does not wait for the disk */
	emit(s, EVENT_FINDINGS, 12001, 700);
	event_sink_turn(s);
	while (stats(s, EVENT_FINDINGS).bytes > STORE_BYTES_MIN && clock_boot_ns() < until)
		sleep_ms(5);
	assert_true(stats(s, EVENT_FINDINGS).bytes <= STORE_BYTES_MIN);
	event_sink_budgets(s, ours, our_days);
	while (stats(s, EVENT_FINDINGS).bytes_max != EVENT_FINDINGS_BYTES &&
	       clock_boot_ns() < until)
		sleep_ms(5);
	assert_int_equal(stats(s, EVENT_FINDINGS).bytes_max, EVENT_FINDINGS_BYTES);
	assert_int_equal(stats(s, EVENT_TELEMETRY).days_max, EVENT_TELEMETRY_DAYS);
	assert_int_equal(event_sink_flush(s, 10000), 0);
	event_sink_free(s);
	assert_true(read_all(EVENT_FINDINGS, &first, &last) > 0);
	assert_int_equal(last, 12001);
	assert_verified(EVENT_FINDINGS);
}

static void everything_is_on_disk_after_a_stop(void **state)
{
	uint64_t first = 0, last = 0;

	(void)state;
	for (uint64_t round = 0; round < 3; round++) {
		struct event_sink *s = open_sink(0);

		for (uint64_t i = 1; i <= 1000; i++)
			emit(s, EVENT_FINDINGS, 1000 * round + i, 50);
		event_sink_free(s);
	}
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 3000);
	assert_verified(EVENT_FINDINGS);
}

/* Somebody holds the lock of both open segments: the writer cannot write. */
static void hold(sqlite3 *db[2])
{
	for (int i = 0; i < 2; i++) {
		char path[PATH_MAX];

		segment_name(path, sizeof(path), (enum event_stream)i, 1, "db");
		assert_int_equal(sqlite3_open(path, &db[i]), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db[i], "BEGIN IMMEDIATE", NULL, NULL, NULL),
				 SQLITE_OK);
	}
}

static uint64_t count_of_part(uint8_t part)
{
	struct event_reader *r;
	static struct event ev;
	uint64_t n = 0;

	assert_int_equal(event_reader_open(state_dir, EVENT_FINDINGS, &r), 0);
	while (event_reader_next(r, &ev) > 0)
		n += ev.part == part;
	event_reader_close(r);
	return n;
}

static void a_writer_that_cannot_write_costs_telemetry_and_no_time(void **state)
{
	struct event_sink *s = open_sink(0);
	struct event_stream_stats findings, telemetry;
	uint64_t longest = 0;
	struct event_stats st;
	sqlite3 *db[2];

	(void)state;
	hold(db);
	for (uint64_t i = 1; i <= 20000; i++) {
		uint64_t begin = clock_boot_ns(), took;

		emit(s, EVENT_TELEMETRY, i, 800);
		if (i % 40 == 0)
			emit(s, EVENT_FINDINGS, i / 40, 800);
		took = clock_boot_ns() - begin;
		longest = took > longest ? took : longest;
		if (i % 100 == 0)
			event_sink_turn(s);
	}
	sleep_ms(700); /* longer than SQLite tries, so that the failure is known */
	event_sink_turn(s);
	findings = stats(s, EVENT_FINDINGS);
	telemetry = stats(s, EVENT_TELEMETRY);
	assert_int_equal(findings.dropped, 0);
	assert_int_equal(findings.stored, 0);
	assert_true(telemetry.dropped > 5000);
	assert_true(findings.lag_ns > 500 * NS_PER_MS);
	event_sink_stats(s, &st);
	assert_string_not_equal(st.error, "");
	assert_int_equal(event_sink_flush(s, 50), -EIO);
	assert_true(longest < NS_PER_S / 2); /* it never waited, but for the scheduler */
	sqlite3_close(db[0]);
	sqlite3_close(db[1]);
	assert_int_equal(event_sink_flush(s, 10000), 0);
	event_sink_stats(s, &st);
	assert_string_equal(st.error, "");
	telemetry = stats(s, EVENT_TELEMETRY);
	assert_int_equal(telemetry.stored + telemetry.dropped, 20000);
	event_sink_free(s);
	assert_int_equal(count_of_part(KMN_MOD_firewall), 500);
	assert_true(count_of_part(KMN_PART_sensor) <= 1); /* it may have told of the loss */
}

static void losses_are_told_by_an_event(void **state)
{
	struct event_sink *s = open_sink(0);
	struct event_reader *r;
	static struct event ev;
	uint64_t dropped;
	sqlite3 *db[2];

	(void)state;
	hold(db);
	for (uint64_t i = 1; i <= 30000; i++)
		emit(s, EVENT_TELEMETRY, i, 500);
	dropped = stats(s, EVENT_TELEMETRY).dropped;
	assert_true(dropped > 0);
	sqlite3_close(db[0]);
	sqlite3_close(db[1]);
	event_sink_turn(s);
	assert_int_equal(event_sink_flush(s, 10000), 0);
	event_sink_free(s);
	assert_int_equal(event_reader_open(state_dir, EVENT_FINDINGS, &r), 0);
	assert_int_equal(event_reader_next(r, &ev), 1);
	assert_int_equal(ev.part, KMN_PART_sensor);
	assert_int_equal(ev.count, dropped);
	assert_true(text_is(event_get_text(&ev, EVENT_F_detail), "telemetry"));
	event_reader_close(r);
}

static void two_sensors_do_not_share_a_store(void **state)
{
	struct event_sink_config c = { .state_dir = state_dir, .kinds = &kinds };
	struct event_sink *s = open_sink(0);

	(void)state;
	assert_null(event_sink_new(&c));
	assert_int_equal(errno, EBUSY);
	event_sink_free(s);
}

/* ---- kill -9 ---- */

/* Writes findings until it is killed; tells each number that was acknowledged. */
static void child(int tell, uint64_t from)
{
	struct event_sink *s =
		open_sink(STORE_BYTES_MIN); /* small segments: seals and expiry too */
	unsigned seed = (unsigned)from;

	for (uint64_t n = from;;) {
		uint64_t batch = 1 + (uint64_t)rand_r(&seed) % 60;

		for (uint64_t i = 0; i < batch; i++)
			emit(s, EVENT_FINDINGS, n + i, (uint32_t)rand_r(&seed) % 2000);
		if (event_sink_flush(s, 20000))
			_exit(3);
		n += batch;
		if (write(tell, &(uint64_t){ n - 1 }, sizeof(uint64_t)) != sizeof(uint64_t))
			_exit(4);
	}
}

static uint64_t kill_once(uint64_t from, unsigned after_us)
{
	uint64_t acknowledged = from - 1, n;
	int fd[2], status;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(fd[0]);
		child(fd[1], from);
	}
	close(fd[1]);
	(void)usleep(after_us);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status)); /* it did not end by an error of its own */
	while (read(fd[0], &n, sizeof(n)) == sizeof(n))
		acknowledged = n;
	close(fd[0]);
	return acknowledged;
}

static void nothing_acknowledged_is_lost_by_kill_9(void **state)
{
	const char *soak = getenv("KMN_SOAK");
	unsigned kills = soak && *soak ? 1000 : 50, seed = (unsigned)time(NULL);
	uint64_t from = 1, first = 0, last = 0, sum = 0;
	struct store_stats st;

	(void)state;
	print_message("kill -9: seed %u\n", seed);
	for (unsigned i = 0; i < kills; i++) {
		uint64_t acknowledged = kill_once(from, 1000 + (unsigned)rand_r(&seed) % 60000);
		struct store_config c = { .state_dir = state_dir,
					  .bytes_max = { STORE_BYTES_MIN, STORE_BYTES_MIN },
					  .days_max = { 400, 7 } };
		struct event_store *s = NULL;

		assert_int_equal(store_open(&c, &s), 0);
		store_stats(s, EVENT_FINDINGS, &st);
		store_close(s);
		assert_int_equal(st.damaged, 0);
		assert_true(st.seq >= acknowledged);
		if (st.seq) { /* read_all() sees that numbers follow each other and are their own */
			(void)read_all(EVENT_FINDINGS, &first, &last);
			assert_int_equal(last, st.seq);
		}
		assert_verified(EVENT_FINDINGS);
		sum += st.seq + 1 - from;
		from = st.seq + 1;
	}
	print_message("kill -9: %u times, %llu events, none of the acknowledged ones lost\n", kills,
		      (unsigned long long)sum);
	assert_true(sum > 1000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_state_dir, remove_state_dir)
	const struct CMUnitTest tests[] = {
		T(an_event_is_on_disk_soon_after_it_was_emitted),
		T(a_lone_event_waits_for_no_other),
		T(many_events_go_together),
		T(other_budgets_hold_at_once_and_hold_nothing_up),
		T(everything_is_on_disk_after_a_stop),
		T(a_writer_that_cannot_write_costs_telemetry_and_no_time),
		T(losses_are_told_by_an_event),
		T(two_sensors_do_not_share_a_store),
		T(nothing_acknowledged_is_lost_by_kill_9),
	};

	event_kinds_init(&kinds);
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
