/* Starts put together from their parts, paths from their names, records that are not sound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "services/tasks/tasks_self.h"

static struct tasks_join *slots;

static int setup(void **state)
{
	(void)state;
	slots = calloc(TASKS_JOINS, sizeof(*slots));
	return !slots;
}

static int teardown(void **state)
{
	(void)state;
	free(slots);
	return 0;
}

/* The record of an exec whose arguments are total bytes, 512 of them in it. */
static void begin(struct task_exec *r, uint32_t pid, uint32_t total)
{
	memset(r, 0, sizeof(*r));
	r->head.pid = pid;
	r->head.start_ns = 1000 + pid;
	r->head.instance = 1;
	r->who.exec_id = 5;
	r->args_total = total;
	r->args_len = total < TASK_ARGS_HERE ? (uint16_t)total : TASK_ARGS_HERE;
	memset(r->text, 'a', r->args_len);
}

static struct tasks_join *keep(const struct task_exec *r, uint64_t now_ns)
{
	struct process_exec x = { .who = { .pid = r->head.pid,
					   .start_ns = r->head.start_ns,
					   .exec_id = r->who.exec_id },
				  .args = { r->text, r->args_len } };

	return tasks_join_keep(slots, r, &x, now_ns);
}

static struct tasks_join *part(const struct task_exec *r, uint32_t offset, uint16_t len)
{
	static struct task_part p;

	memset(&p, 0, sizeof(p));
	p.head = r->head;
	p.exec_id = r->who.exec_id;
	p.what = TASK_PART_ARGS;
	p.offset = offset;
	p.len = len;
	memset(p.data, 'b', len);
	return tasks_join_part(slots, &p);
}

static void names_become_a_path(void **state)
{
	static char out[TASKS_PATH_ROOM];

	(void)state;
	assert_true(text_is(tasks_path("curl\0bin\0usr", 13, false, out), "/usr/bin/curl"));
	assert_true(text_is(tasks_path("curl\0bin", 9, true, out), ".../bin/curl"));
	assert_true(text_is(tasks_path("", 0, false, out), "/"));
	assert_true(text_is(tasks_path("", 0, true, out), "..."));
}

static void parts_in_order_make_the_whole(void **state)
{
	struct task_exec r;
	struct tasks_join *s;

	(void)state;
	begin(&r, 7, 512 + 4096 + 100);
	s = keep(&r, 1);
	assert_non_null(s);
	assert_int_equal(s->lack, TASKS_LACK_ARGS);
	assert_ptr_equal(part(&r, 512, 4096), s);
	assert_int_equal(s->lack, TASKS_LACK_ARGS);
	assert_ptr_equal(part(&r, 512 + 4096, 100), s);
	assert_int_equal(s->lack, 0);
	assert_int_equal(s->exec.args.len, 512 + 4096 + 100);
	assert_int_equal(s->exec.args.p[511], 'a');
	assert_int_equal(s->exec.args.p[512], 'b');
	assert_int_equal(s->exec.flags, 0);
}

static void a_lost_part_leaves_what_is_sure_and_a_mark(void **state)
{
	struct task_exec r;
	struct tasks_join *s;

	(void)state;
	begin(&r, 7, 20000);
	s = keep(&r, 1);
	assert_ptr_equal(part(&r, 512 + 4096, 4096), s); /* the first one is missing */
	assert_int_equal(s->lack, 0);
	assert_int_equal(s->exec.args.len, 512);
	assert_true(s->exec.flags & PROCESS_ARGS_CUT);
}

static void parts_that_never_come_are_given_up(void **state)
{
	struct task_exec r;
	struct tasks_join *s;

	(void)state;
	begin(&r, 7, 20000);
	r.flags = TASK_EXEC_EXE_PART;
	s = keep(&r, 1);
	assert_int_equal(s->lack, TASKS_LACK_ARGS | TASKS_LACK_EXE);
	tasks_join_give_up(s);
	assert_int_equal(s->exec.flags, PROCESS_ARGS_CUT | PROCESS_PATH_CUT);
	assert_int_equal(s->lack, 0);
}

static void a_part_finds_its_own_exec_only(void **state)
{
	struct task_exec r, other;
	struct tasks_join *s;

	(void)state;
	begin(&r, 7, 5000);
	s = keep(&r, 1);
	other = r;
	other.who.exec_id++; /* the next program of the same process */
	assert_null(part(&other, 512, 10));
	other = r;
	other.head.start_ns++; /* another process with that pid */
	assert_null(part(&other, 512, 10));
	other = r;
	other.head.instance++; /* another sensor's record of the same start */
	assert_null(part(&other, 512, 10));
	assert_int_equal(s->exec.args.len, 512);
	assert_ptr_equal(part(&r, 512, 10), s);
}

static void when_all_slots_are_in_use_the_oldest_gives_way(void **state)
{
	struct task_exec r;

	(void)state;
	for (uint32_t i = 0; i < TASKS_JOINS; i++) {
		begin(&r, 100 + i, 5000);
		assert_non_null(keep(&r, i == 3 ? 1 : 50 + i));
	}
	begin(&r, 9, 5000);
	assert_null(keep(&r, 1000));
	assert_int_equal(tasks_join_oldest(slots)->exec.who.pid, 103);
	tasks_join_oldest(slots)->used = false;
	assert_non_null(keep(&r, 1000));
}

static void a_path_too_deep_for_a_part_is_asked_of_proc(void **state)
{
	static struct task_part p;
	struct task_exec r;
	struct tasks_join *s;

	(void)state;
	begin(&r, 7, 0);
	r.flags = TASK_EXEC_EXE_PART;
	s = keep(&r, 1);
	p.head = r.head;
	p.exec_id = r.who.exec_id;
	p.what = TASK_PART_EXE;
	p.walk.end = KMN_WALK_CUT;
	p.len = 5;
	memcpy(p.data, "x\0yz", 5);
	assert_ptr_equal(tasks_join_part(slots, &p), s);
	assert_int_equal(s->lack, TASKS_LACK_EXE_PROC);
	assert_true(text_is(s->exec.exe, ".../yz/x"));
	tasks_join_found(s, TASKS_LACK_EXE_PROC, text_of("/deep/yz/x"));
	assert_int_equal(s->lack, 0);
	assert_true(text_is(s->exec.exe, "/deep/yz/x"));
	assert_false(s->exec.flags & PROCESS_PATH_CUT);
	s->lack = TASKS_LACK_EXE_PROC; /* and when /proc does not tell either */
	tasks_join_found(s, TASKS_LACK_EXE_PROC, (struct text){ NULL, 0 });
	assert_true(s->exec.flags & PROCESS_PATH_CUT);
}

static void records_that_lie_about_their_lengths_are_refused(void **state)
{
	struct task_exec good, r;
	static struct task_part p;
	static struct task_cgroup c;

	(void)state;
	begin(&good, 7, 100);
	memmove(good.text + 9, good.text, 100);
	memcpy(good.text, "curl\0bin", 9);
	good.exe_len = 5;
	good.cwd_len = 4;
	good.names_len = 9;
	assert_true(tasks_check_exec(&good.head));
#define BAD(change)                                      \
	do {                                             \
		r = good;                                \
		change;                                  \
		assert_false(tasks_check_exec(&r.head)); \
	} while (0)
	BAD(r.head.pid = 0);
	BAD(r.head.start_ns = 0);
	BAD(r.exe_len = 6);
	BAD((r.cwd_len = 60000, r.names_len = 60005));
	BAD(r.args_len = 513);
	BAD(r.args_len = 101);
	BAD(r.args_total = TASK_ARGS_MAX + 1);
	BAD(r.text[4] = 'x'); /* a name without its end */
	BAD(r.text[8] = 'x');
	p.head = good.head;
	p.what = TASK_PART_ARGS;
	p.offset = TASK_ARGS_MAX - 10;
	p.len = 10;
	assert_true(tasks_check_part(&p.head));
	p.len = 11;
	assert_false(tasks_check_part(&p.head));
	p.offset = UINT32_MAX - 5;
	assert_false(tasks_check_part(&p.head));
	p.what = 3;
	p.offset = 0;
	assert_false(tasks_check_part(&p.head));
	c.head.cgroup_id = 1;
	c.path_len = TASK_CGROUP_PATH - 1;
	assert_true(tasks_check_cgroup(&c.head));
	c.path_len++;
	assert_false(tasks_check_cgroup(&c.head));
}

static void hostile_arguments_are_shown_safely(void **state)
{
	static struct event ev;
	struct buf out = {};

	(void)state;
	event_init(&ev, KMN_SVC_tasks, TASK_EV_EXEC, EVENT_TELEMETRY);
	ev.who.n = 2;
	ev.who.p[0] = (struct process_view){ .pid = 9,
					     .exe = text_of("/usr/bin/curl"),
					     .args = { "curl\0-s\0a \"b\"\n\033[2J\0", 19 },
					     .user = text_of("root") };
	ev.who.p[1] = (struct process_view){ .pid = 1201, .exe = text_of("/usr/bin/bash") };
	tasks_exec_text(&ev, &out);
	assert_string_equal(buf_text(&out), "exec /usr/bin/curl \"curl\" \"-s\" "
					    "\"a \\\"b\\\"\\x0a\\x1b[2J\"");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_become_a_path),
		cmocka_unit_test_setup_teardown(parts_in_order_make_the_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_part_leaves_what_is_sure_and_a_mark, setup,
						teardown),
		cmocka_unit_test_setup_teardown(parts_that_never_come_are_given_up, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_part_finds_its_own_exec_only, setup, teardown),
		cmocka_unit_test_setup_teardown(when_all_slots_are_in_use_the_oldest_gives_way,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_path_too_deep_for_a_part_is_asked_of_proc, setup,
						teardown),
		cmocka_unit_test(records_that_lie_about_their_lengths_are_refused),
		cmocka_unit_test(hostile_arguments_are_shown_safely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
