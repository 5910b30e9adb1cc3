#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>
#include "base/log.h"
#include "event/sink.h"
#include "event/store_tool.h"

/* A disk of 8 MiB of the test's own, in a mount namespace of its own. */

static struct event_kinds kinds;

static int make_disk(void **state)
{
	if (make_state_dir(state) < 0)
		return -1;
	return mount("full", state_dir, "tmpfs", 0, "size=8m,mode=0700");
}

static int drop_disk(void **state)
{
	(void)umount2(state_dir, MNT_DETACH);
	return remove_state_dir(state);
}

static struct event_sink *open_sink(void)
{
	struct event_sink_config c = { .state_dir = state_dir, .kinds = &kinds };
	struct event_sink *s = event_sink_new(&c);

	assert_non_null(s);
	return s;
}

static void emit(struct event_sink *s, enum event_stream stream, uint64_t number)
{
	static char detail[1000];
	static unsigned seed = 5;
	struct event ev;

	for (uint32_t i = 0; i < sizeof(detail); i++)
		detail[i] = (char)rand_r(&seed);
	event_init(&ev, KMN_MOD_firewall, KMN_EV_DENIED, stream);
	event_u64(&ev, EVENT_F_bytes, number);
	event_text(&ev, EVENT_F_detail, (struct text){ detail, sizeof(detail) });
	event_emit(s, &ev);
}

static void fill(const char *name)
{
	static char block[4096];
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
}

static void unfill(const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	assert_int_equal(unlink(path), 0);
}

static void findings_wait_for_room_and_none_is_lost(void **state)
{
	struct event_sink *s = open_sink();
	uint64_t first = 0, last = 0;
	struct event_stats st;

	(void)state;
	for (uint64_t i = 1; i <= 100; i++)
		emit(s, EVENT_FINDINGS, i);
	assert_int_equal(event_sink_flush(s, 5000), 0);
	fill("filler");
	for (uint64_t i = 101; i <= 900; i++)
		emit(s, EVENT_FINDINGS, i);
	assert_int_equal(event_sink_flush(s, 1500), -EIO);
	event_sink_stats(s, &st);
	assert_non_null(strstr(st.error, strerror(ENOSPC)));
	assert_true(st.stream[EVENT_FINDINGS].write_errors > 0);
	assert_int_equal(st.stream[EVENT_FINDINGS].dropped, 0);
	assert_true(st.stream[EVENT_FINDINGS].in_memory > 0);
	unfill("filler");
	assert_int_equal(event_sink_flush(s, 5000), 0); /* by itself */
	event_sink_free(s);
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 900);
	assert_verified(EVENT_FINDINGS);
}

static void a_full_disk_at_the_start_does_not_stop_the_sensor(void **state)
{
	struct event_sink *s = open_sink(); /* makes the key */
	uint64_t first = 0, last = 0;

	(void)state;
	event_sink_free(s);
	remove_tree(state_dir); /* all but the mount; the key goes too */
	s = open_sink();
	event_sink_free(s);
	fill("filler");
	s = open_sink();
	for (uint64_t i = 1; i <= 50; i++)
		emit(s, EVENT_FINDINGS, i);
	assert_int_equal(event_sink_flush(s, 1500), -EIO);
	unfill("filler");
	assert_int_equal(event_sink_flush(s, 5000), 0);
	event_sink_free(s);
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 50);
}

static void telemetry_gives_way_to_findings(void **state)
{
	struct event_sink_config c = { .state_dir = state_dir,
				       .kinds = &kinds,
				       .bytes_max = { 0, STORE_BYTES_MIN } };
	struct event_sink *s = event_sink_new(&c);
	uint64_t first = 0, last = 0;
	struct event_stats st;

	(void)state;
	assert_non_null(s);
	for (uint64_t i = 1; i <= 3000; i++) {
		emit(s, EVENT_TELEMETRY, i);
		if (i % 500 == 0)
			assert_int_equal(event_sink_flush(s, 5000), 0);
	}
	fill("filler"); /* no room is left but what telemetry has */
	for (uint64_t i = 1; i <= 1000; i++) {
		emit(s, EVENT_FINDINGS, i);
		if (i % 200 == 0)
			assert_int_equal(event_sink_flush(s, 5000), 0);
	}
	event_sink_stats(s, &st);
	assert_int_equal(st.stream[EVENT_FINDINGS].stored, 1000);
	assert_true(st.stream[EVENT_TELEMETRY].expired_events > 0);
	event_sink_free(s);
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 1000);
	assert_verified(EVENT_FINDINGS);
	assert_verified(EVENT_TELEMETRY);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_disk, drop_disk)
	const struct CMUnitTest tests[] = {
		T(findings_wait_for_room_and_none_is_lost),
		T(a_full_disk_at_the_start_does_not_stop_the_sensor),
		T(telemetry_gives_way_to_findings),
	};

	if (geteuid() || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		puts("this needs root, and a mount namespace of its own");
		return 77;
	}
	event_kinds_init(&kinds);
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
