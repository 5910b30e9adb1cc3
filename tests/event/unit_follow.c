/* The store as a follower sees it: events in order, woken by what is written, and as JSON the same
 * object whoever prints it. */
#include <fcntl.h>
#include "base/log.h"
#include "event/follow.h"
#include "event/ocsf.h"
#include "event/sample.h"
#include "event/sink.h"
#include "event/store_tool.h"
#include "event/tail.h"

#define T0 (1790000000ULL * NS_PER_S)
#define EVENTS 500

static struct event_kinds kinds;

static struct event_store *open_store(const struct store_config *c)
{
	struct event_store *s = NULL;

	assert_int_equal(store_open(c, &s), 0);
	return s;
}

static bool is_odd(void *arg, const struct event *ev)
{
	(void)arg;
	return ev->seq % 2;
}

static void a_follower_is_woken_by_what_is_written(void **state)
{
	struct store_config c = small_store();
	struct event_follow_config f = { .state_dir = state_dir,
					 .stream = { true, true },
					 .match = is_odd };
	struct event_store *s = open_store(&c);
	struct event_follow *follow = NULL;
	struct event_origin origin;
	const struct event *ev;
	uint64_t begin;

	(void)state;
	assert_int_equal(store_events(s, EVENT_FINDINGS, 1, 9, 100, T0), 0);
	assert_int_equal(store_events(s, EVENT_TELEMETRY, 1, 9, 100, T0 + 500), 0);
	assert_int_equal(event_follow_open(&f, &follow), 0);
	assert_int_equal(event_follow_last(follow, 3), 0); /* of both: 9 of each, 7 before it */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(event_follow_next(follow, &ev, &origin), 1);
		assert_int_equal(ev->seq, i < 1 ? 7 : 9);
	}
	assert_int_equal(event_follow_next(follow, &ev, &origin), 0);
	assert_int_equal(event_follow_last(follow, 0), 0);
	assert_int_equal(event_follow_next(follow, &ev, &origin), 0);
	assert_int_equal(store_events(s, EVENT_TELEMETRY, 10, 2, 100, T0), 0);
	begin = clock_boot_ns();
	event_follow_wait(follow, 20000);
	assert_true(clock_boot_ns() - begin < 10 * NS_PER_S);
	assert_int_equal(event_follow_next(follow, &ev, &origin), 1);
	assert_int_equal(ev->seq, 11);
	assert_int_equal(ev->time_ns, T0 + 1000);
	assert_string_equal(origin.host_id, store_host(s)->id);
	assert_int_equal(strlen(origin.boot_id), 36);
	assert_non_null(origin.hostname);
	event_follow_close(follow);
	store_close(s);
}

/* Random events of both streams; hostile texts, every field. */
static void emit_some(struct event_sink *sink, unsigned n)
{
	static char pool[600];
	static unsigned seed = 17;
	struct event ev;

	for (unsigned i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(pool); k++)
			pool[k] = (char)(rand_r(&seed) >> 8);
		sample_random(&ev, &seed, pool, 500);
		ev.boot_ns = 0; /* now */
		event_emit(sink, &ev);
		if (i % 64 == 0)
			event_sink_turn(sink);
	}
}

static void read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY);
	char part[65536];
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_add(out, part, (size_t)n);
	close(fd);
}

/* What komainu events --json prints of all there is from number *first of each stream on. */
static unsigned read_store(const uint64_t first[EVENT_STREAMS], struct buf *out)
{
	struct event_follow_config c = { .state_dir = state_dir, .stream = { true, true } };
	struct event_follow *follow = NULL;
	struct event_origin origin;
	const struct event *ev;
	unsigned n = 0;

	assert_int_equal(event_follow_open(&c, &follow), 0);
	while (event_follow_next(follow, &ev, &origin) > 0) {
		if (ev->seq < first[ev->stream])
			continue;
		assert_true(ocsf_event(ev, &kinds, &origin, out));
		buf_putc(out, '\n');
		n++;
	}
	event_follow_close(follow);
	return n;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of a text in the order of the alphabet: of two streams, which was seen first varies. */
static unsigned sort_lines(struct buf *text, char **lines, unsigned max)
{
	char *rest = NULL;
	unsigned n = 0;

	(void)buf_text(text);
	for (char *line = strtok_r(text->data, "\n", &rest); line && n < max;
	     line = strtok_r(NULL, "\n", &rest))
		lines[n++] = line;
	qsort(lines, n, sizeof(*lines), by_text);
	return n;
}

static void a_running_sensor_prints_the_objects_that_the_store_has(void **state)
{
	struct event_sink_config config = { .state_dir = state_dir, .kinds = &kinds };
	struct event_follow_config c = { .state_dir = state_dir, .stream = { true, true } };
	static char *printed_line[2 * EVENTS], *stored_line[2 * EVENTS];
	struct event_sink *sink = event_sink_new(&config);
	struct buf printed = { 0 }, stored = { 0 };
	uint64_t first[EVENT_STREAMS];
	struct event_stats st;
	struct event_tail *tail;
	char path[PATH_MAX];
	unsigned n;
	int fd;

	(void)state;
	assert_non_null(sink);
	(void)snprintf(path, sizeof(path), "%s/printed", state_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(fd >= 0);
	emit_some(sink, 100); /* before it: not printed */
	assert_int_equal(event_sink_flush(sink, 20000), 0);
	usleep(50000);
	event_sink_stats(sink, &st);
	for (int i = 0; i < EVENT_STREAMS; i++)
		first[i] = st.stream[i].stored + 1;
	tail = event_tail_new(&c, &kinds, fd);
	assert_non_null(tail);
	emit_some(sink, EVENTS);
	assert_int_equal(event_sink_flush(sink, 20000), 0);
	event_tail_free(tail);
	event_sink_free(sink);
	close(fd);
	read_file(path, &printed);
	n = read_store(first, &stored);
	assert_int_equal(n, EVENTS);
	assert_int_equal(sort_lines(&printed, printed_line, 2 * EVENTS), n);
	assert_int_equal(sort_lines(&stored, stored_line, 2 * EVENTS), n);
	for (unsigned i = 0; i < n; i++) {
		assert_string_equal(printed_line[i], stored_line[i]);
		assert_non_null(strstr(printed_line[i], "\"sequence\":"));
		assert_non_null(strstr(printed_line[i], "\"boot_uid\":"));
		assert_non_null(strstr(printed_line[i], "\"uid\":\""));
	}
	buf_free(&printed);
	buf_free(&stored);
}

static void a_reader_that_stands_still_does_not_hold_the_end(void **state)
{
	struct event_sink_config config = { .state_dir = state_dir, .kinds = &kinds };
	struct event_follow_config c = { .state_dir = state_dir, .stream = { true, true } };
	struct event_sink *sink = event_sink_new(&config);
	uint64_t begin = clock_boot_ns();
	struct event_tail *tail;
	int fd[2];

	(void)state;
	assert_non_null(sink);
	assert_int_equal(pipe(fd), 0); /* 64 KiB that nobody reads */
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	tail = event_tail_new(&c, &kinds, fd[1]);
	assert_non_null(tail);
	emit_some(sink, EVENTS);
	assert_int_equal(event_sink_flush(sink, 20000), 0);
	event_tail_free(tail);
	event_sink_free(sink);
	assert_true(clock_boot_ns() - begin < 20 * NS_PER_S);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_state_dir, remove_state_dir)
	const struct CMUnitTest tests[] = {
		T(a_follower_is_woken_by_what_is_written),
		T(a_running_sensor_prints_the_objects_that_the_store_has),
		T(a_reader_that_stands_still_does_not_hold_the_end),
	};

	event_kinds_init(&kinds);
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
