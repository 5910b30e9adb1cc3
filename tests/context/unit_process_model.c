#include <stdio.h>
#include <stdlib.h>
#include "context/feed.h"

/* The process table against a model of it that forgets nothing and searches everything: random
 * histories of a host, with doubles of every record, asked at random. */

#define PIDS 60
#define HISTORY 3000 /* records */
#define MADE_MAX 700

struct model {
	uint32_t pid, ppid;
	uint64_t start_ns, parent_start_ns, exit_ns, exec_id, cgroup_id;
	uint32_t uid;
	char exe[32];
};

static struct model made[MADE_MAX];
static int n_made;
static uint64_t now, seed;

static uint64_t rnd(uint64_t below) /* xorshift64 */
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static struct model *alive(uint32_t pid)
{
	for (int i = n_made - 1; i >= 0; i--)
		if (made[i].pid == pid && !made[i].exit_ns)
			return &made[i];
	return NULL;
}

static struct model *any_alive(void)
{
	for (int tries = 0; tries < 20; tries++) {
		struct model *m = alive((uint32_t)rnd(PIDS) + 1);

		if (m)
			return m;
	}
	return NULL;
}

static struct process_who who_is(const struct model *m)
{
	struct process_who w = who(m->pid, m->start_ns, now);

	w.ppid = m->ppid;
	w.parent_start_ns = m->parent_start_ns;
	w.exec_id = m->exec_id;
	w.cgroup_id = m->cgroup_id;
	w.creds.uid = m->uid;
	return w;
}

static void do_fork(struct process_table *t)
{
	uint32_t pid = (uint32_t)rnd(PIDS) + 1;
	struct model *from = any_alive(), *m = &made[n_made];
	struct process_fork f = { 0 };

	if (alive(pid) || n_made == MADE_MAX)
		return;
	*m = (struct model){ .pid = pid, .start_ns = now };
	if (from) {
		m->ppid = from->pid;
		m->parent_start_ns = from->start_ns;
		m->exec_id = from->exec_id;
		m->uid = from->uid;
		m->cgroup_id = from->cgroup_id;
		memcpy(m->exe, from->exe, sizeof(m->exe));
	}
	n_made++;
	f.who = who_is(m);
	if (from) {
		f.from_pid = from->pid;
		f.from_start_ns = from->start_ns;
	}
	assert_true(process_fork(t, &f, NULL));
	while (!rnd(3))
		assert_false(process_fork(t, &f, NULL));
}

static void do_exec(struct process_table *t)
{
	struct model *m = any_alive();
	struct process_exec x = { 0 };

	if (!m)
		return;
	m->exec_id++;
	(void)snprintf(m->exe, sizeof(m->exe), "/bin/p%u-%llu", m->pid,
		       (unsigned long long)rnd(1000));
	x.who = who_is(m);
	x.exe = x.args = text_of(m->exe);
	assert_true(process_exec(t, &x, NULL));
	while (!rnd(3))
		assert_false(process_exec(t, &x, NULL));
}

static void do_exit(struct process_table *t)
{
	struct model *m = any_alive();
	struct process_who w;

	if (!m)
		return;
	m->exit_ns = now;
	w = who_is(m);
	assert_true(process_exit(t, &w, NULL));
	while (!rnd(3))
		assert_false(process_exit(t, &w, NULL));
}

static void do_cred(struct process_table *t)
{
	struct model *m = any_alive();
	struct process_who w;

	if (!m)
		return;
	m->uid++;
	w = who_is(m);
	assert_true(process_cred(t, &w));
	while (!rnd(3))
		assert_false(process_cred(t, &w));
}

static void do_move(struct process_table *t)
{
	struct model *m = any_alive();
	struct process_who w;

	if (!m)
		return;
	m->cgroup_id++;
	w = who_is(m);
	assert_true(process_moved(t, &w));
	assert_false(process_moved(t, &w));
}

static struct model *find(uint32_t pid, uint64_t start_ns, uint64_t at_ns)
{
	struct model *best = NULL;

	for (int i = 0; i < n_made; i++) {
		struct model *m = &made[i];

		if (m->pid != pid)
			continue;
		if (start_ns ? m->start_ns != start_ns
			     : m->start_ns > at_ns || (m->exit_ns && m->exit_ns < at_ns))
			continue;
		if (!best || m->start_ns > best->start_ns)
			best = m;
	}
	return best;
}

static void agree(const struct model *m, const struct process_view *v)
{
	assert_int_equal(v->pid, m->pid);
	assert_int_equal(v->start_ns, m->start_ns);
	assert_int_equal(v->ppid, m->ppid);
	assert_int_equal(v->uid, m->uid);
	assert_int_equal(!!(v->flags & PROCESS_EXITED), !!m->exit_ns);
	assert_int_equal(v->exe.len, strlen(m->exe));
	if (v->exe.len) {
		assert_memory_equal(v->exe.p, m->exe, v->exe.len);
		assert_int_equal(v->args.len, v->exe.len);
	}
}

/* Ask for one by identity or by pid and time; what is found must be right, and with whole it must
 * be found with all its ancestors. */
static void ask(struct process_table *t, bool whole)
{
	const struct model *m = &made[rnd((uint64_t)n_made)];
	uint64_t start_ns = rnd(2) ? m->start_ns : 0,
		 at_ns = m->start_ns + rnd(now - m->start_ns + 1);
	struct process_chain chain;
	bool found = process_describe(t, m->pid, start_ns, at_ns, &chain);

	m = find(m->pid, start_ns, at_ns);
	if (whole)
		assert_int_equal(found, m != NULL);
	if (!found) {
		assert_int_equal(chain.n, 1);
		return;
	}
	for (uint32_t i = 0; i < chain.n; i++) {
		if (!m) { /* asked by pid alone, and who had it was forgotten: never another one */
			assert_false(whole);
			assert_int_equal(i, 0);
			return;
		}
		if (chain.p[i].source == PROCESS_UNKNOWN) {
			assert_false(whole);
			return;
		}
		agree(m, &chain.p[i]);
		m = m->ppid ? find(m->ppid, m->parent_start_ns, 0) : NULL;
	}
	assert_true(!m || chain.n == PROCESS_CHAIN);
}

static void history(struct process_table *t, uint64_t with, bool whole)
{
	seed = with * 0x9e3779b97f4a7c15ULL + 1;
	now = S(1);
	n_made = 0;
	for (int i = 0; i < HISTORY; i++) {
		static void (*const acts[])(struct process_table *) = { do_fork, do_fork, do_exec,
									do_exit, do_cred, do_move };

		now += 1 + rnd(NS_PER_S);
		acts[rnd(sizeof(acts) / sizeof(acts[0]))](t);
		if (n_made)
			ask(t, whole);
	}
}

static void a_table_with_room_agrees_with_the_model(void **state)
{
	struct process_limits limits = { .processes = 4096, .bytes = 4 << 20 };

	(void)state;
	for (uint64_t run = 0; run < 60; run++) {
		struct process_table *t = process_table_new(&limits);

		assert_non_null(t);
		history(t, run, true);
		assert_int_equal(stats_of(t).evicted_live + stats_of(t).evicted_early, 0);
		assert_int_equal(stats_of(t).missed_execs + stats_of(t).lost_exits, 0);
		assert_int_equal(stats_of(t).live + stats_of(t).exited, n_made);
		process_table_free(t);
	}
}

static void a_table_that_forgets_the_ended_is_never_wrong_of_the_rest(void **state)
{
	struct process_limits limits = { .processes = 128, .bytes = 300 << 10 };

	(void)state;
	for (uint64_t run = 1000; run < 1060; run++) {
		struct process_table *t = process_table_new(&limits);

		assert_non_null(t);
		history(t, run, false);
		assert_int_equal(stats_of(t).evicted_live, 0);
		for (uint32_t pid = 1; pid <= PIDS; pid++) {
			const struct model *m = alive(pid);
			struct process_chain chain;

			assert_int_equal(process_describe(t, pid, 0, 0, &chain), m != NULL);
			if (m)
				agree(m, &chain.p[0]);
		}
		process_table_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_with_room_agrees_with_the_model),
		cmocka_unit_test(a_table_that_forgets_the_ended_is_never_wrong_of_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
