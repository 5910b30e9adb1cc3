#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "base/log.h"
#include "event/flood_abi.h"
#include "event/ring.h"
#include "event/store_tool.h"
#include "tests/event/flood.skel.h"

#define FINDINGS 4000
#define FLOODERS 6

/* ---- a sensor's middle: rings, kinds, sink ---- */

static uint64_t seen_telemetry, enriched;
static uint32_t table_pid; /* the one process that is "in the table", once telemetry told of it */

static bool check(const struct kmn_event *rec)
{
	return rec->kind != FLOOD_UNSOUND;
}

static int enrich(void *self, const struct kmn_event *rec, struct event *ev)
{
	const struct flood_record *r = (const void *)rec;

	assert_ptr_equal(self, &enriched);
	enriched++;
	event_u64(ev, EVENT_F_bytes, r->number);
	return 1;
}

/* Telemetry feeds the table of processes and says nothing, but for one in a thousand. */
static int enrich_telemetry(void *self, const struct kmn_event *rec, struct event *ev)
{
	const struct flood_record *r = (const void *)rec;

	(void)self;
	seen_telemetry++;
	if (rec->pid)
		table_pid = rec->pid;
	ev->stream = EVENT_TELEMETRY;
	event_u64(ev, EVENT_F_bytes, r->number);
	return r->number % 1000 == 0;
}

static int enrich_either(void *self, const struct kmn_event *rec, struct event *ev);

static const struct kmn_event_kind kinds[] = {
	{ .kind = FLOOD_GOOD,
	  .name = "good",
	  .size_min = sizeof(struct flood_record),
	  .size_max = sizeof(struct flood_record),
	  .stream = EVENT_FINDINGS,
	  .check = check,
	  .enrich = enrich_either },
	{ .kind = FLOOD_UNSOUND,
	  .name = "unsound",
	  .size_min = sizeof(struct flood_record),
	  .size_max = sizeof(struct flood_record),
	  .check = check,
	  .enrich = enrich },
	{ .kind = FLOOD_SHORT,
	  .name = "short",
	  .size_min = sizeof(struct flood_record) + 8,
	  .size_max = 4096,
	  .enrich = enrich },
	{ 0 },
};

/* The number's top bit says which ring it came by. */
#define IS_FINDING (1ULL << 63)

static int enrich_either(void *self, const struct kmn_event *rec, struct event *ev)
{
	struct flood_record copy = *(const struct flood_record *)(const void *)rec;

	if (!(copy.number & IS_FINDING))
		return enrich_telemetry(self, rec, ev);
	copy.number &= ~IS_FINDING;
	return enrich(self, &copy.head, ev);
}

static bool describe(void *arg, struct event *ev)
{
	(void)arg;
	ev->who.n = 1;
	ev->who.p[0] = (struct process_view){ .pid = ev->pid, .login_uid = UINT32_MAX };
	if (ev->pid != table_pid)
		return false;
	ev->who.p[0].exe = text_of("/bin/told");
	return true;
}

struct middle {
	struct flood_bpf *bpf;
	struct event_kinds kinds;
	struct event_sink *sink;
	struct event_ring *ring;
};

static void open_ring(struct middle *m)
{
	struct event_ring_config c = { .ring_fd = { bpf_map__fd(m->bpf->maps.kmn_findings),
						    bpf_map__fd(m->bpf->maps.kmn_telemetry) },
				       .counts_fd = bpf_map__fd(m->bpf->maps.kmn_counts),
				       .cpus = (unsigned)libbpf_num_possible_cpus(),
				       .kinds = &m->kinds };
	c.sink = m->sink;
	m->ring = event_ring_new(&c);
	assert_non_null(m->ring);
}

static int setup(void **state)
{
	struct event_sink_config c = { .describe = describe };
	struct middle *m = calloc(1, sizeof(*m));

	if (make_state_dir(state) < 0)
		return -1;
	event_kinds_init(&m->kinds);
	event_kinds_add(&m->kinds, KMN_MOD_firewall, "firewall", kinds, &enriched);
	c.state_dir = state_dir;
	c.kinds = &m->kinds;
	m->sink = event_sink_new(&c);
	m->bpf = flood_bpf__open_and_load();
	if (!m->sink || !m->bpf)
		return -1;
	seen_telemetry = enriched = table_pid = 0;
	open_ring(m);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct middle *m = *state;

	event_ring_free(m->ring);
	event_sink_free(m->sink);
	flood_bpf__destroy(m->bpf);
	free(m);
	return remove_state_dir(state);
}

static void run_as(struct middle *m, uint64_t number, enum flood_how how, uint64_t pid)
{
	uint64_t args[4] = { number, how, pid, pid };
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = args, .ctx_size_in = sizeof(args));

	if (how == FLOOD_FINDING)
		args[0] |= IS_FINDING;
	if (bpf_prog_test_run_opts(bpf_program__fd(m->bpf->progs.flood), &o))
		fail_msg("run: %s", strerror(errno));
}

static void run(struct middle *m, uint64_t number, enum flood_how how)
{
	run_as(m, number, how, 0);
}

static struct event_accounting account(struct middle *m, enum kmn_ring ring)
{
	struct event_accounting a;

	assert_int_equal(event_ring_accounting(m->ring, ring, &a), 0);
	assert_int_equal(a.offered, a.sent + a.dropped + a.throttled);
	assert_int_equal(a.unsettled, 0);
	assert_int_equal(a.sent, a.before + a.delivered + a.refused + a.in_ring);
	return a;
}

/* ---- the tests ---- */

static void records_are_read_in_order_and_accounted(void **state)
{
	struct middle *m = *state;
	struct event_accounting a;
	uint64_t first = 0, last = 0;

	for (uint64_t i = 1; i <= 1000; i++)
		run(m, i, FLOOD_FINDING);
	a = account(m, KMN_FINDINGS);
	assert_int_equal(a.offered, 1000);
	assert_int_equal(a.in_ring, 1000);
	assert_int_equal(a.delivered, 0);
	assert_true(a.used_bytes >= 1000 * sizeof(struct flood_record));
	assert_int_equal(event_ring_turn(m->ring), 1000);
	a = account(m, KMN_FINDINGS);
	assert_int_equal(a.in_ring, 0);
	assert_int_equal(a.delivered, 1000);
	assert_int_equal(a.events, 1000);
	assert_int_equal(a.used_bytes, 0);
	assert_int_equal(event_sink_flush(m->sink, 5000), 0);
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), 1000); /* each with its number */
	assert_int_equal(first, 1);
}

static void a_turn_reads_a_bounded_number_and_findings_first(void **state)
{
	struct middle *m = *state;
	struct event_accounting f, t;

	for (uint64_t i = 1; i <= 30000; i++)
		run(m, i, FLOOD_TELEMETRY);
	for (uint64_t i = 1; i <= 300; i++)
		run(m, i, FLOOD_FINDING);
	assert_true(event_ring_turn(m->ring) <= RING_TURN_MAX);
	f = account(m, KMN_FINDINGS);
	t = account(m, KMN_TELEMETRY);
	assert_int_equal(f.delivered, 300);
	assert_int_equal(t.delivered, RING_ROUNDS * RING_TELEMETRY_BATCH);
	assert_int_equal(event_ring_period_ms(m->ring),
			 RING_PERIOD_MIN_MS); /* behind: soon again */
	while (event_ring_turn(m->ring))
		;
	assert_int_equal(account(m, KMN_TELEMETRY).delivered, 30000);
	(void)event_ring_turn(m->ring);
	assert_int_equal(event_ring_period_ms(m->ring), RING_PERIOD_MAX_MS); /* nothing comes */
}

static void bad_records_are_refused_and_counted_by_reason(void **state)
{
	static const enum flood_how bad[] = { FLOOD_WRONG_SIZE, FLOOD_WRONG_PART, FLOOD_WRONG_KIND,
					      FLOOD_KIND_SIZE, FLOOD_BAD_VALUE };
	static const enum ring_refusal why[] = { RING_BAD_SIZE, RING_UNKNOWN_PART,
						 RING_UNKNOWN_KIND, RING_BAD_KIND_SIZE,
						 RING_UNSOUND };
	struct middle *m = *state;
	struct event_accounting a;

	for (unsigned i = 0; i < 5; i++)
		for (unsigned k = 0; k <= i; k++) {
			run(m, k, bad[i]);
			run(m, k, FLOOD_DISCARD);
			run(m, 1, FLOOD_TELEMETRY);
		}
	assert_int_equal(event_ring_turn(m->ring), 30);
	a = account(m, KMN_TELEMETRY);
	assert_int_equal(a.refused, 15);
	assert_int_equal(a.delivered, 15);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(a.refused_by[why[i]], i + 1);
	assert_int_equal(enriched, 0);
}

static void a_taken_over_ring_keeps_its_account(void **state)
{
	struct middle *m = *state;
	struct event_accounting a;

	for (uint64_t i = 1; i <= 5000; i++)
		run(m, i, FLOOD_TELEMETRY);
	(void)event_ring_turn(m->ring);
	a = account(m, KMN_TELEMETRY);
	assert_int_equal(a.before, 0);
	assert_int_equal(a.delivered, 1024);
	event_ring_free(m->ring); /* as after kill -9: the maps stay */
	for (uint64_t i = 1; i <= 100; i++)
		run(m, i, FLOOD_TELEMETRY);
	open_ring(m);
	a = account(m, KMN_TELEMETRY);
	assert_int_equal(a.before, 1024);
	assert_int_equal(a.delivered, 0);
	assert_int_equal(a.in_ring, 5000 - 1024 + 100);
	while (event_ring_turn(m->ring))
		;
	a = account(m, KMN_TELEMETRY);
	assert_int_equal(a.before, 1024);
	assert_int_equal(a.delivered, 5000 - 1024 + 100);
	assert_int_equal(seen_telemetry, 5100);
}

/* Ten turns a second may cost 0.2 % of a core: 200 us each. */
static void an_idle_turn_costs_next_to_nothing(void **state)
{
	struct middle *m = *state;
	struct timespec begin, end;
	uint64_t ns;

	(void)event_ring_turn(m->ring);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(event_ring_turn(m->ring), 0);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	ns = (uint64_t)(end.tv_sec - begin.tv_sec) * NS_PER_S + (uint64_t)end.tv_nsec -
	     (uint64_t)begin.tv_nsec;
	print_message("an idle turn: %llu ns\n", (unsigned long long)(ns / 1000));
	assert_true(ns / 1000 < 200000);
	assert_int_equal(event_ring_period_ms(m->ring), RING_PERIOD_MAX_MS);
}

static uint32_t exe_len_of_first(void)
{
	struct event_reader *r;
	static struct event ev;
	uint32_t len;

	assert_int_equal(event_reader_open(state_dir, EVENT_FINDINGS, &r), 0);
	assert_int_equal(event_reader_next(r, &ev), 1);
	assert_int_equal(ev.who.n, 1);
	assert_int_equal(ev.who.p[0].pid, 4242);
	len = ev.who.p[0].exe.len;
	event_reader_close(r);
	return len;
}

static void a_finding_waits_for_the_telemetry_that_tells_its_process(void **state)
{
	struct middle *m = *state;
	struct event_stats st;

	for (uint64_t i = 1; i <= 3000; i++)
		run(m, i, FLOOD_TELEMETRY);
	run_as(m, 1, FLOOD_TELEMETRY, 4242); /* "this process began", behind three turns of noise */
	run_as(m, 1, FLOOD_FINDING, 4242);
	(void)event_ring_turn(m->ring);
	event_sink_stats(m->sink, &st);
	assert_int_equal(st.stream[EVENT_FINDINGS].parked, 1);
	(void)event_ring_turn(m->ring);
	(void)event_ring_turn(m->ring);
	event_sink_stats(m->sink, &st);
	assert_int_equal(st.stream[EVENT_FINDINGS].parked, 0);
	assert_int_equal(st.parked_late, 0);
	assert_int_equal(event_sink_flush(m->sink, 5000), 0);
	assert_int_equal(exe_len_of_first(), strlen("/bin/told"));
}

static void a_finding_whose_process_never_comes_goes_out_all_the_same(void **state)
{
	struct middle *m = *state;
	struct event_stats st;

	run_as(m, 1, FLOOD_FINDING, 4242); /* telemetry is empty: nothing to wait for */
	(void)event_ring_turn(m->ring);
	event_sink_stats(m->sink, &st);
	assert_int_equal(st.stream[EVENT_FINDINGS].parked, 0);
	assert_int_equal(st.parked_late, 1);
	assert_int_equal(event_sink_flush(m->sink, 5000), 0);
	assert_int_equal(exe_len_of_first(), 0);
}

/* ---- the flood ---- */

static atomic_bool flooding;
static atomic_ullong offered, throttled;

static void *flooder(void *arg)
{
	unsigned long long n = 0, t = 0;

	while (atomic_load(&flooding)) {
		bool spent = ++n % 8 == 0;

		run(arg, n, spent ? FLOOD_THROTTLE : FLOOD_TELEMETRY);
		t += spent;
	}
	atomic_fetch_add(&offered, n);
	atomic_fetch_add(&throttled, t);
	return NULL;
}

static void *victim(void *arg)
{
	const struct timespec half_ms = { .tv_nsec = 500000 };

	for (uint64_t i = 1; i <= FINDINGS; i++) {
		run(arg, i, FLOOD_FINDING);
		(void)nanosleep(&half_ms, NULL);
	}
	atomic_store(&flooding, false);
	return NULL;
}

static void no_finding_is_lost_while_six_threads_flood(void **state)
{
	struct middle *m = *state;
	struct event_accounting f, t;
	struct event_stats st;
	pthread_t threads[FLOODERS + 1];
	uint64_t first = 0, last = 0;

	atomic_store(&flooding, true);
	atomic_store(&offered, 0);
	atomic_store(&throttled, 0);
	for (int i = 0; i < FLOODERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, flooder, m), 0);
	assert_int_equal(pthread_create(&threads[FLOODERS], NULL, victim, m), 0);
	while (atomic_load(&flooding)) {
		struct timespec pause = { 0 };

		assert_true(event_ring_turn(m->ring) <= RING_TURN_MAX);
		pause.tv_nsec = (long)(event_ring_period_ms(m->ring) * NS_PER_MS);
		(void)nanosleep(&pause, NULL);
	}
	for (int i = 0; i <= FLOODERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	while (event_ring_turn(m->ring))
		;
	f = account(m, KMN_FINDINGS);
	t = account(m, KMN_TELEMETRY);
	print_message("flood: offered %llu = delivered %llu + dropped %llu + throttled %llu; "
		      "worst turn %llu records\n",
		      (unsigned long long)t.offered, (unsigned long long)t.delivered,
		      (unsigned long long)t.dropped, (unsigned long long)t.throttled,
		      (unsigned long long)t.worst_turn);
	assert_int_equal(f.offered, FINDINGS);
	assert_int_equal(f.dropped, 0);
	assert_int_equal(f.delivered, FINDINGS);
	assert_int_equal(t.offered, atomic_load(&offered));
	assert_int_equal(t.throttled, atomic_load(&throttled));
	assert_int_equal(t.offered, t.delivered + t.dropped + t.throttled);
	assert_int_equal(t.delivered, seen_telemetry);
	assert_int_equal(t.refused, 0);
	assert_true(t.worst_turn <= RING_TURN_MAX);
	assert_int_equal(event_sink_flush(m->sink, 10000), 0);
	event_sink_stats(m->sink, &st);
	assert_int_equal(st.stream[EVENT_FINDINGS].dropped, 0);
	assert_int_equal(st.stream[EVENT_TELEMETRY].emitted,
			 st.stream[EVENT_TELEMETRY].stored + st.stream[EVENT_TELEMETRY].dropped);
	assert_int_equal(read_all(EVENT_FINDINGS, &first, &last), FINDINGS);
	assert_verified(EVENT_FINDINGS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(records_are_read_in_order_and_accounted),
		T(a_turn_reads_a_bounded_number_and_findings_first),
		T(an_idle_turn_costs_next_to_nothing),
		T(bad_records_are_refused_and_counted_by_reason),
		T(a_taken_over_ring_keeps_its_account),
		T(a_finding_waits_for_the_telemetry_that_tells_its_process),
		T(a_finding_whose_process_never_comes_goes_out_all_the_same),
		T(no_finding_is_lost_while_six_threads_flood),
	};
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	if (geteuid()) {
		puts("this needs root");
		return 77;
	}
	(void)setrlimit(RLIMIT_MEMLOCK, &all); /* kernels before 5.11 count maps there */
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
