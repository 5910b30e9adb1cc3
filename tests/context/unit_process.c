#include <stdio.h>
#include <unistd.h>
#include "context/feed.h"
#include "context/count_malloc.h"

static struct process_chain chain;

static int setup(void **state)
{
	*state = process_table_new(NULL);
	return *state ? 0 : -1;
}

static int setup_small(void **state) /* 64 processes, room for few texts */
{
	struct process_limits limits = { .processes = 64, .bytes = 400 << 10 };

	*state = process_table_new(&limits);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	process_table_free(*state);
	return 0;
}

static void an_exec_names_executable_arguments_and_parents(void **state)
{
	struct process_table *t = *state;

	assert_true(forked(t, 1, S(1), 0, 0, 0));
	assert_true(executed(t, 1, S(1), 1, "/sbin/init", "init", S(1)));
	assert_true(forked(t, 10, S(2), 1, S(1), 1));
	assert_true(executed(t, 10, S(2), 2, "/bin/bash", "bash", S(2)));
	assert_true(forked(t, 20, S(3), 10, S(2), 2));
	assert_true(executed(t, 20, S(3), 3, "/bin/ls", "ls", S(3)));
	assert_true(process_describe(t, 20, S(3), S(4), &chain));
	assert_int_equal(chain.n, 3);
	assert_says(chain.p[0].exe, "/bin/ls");
	assert_says(chain.p[1].exe, "/bin/bash");
	assert_says(chain.p[1].args, "bash");
	assert_says(chain.p[2].exe, "/sbin/init");
	assert_says(chain.p[0].user, "root");
	assert_int_equal(chain.p[0].source, PROCESS_SEEN);
	assert_int_equal(chain.p[0].login_uid, UINT32_MAX);
	assert_int_equal(chain.p[2].ppid, 0);
}

static void a_chain_has_six_at_most(void **state)
{
	struct process_table *t = *state;

	for (uint32_t pid = 1; pid < 20; pid++)
		assert_true(forked(t, pid, S(pid), pid - 1, S(pid - 1), 0));
	assert_true(process_describe(t, 19, S(19), S(30), &chain));
	assert_int_equal(chain.n, PROCESS_CHAIN);
	for (uint32_t i = 0; i < PROCESS_CHAIN; i++)
		assert_int_equal(chain.p[i].pid, 19 - i);
}

static void an_unknown_parent_ends_the_chain_with_its_pid(void **state)
{
	assert_true(forked(*state, 10, S(2), 7, S(1), 0));
	assert_true(process_describe(*state, 10, S(2), S(3), &chain));
	assert_int_equal(chain.n, 2);
	assert_int_equal(chain.p[1].pid, 7);
	assert_int_equal(chain.p[1].start_ns, S(1));
	assert_int_equal(chain.p[1].source, PROCESS_UNKNOWN);
	assert_int_equal(chain.p[1].uid, UINT32_MAX);
}

static void a_stranger_is_its_pid_alone_and_pid_0_nobody(void **state)
{
	assert_false(process_describe(*state, 99, S(1), S(2), &chain));
	assert_int_equal(chain.n, 1);
	assert_int_equal(chain.p[0].pid, 99);
	assert_null(chain.p[0].exe.p);
	assert_false(process_describe(*state, 0, 0, S(2), &chain));
	assert_int_equal(chain.n, 0);
	assert_int_equal(stats_of(*state).unknown, 1);
	assert_int_equal(stats_of(*state).lookups, 1);
}

static void one_pid_used_again_is_another_process(void **state)
{
	struct process_table *t = *state;

	forked(t, 10, S(1), 1, 0, 0);
	executed(t, 10, S(1), 1, "/bin/old", "old", S(1));
	exited(t, 10, S(1), 1, S(5));
	forked(t, 10, S(6), 1, 0, 0);
	executed(t, 10, S(6), 1, "/bin/new", "new", S(6));
	assert_true(process_describe(t, 10, S(1), S(7), &chain));
	assert_says(chain.p[0].exe, "/bin/old");
	assert_true(chain.p[0].flags & PROCESS_EXITED);
	assert_true(process_describe(t, 10, S(6), S(7), &chain));
	assert_says(chain.p[0].exe, "/bin/new");
	/* by pid alone: who had it then */
	assert_true(process_describe(t, 10, 0, S(3), &chain));
	assert_says(chain.p[0].exe, "/bin/old");
	assert_true(process_describe(t, 10, 0, S(7), &chain));
	assert_says(chain.p[0].exe, "/bin/new");
	assert_true(process_describe(t, 10, 0, 0, &chain));
	assert_says(chain.p[0].exe, "/bin/new");
	assert_false(process_describe(t, 10, 0, S(5) + NS_PER_S / 2, &chain)); /* between them */
}

/* As /proc tells it, of a process whose fork was seen. */
static void a_start_in_whole_ticks_finds_the_process_of_that_tick(void **state)
{
	struct process_table *t = *state;

	forked(t, 10, S(1) + 1234567, 1, 0, 0);
	assert_true(process_describe(t, 10, S(1), 0, &chain));
	assert_int_equal(chain.p[0].start_ns, S(1) + 1234567);
	assert_false(process_describe(t, 10, S(1) + 10 * NS_PER_MS, 0, &chain));
	assert_false(process_describe(t, 10, S(1) + 7, 0, &chain)); /* exact, and another */
}

static void a_lost_exit_is_noticed_when_the_pid_comes_back(void **state)
{
	struct process_table *t = *state;

	forked(t, 10, S(1), 1, 0, 0);
	forked(t, 10, S(6), 1, 0, 0);
	assert_int_equal(stats_of(t).live, 1);
	assert_int_equal(stats_of(t).exited, 1);
	assert_int_equal(stats_of(t).lost_exits, 1);
	exited(t, 10, S(1), 0, S(5)); /* it was on its way */
	assert_int_equal(stats_of(t).lost_exits, 0);
	assert_int_equal(stats_of(t).exits, 1);
	/* a record of the one before, late: it does not live beside the newer one */
	forked(t, 10, S(3), 1, 0, 0);
	assert_int_equal(stats_of(t).live, 1);
	assert_true(process_describe(t, 10, 0, S(7), &chain));
	assert_int_equal(chain.p[0].start_ns, S(6));
}

static void a_tick_notices_processes_that_are_gone(void **state)
{
	struct process_table *t = *state;
	uint32_t max = 1U << 22; /* no kernel has such a pid */

	forked(t, (uint32_t)getpid(), S(1), 1, 0, 0);
	forked(t, max + 5, S(1), 1, 0, 0);
	for (int i = 0; i < 100; i++)
		process_table_tick(t, S(100 + i));
	assert_int_equal(stats_of(t).lost_exits, 1);
	assert_int_equal(stats_of(t).live, 1);
	assert_false(process_describe(t, max + 5, 0, 0, &chain));
	assert_true(process_describe(t, (uint32_t)getpid(), 0, 0, &chain));
}

static void doubles_are_counted_and_change_nothing(void **state)
{
	struct process_table *t = *state;

	assert_true(forked(t, 10, S(1), 1, 0, 4));
	assert_false(forked(t, 10, S(1), 1, 0, 4));
	assert_true(executed(t, 10, S(1), 5, "/bin/a", "a", S(2)));
	assert_false(executed(t, 10, S(1), 5, "/bin/forged", "b", S(2)));
	assert_true(executed(t, 10, S(1), 6, "/bin/c", "c", S(3)));
	assert_false(executed(t, 10, S(1), 5, "/bin/a", "a", S(2))); /* out of order */
	assert_true(process_describe(t, 10, S(1), S(3), &chain));
	assert_says(chain.p[0].exe, "/bin/c");
	assert_false(forked(t, 10, S(1), 1, 0, 4)); /* also after its execs */
	assert_true(exited(t, 10, S(1), 6, S(4)));
	assert_false(exited(t, 10, S(1), 6, S(4)));
	assert_int_equal(stats_of(t).doubles, 5);
	assert_int_equal(stats_of(t).forks, 1);
	assert_int_equal(stats_of(t).execs, 2);
	assert_int_equal(stats_of(t).exits, 1);
	assert_int_equal(stats_of(t).live, 0);
}

static void an_exit_of_a_stranger_is_told_once(void **state)
{
	assert_true(exited(*state, 10, S(1), 3, S(4)));
	assert_false(exited(*state, 10, S(1), 3, S(4)));
	assert_int_equal(stats_of(*state).exited, 1);
}

static void a_forked_child_shares_the_texts_of_its_parent(void **state)
{
	struct process_table *t = *state;
	char args[3000];
	uint64_t before;

	memset(args, 'x', sizeof(args) - 1);
	args[sizeof(args) - 1] = 0;
	forked(t, 1, S(1), 0, 0, 0);
	executed(t, 1, S(1), 1, "/bin/server", args, S(1));
	before = stats_of(t).text_bytes;
	assert_true(before >= 3000 && before <= 8192);
	for (uint32_t i = 0; i < 10000; i++)
		assert_true(forked(t, 100 + i, S(2) + i, 1, S(1), 1));
	assert_int_equal(stats_of(t).text_bytes, before);
	exited(t, 1, S(1), 1, S(3));
	assert_true(process_describe(t, 10099, S(2) + 9999, S(3), &chain));
	assert_says(chain.p[0].exe, "/bin/server");
	assert_says(chain.p[0].args, args);
	assert_true(executed(t, 100, S(2), 2, "/bin/other", "o", S(3)));
	assert_true(process_describe(t, 101, S(2) + 1, S(3), &chain));
	assert_says(chain.p[0].exe, "/bin/server");
}

static void texts_are_freed_with_the_last_that_has_them(void **state)
{
	struct process_table *t = *state;

	for (int round = 0; round < 200; round++) {
		uint64_t at = S(10 + round);

		forked(t, 1000 + round, at, 0, 0, 0);
		executed(t, 1000 + round, at, 1, "/bin/x", "x", at);
		for (uint32_t i = 0; i < 3; i++)
			forked(t, 2000 + i, at + i + 1, 1000 + round, at, 1);
		exited(t, 1000 + round, at, 1, at + 9);
	}
	/* what 64 entries can hold, and no more */
	assert_true(stats_of(t).text_bytes <= 64 * 128);
	assert_int_equal(stats_of(t).texts_dropped, 0);
}

static void under_clone_parent_the_texts_are_those_of_the_caller(void **state)
{
	struct process_table *t = *state;
	struct process_fork f = { .who = who(30, S(3), S(3)),
				  .from_pid = 20,
				  .from_start_ns = S(2) };

	forked(t, 10, S(1), 0, 0, 0);
	executed(t, 10, S(1), 1, "/bin/parent", "p", S(1));
	forked(t, 20, S(2), 10, S(1), 1);
	executed(t, 20, S(2), 2, "/bin/caller", "c", S(2));
	f.who.ppid = 10;
	f.who.parent_start_ns = S(1);
	f.who.exec_id = 2;
	assert_true(process_fork(t, &f, NULL));
	assert_true(process_describe(t, 30, S(3), S(4), &chain));
	assert_int_equal(chain.n, 2);
	assert_says(chain.p[0].exe, "/bin/caller");
	assert_says(chain.p[1].exe, "/bin/parent");
}

static void an_orphan_keeps_the_parent_that_made_it(void **state)
{
	struct process_table *t = *state;
	struct process_exec x = { .who = who(20, S(3), S(5)), .exe = text_of("/bin/daemon") };

	forked(t, 1, S(1), 0, 0, 0);
	forked(t, 10, S(2), 1, S(1), 0);
	forked(t, 20, S(3), 10, S(2), 0);
	exited(t, 10, S(2), 0, S(4));
	x.who.exec_id = 1;
	x.who.ppid = 1; /* the kernel has given it to init */
	x.who.parent_start_ns = S(1);
	assert_true(process_exec(t, &x, NULL));
	assert_true(process_describe(t, 20, S(3), S(6), &chain));
	assert_int_equal(chain.n, 3);
	assert_int_equal(chain.p[1].pid, 10);
	assert_true(chain.p[1].flags & PROCESS_EXITED);
	assert_int_equal(chain.p[2].pid, 1);
}

static void parents_that_go_round_in_a_ring_end(void **state)
{
	struct process_table *t = *state;

	forked(t, 10, S(1), 20, 0, 0);
	forked(t, 20, S(1), 10, 0, 0);
	assert_true(process_describe(t, 10, S(1), S(2), &chain));
	assert_int_equal(chain.n, 3); /* 10, 20, and 10 as one that is not known */
	assert_int_equal(chain.p[2].source, PROCESS_UNKNOWN);
	forked(t, 30, S(1), 30, S(1), 0); /* its own parent */
	assert_true(process_describe(t, 30, S(1), S(2), &chain));
	assert_int_equal(chain.n, 2);
	forked(t, 40, S(1), 50, S(2), 0); /* a parent that is younger */
	forked(t, 50, S(2), 40, S(1), 0);
	assert_true(process_describe(t, 40, S(1), S(3), &chain));
	assert_int_equal(chain.p[1].source, PROCESS_UNKNOWN);
}

static void what_an_exec_record_missed_is_not_shown_as_the_program_before(void **state)
{
	struct process_table *t = *state;

	forked(t, 10, S(1), 0, 0, 0);
	executed(t, 10, S(1), 1, "/bin/shell", "sh", S(1));
	/* the record of its second exec was lost; now it forks */
	assert_true(forked(t, 20, S(3), 10, S(1), 2));
	assert_true(process_describe(t, 20, S(3), S(4), &chain));
	assert_null(chain.p[0].exe.p);
	assert_null(chain.p[1].exe.p);
	assert_int_equal(stats_of(t).missed_execs, 1);
	/* it comes late: then all is well for the parent */
	assert_true(executed(t, 10, S(1), 2, "/bin/evil", "evil", S(2)));
	assert_true(process_describe(t, 10, S(1), S(4), &chain));
	assert_says(chain.p[0].exe, "/bin/evil");
}

static void the_rest_of_an_exec_completes_it(void **state)
{
	struct process_table *t = *state;
	struct process_exec x = { .who = who(10, S(1), S(1)), .args = text_of("a b c d") };
	struct process_exec more = { .who = who(10, S(1), S(1)), .exe = text_of("/very/deep") };

	x.who.exec_id = more.who.exec_id = 7;
	x.flags = PROCESS_PATH_CUT;
	assert_true(process_exec(t, &x, NULL));
	assert_true(process_exec_more(t, &more));
	assert_true(process_describe(t, 10, S(1), S(1), &chain));
	assert_says(chain.p[0].exe, "/very/deep");
	assert_says(chain.p[0].args, "a b c d");
	assert_null(chain.p[0].cwd.p);
	assert_int_equal(chain.p[0].flags, 0);
	more.who.exec_id = 6; /* another exec came meanwhile */
	assert_false(process_exec_more(t, &more));
	more.who.pid = 11;
	assert_false(process_exec_more(t, &more));
}

static void long_texts_are_cut_and_marked(void **state)
{
	struct process_table *t = *state;
	static char args[65536], path[5000];
	struct process_exec x = { .who = who(10, S(1), S(1)),
				  .exe = { path, sizeof(path) },
				  .args = { args, sizeof(args) },
				  .cwd = { path, 4096 } };

	memset(args, 'a', sizeof(args));
	memset(path, 'p', sizeof(path));
	x.who.exec_id = 1;
	assert_true(process_exec(t, &x, NULL));
	assert_true(process_describe(t, 10, S(1), S(1), &chain));
	assert_int_equal(chain.p[0].args.len, PROCESS_ARGS_KEPT);
	assert_int_equal(chain.p[0].exe.len, PROCESS_PATH_KEPT);
	assert_int_equal(chain.p[0].cwd.len, 4096);
	assert_int_equal(chain.p[0].flags, PROCESS_ARGS_CUT | PROCESS_PATH_CUT);
	x.args.len = 4096;
	x.exe.len = 4096;
	x.who.exec_id = 2;
	assert_true(process_exec(t, &x, NULL));
	assert_true(process_describe(t, 10, S(1), S(1), &chain));
	assert_int_equal(chain.p[0].flags, 0);
}

/* ---- eviction ---- */

static void the_longest_ended_goes_first_and_the_living_last(void **state)
{
	struct process_table *t = *state;

	for (uint32_t i = 0; i < 64; i++)
		forked(t, 100 + i, S(1) + i, 0, 0, 0);
	exited(t, 105, S(1) + 5, 0, S(2));
	exited(t, 103, S(1) + 3, 0, S(3));
	forked(t, 200, S(30), 0, 0, 0);
	assert_int_equal(stats_of(t).evicted_exited, 1);
	assert_false(process_describe(t, 105, S(1) + 5, 0, &chain));
	assert_true(process_describe(t, 103, S(1) + 3, 0, &chain));
	forked(t, 201, S(31), 0, 0, 0);
	assert_false(process_describe(t, 103, S(1) + 3, 0, &chain));
	assert_int_equal(stats_of(t).evicted_exited, 2);
	assert_int_equal(stats_of(t).evicted_live, 0);
	/* only the living are left: who was not asked for the longest goes */
	assert_true(process_describe(t, 100, S(1), 0, &chain));
	forked(t, 202, S(32), 0, 0, 0);
	assert_int_equal(stats_of(t).evicted_live, 1);
	assert_true(process_describe(t, 100, S(1), 0, &chain));
	assert_false(process_describe(t, 101, S(1) + 1, 0, &chain));
	assert_int_equal(stats_of(t).live, 64);
}

static void an_ended_process_that_goes_too_early_is_counted(void **state)
{
	struct process_table *t = *state;

	for (uint32_t i = 0; i < 64; i++)
		forked(t, 100 + i, S(1) + i, 0, 0, 0);
	exited(t, 100, S(1), 0, S(2));
	forked(t, 200, S(3), 0, 0, 0);
	assert_int_equal(stats_of(t).evicted_early, 1);
	assert_int_equal(stats_of(t).evicted_exited, 0);
}

static void a_parent_is_not_evicted_for_its_child(void **state)
{
	struct process_table *t = *state;

	forked(t, 1, S(1), 0, 0, 0);
	executed(t, 1, S(1), 1, "/bin/bomb", "bomb", S(1));
	for (uint32_t i = 0; i < 1000; i++) {
		forked(t, 100 + i, S(2) + i, 1, S(1), 1);
		assert_true(process_describe(t, 100 + i, S(2) + i, 0, &chain));
		assert_says(chain.p[0].exe, "/bin/bomb");
		assert_int_equal(chain.p[1].pid, 1);
		assert_says(chain.p[1].exe, "/bin/bomb");
	}
	assert_int_equal(stats_of(t).evicted_live, 1000 + 1 - 64);
}

static void one_pid_cannot_fill_the_table(void **state)
{
	struct process_table *t = *state;

	for (uint32_t i = 0; i < 1000; i++)
		forked(t, 7, S(1) + i, 0, 0, 0);
	assert_true(stats_of(t).live + stats_of(t).exited <= 33);
	assert_true(process_describe(t, 7, 0, 0, &chain));
	assert_int_equal(chain.p[0].start_ns, S(1) + 999);
}

static void without_room_for_texts_they_are_shortened_and_old_ones_go(void **state)
{
	struct process_table *t = *state;
	static char args[4096];
	struct process_stats s;

	memset(args, 'a', sizeof(args) - 1);
	for (uint32_t i = 0; i < 60; i++) {
		forked(t, 100 + i, S(1) + i, 0, 0, 0);
		assert_true(executed(t, 100 + i, S(1) + i, 1, "/bin/greedy", args, S(2)));
		assert_true(process_describe(t, 100 + i, S(1) + i, 0, &chain));
		assert_says(chain.p[0].exe, "/bin/greedy"); /* the newest is always whole */
		assert_int_equal(chain.p[0].args.len, sizeof(args) - 1);
	}
	s = stats_of(t);
	assert_true(s.texts_dropped > 0);
	assert_int_equal(s.live, 60);
	assert_true(s.text_bytes <= s.text_bytes_max);
	assert_true(s.bytes <= 400 << 10);
}

/* ---- credentials ---- */

static void credentials_that_changed_unseen_are_told_at_the_next_record(void **state)
{
	struct process_table *t = *state;
	struct process_who w = who(10, S(1), S(5));
	struct process_late late;

	forked(t, 10, S(1), 0, 0, 0);
	w.creds = user_creds;
	assert_true(process_exit(t, &w, &late));
	assert_true(late.creds);
	assert_int_equal(late.pid, 10);
	assert_int_equal(late.old.uid, 0);
	assert_int_equal(late.now.uid, 1000);
	assert_int_equal(stats_of(t).late_creds, 1);
	assert_true(process_describe(t, 10, S(1), 0, &chain));
	assert_int_equal(chain.p[0].uid, 1000);
}

static void an_exec_tells_of_credentials_once(void **state)
{
	struct process_table *t = *state;
	struct process_exec x = { .who = who(10, S(1), S(2)), .exe = text_of("/bin/su") };
	struct process_late late;

	forked(t, 10, S(1), 0, 0, 0);
	x.who.exec_id = 1;
	x.who.creds = user_creds;
	assert_true(process_exec(t, &x, &late));
	assert_true(late.creds);
	assert_false(process_exec(t, &x, &late)); /* of the other instance */
	assert_false(late.creds);
	x.who.exec_id = 2;
	assert_true(process_exec(t, &x, &late));
	assert_false(late.creds);
}

static void a_fork_with_other_credentials_tells_of_the_parent(void **state)
{
	struct process_table *t = *state;
	struct process_fork f = { .who = who(20, S(3), S(3)),
				  .from_pid = 10,
				  .from_start_ns = S(1) };
	struct process_late late;

	forked(t, 10, S(1), 0, 0, 0);
	f.who.ppid = 10;
	f.who.creds = user_creds;
	assert_true(process_fork(t, &f, &late));
	assert_true(late.creds);
	assert_int_equal(late.pid, 10);
	assert_int_equal(late.start_ns, S(1));
	f.who.pid = 21; /* the next child is no news */
	assert_true(process_fork(t, &f, &late));
	assert_false(late.creds);
}

static void a_child_in_a_user_namespace_of_its_own_tells_of_itself(void **state)
{
	struct process_table *t = *state;
	struct process_fork f = { .who = who(20, S(3), S(3)),
				  .from_pid = 10,
				  .from_start_ns = S(1) };
	struct process_who w = who(10, S(1), S(2));
	struct process_late late;

	forked(t, 10, S(1), 0, 0, 0);
	w.creds = user_creds;
	assert_true(process_cred(t, &w));
	f.who.ppid = 10;
	f.who.creds = user_creds;
	f.who.creds.cap_effective = f.who.creds.cap_permitted = 0x1ffffffffff;
	assert_true(process_fork(t, &f, &late));
	assert_true(late.creds);
	assert_int_equal(late.pid, 20);
	assert_int_equal(late.old.cap_effective, 0);
	f.who.pid = 21;
	f.who.creds = user_creds; /* the parent has what it had */
	assert_true(process_fork(t, &f, &late));
	assert_false(late.creds);
}

static void a_record_of_credentials_is_told_once_and_nothing_is_late_then(void **state)
{
	struct process_table *t = *state;
	struct process_who w = who(10, S(1), S(2));
	struct process_late late;

	forked(t, 10, S(1), 0, 0, 0);
	w.creds = user_creds;
	assert_true(process_cred(t, &w));
	assert_false(process_cred(t, &w));
	w.creds = root_creds; /* there and back is two changes */
	assert_true(process_cred(t, &w));
	assert_true(process_exit(t, &w, &late));
	assert_false(late.creds);
}

/* ---- bounds ---- */

static uint64_t storm(struct process_table *t, uint32_t n, uint64_t from_ns)
{
	char args[64];

	for (uint32_t i = 0; i < n; i++) {
		uint64_t at = from_ns + i * 1000;
		uint32_t pid = 1000 + i % 30000;

		forked(t, pid, at, 1, S(1), 1);
		(void)snprintf(args, sizeof(args), "job --number %u", i);
		executed(t, pid, at, 2, "/usr/bin/job", args, at + 100);
		if (i % 16) /* one of sixteen lives on, until its pid is used again */
			exited(t, pid, at, 2, at + 200);
		(void)process_describe(t, pid, at, at + 200, &chain);
	}
	return from_ns + n * 1000ULL;
}

static void a_million_forks_execs_and_exits_stay_within_the_memory(void **state)
{
	struct process_table *t = *state;
	struct process_stats s;
	uint64_t at;

	forked(t, 1, S(1), 0, 0, 0);
	executed(t, 1, S(1), 1, "/sbin/init", "init", S(1));
	at = storm(t, 40000, S(2));
	count_malloc_begin();
	(void)storm(t, 960000, at);
	process_table_tick(t, at + S(1000));
	assert_int_equal(count_malloc_n, 0);
	s = stats_of(t);
	assert_int_equal(s.forks, 1000001);
	assert_int_equal(s.execs, 1000001);
	assert_int_equal(s.doubles, 0);
	assert_int_equal(s.unknown, 0);
	assert_int_equal(s.texts_dropped, 0);
	assert_int_equal(s.evicted_live, 0);
	assert_true(s.live + s.exited <= PROCESS_CAPACITY);
	assert_true(s.bytes <= PROCESS_BYTES);
	assert_int_equal(s.bytes, process_table_memory_max(t));
	assert_true(process_describe(t, 1, S(1), 0, &chain)); /* as a parent it was asked for */
}

static void the_limit_of_bytes_holds_and_too_little_is_refused(void **state)
{
	struct process_limits limits = { .processes = 1000, .bytes = 1 << 20 };
	struct process_table *t = process_table_new(&limits);

	(void)state;
	assert_non_null(t);
	assert_true(process_table_memory_max(t) <= 1 << 20);
	assert_true(process_table_memory_max(t) > (1 << 20) - (20 << 10)); /* and is used */
	process_table_free(t);
	limits.bytes = 1000;
	assert_null(process_table_new(&limits));
	process_table_free(NULL);
}

static void random_records_never_break_a_small_table(void **state)
{
	struct process_table *t = *state;
	uint64_t x = 88172645463325252ULL;
	static char args[5000];

	memset(args, 'z', sizeof(args));
	for (int i = 0; i < 300000; i++) {
		struct process_exec e = { .args = { args, 0 }, .exe = { "/bin/x", 6 } };
		struct process_fork f = { 0 };

		x ^= x << 13, x ^= x >> 7, x ^= x << 17; /* xorshift64 */
		e.who = who(1 + x % 50, S(1 + (x >> 8) % 8), S(10) + (uint64_t)i * NS_PER_MS);
		e.who.ppid = (uint32_t)(x >> 16) % 50;
		e.who.parent_start_ns = (x >> 24) % 3 ? S((x >> 26) % 8) : 0;
		e.who.exec_id = (x >> 32) % 4;
		e.args.len = (uint32_t)((x >> 36) % sizeof(args));
		f.who = e.who;
		f.from_pid = (uint32_t)(x >> 50) % 50;
		switch ((x >> 60) % 7) {
		case 0:
		case 1:
			(void)process_fork(t, &f, NULL);
			break;
		case 2:
		case 3:
			(void)process_exec(t, &e, NULL);
			break;
		case 4:
			(void)process_exit(t, &e.who, NULL);
			break;
		case 5:
			(void)process_exec_more(t, &e);
			break;
		default:
			(void)process_describe(t, e.who.pid, (x >> 61) & 1 ? e.who.start_ns : 0, 0,
					       &chain);
			assert_true(chain.n >= 1 && chain.n <= PROCESS_CHAIN);
		}
	}
	assert_true(stats_of(t).live + stats_of(t).exited <= 64);
	assert_true(stats_of(t).text_bytes <= stats_of(t).text_bytes_max);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SMALL(f) cmocka_unit_test_setup_teardown(f, setup_small, teardown)
static void a_process_is_called_by_its_file_or_else_by_its_first_argument(void **state)
{
	static const struct {
		const char *exe, *args;
		uint32_t len;
		const char *name;
	} of[] = { { "/usr/bin/curl", "wget\0x", 6, "curl" },
		   { NULL, "/sbin/init\0splash", 17, "init" },
		   { NULL, "a/", 2, "a/" },
		   { NULL, "", 1, "?" },
		   { NULL, NULL, 0, "?" } };

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
		struct process_view p = { .exe = text_of(of[i].exe),
					  .args = { of[i].args, of[i].len } };

		assert_true(text_is(process_name(&p), of[i].name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_called_by_its_file_or_else_by_its_first_argument),
		CASE(an_exec_names_executable_arguments_and_parents),
		CASE(a_chain_has_six_at_most),
		CASE(an_unknown_parent_ends_the_chain_with_its_pid),
		CASE(a_stranger_is_its_pid_alone_and_pid_0_nobody),
		CASE(one_pid_used_again_is_another_process),
		SMALL(a_start_in_whole_ticks_finds_the_process_of_that_tick),
		CASE(a_lost_exit_is_noticed_when_the_pid_comes_back),
		SMALL(a_tick_notices_processes_that_are_gone),
		CASE(doubles_are_counted_and_change_nothing),
		CASE(an_exit_of_a_stranger_is_told_once),
		CASE(a_forked_child_shares_the_texts_of_its_parent),
		SMALL(texts_are_freed_with_the_last_that_has_them),
		CASE(under_clone_parent_the_texts_are_those_of_the_caller),
		CASE(an_orphan_keeps_the_parent_that_made_it),
		CASE(parents_that_go_round_in_a_ring_end),
		CASE(what_an_exec_record_missed_is_not_shown_as_the_program_before),
		CASE(the_rest_of_an_exec_completes_it),
		CASE(long_texts_are_cut_and_marked),
		SMALL(the_longest_ended_goes_first_and_the_living_last),
		SMALL(an_ended_process_that_goes_too_early_is_counted),
		SMALL(a_parent_is_not_evicted_for_its_child),
		SMALL(one_pid_cannot_fill_the_table),
		SMALL(without_room_for_texts_they_are_shortened_and_old_ones_go),
		CASE(credentials_that_changed_unseen_are_told_at_the_next_record),
		CASE(an_exec_tells_of_credentials_once),
		CASE(a_fork_with_other_credentials_tells_of_the_parent),
		CASE(a_child_in_a_user_namespace_of_its_own_tells_of_itself),
		CASE(a_record_of_credentials_is_told_once_and_nothing_is_late_then),
		CASE(a_million_forks_execs_and_exits_stay_within_the_memory),
		CASE(the_limit_of_bytes_holds_and_too_little_is_refused),
		SMALL(random_records_never_break_a_small_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
