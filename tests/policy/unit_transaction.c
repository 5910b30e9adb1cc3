/* policy_apply(): all or nothing, in order, with every plan given back once. The modules here are
 * three actors that write down what they are asked; the sanitizers watch their plans. */
#include "policy/t.h"

#define ACTORS 3

enum step { STEP_NONE, STEP_COMPILE, STEP_COMPILE_MUTE, STEP_STAGE, STEP_REFRESH, STEP_CANCEL };

static struct {
	char log[512]; /* "c0 c1 c2 s0 ..." */
	struct kmn_state state;
	enum step fail;
	int fail_at;		/* which actor */
	uint64_t bytes[ACTORS]; /* plan_bytes() */
	uint64_t staged[ACTORS], in_force[ACTORS];
	int plans; /* alive */
} world;

struct plan {
	int actor;
};

static void note(char what, int actor)
{
	size_t n = strlen(world.log);

	(void)snprintf(world.log + n, sizeof(world.log) - n, "%s%c%d", n ? " " : "", what, actor);
}

static int compile(int actor, const struct policy *p, struct policy_diag *d, void **out)
{
	struct plan *plan;

	note('c', actor);
	if (world.fail == STEP_COMPILE && world.fail_at == actor) {
		policy_error(d, p->root, "a hint", "actor %d finds a mistake", actor);
		return -EINVAL;
	}
	if (world.fail == STEP_COMPILE_MUTE && world.fail_at == actor)
		return -EIO;
	plan = malloc(sizeof(*plan));
	assert_non_null(plan);
	plan->actor = actor;
	world.plans++;
	*out = plan;
	return 0;
}

static void plan_free(void *plan)
{
	note('f', ((struct plan *)plan)->actor);
	world.plans--;
	free(plan);
}

static uint64_t plan_bytes(const void *plan)
{
	const struct plan *own = plan;

	return world.bytes[own->actor];
}

static int stage(void *self, const void *plan, uint64_t gen)
{
	const struct plan *own = plan;

	assert_ptr_equal(self, &world.in_force[own->actor]);
	assert_int_equal(gen, world.state.gen + 1); /* not in force yet */
	note('s', own->actor);
	if (world.fail == STEP_STAGE && world.fail_at == own->actor)
		return -ENOMEM;
	if (world.fail == STEP_CANCEL && world.fail_at == own->actor)
		policy_cancel(true);
	world.staged[own->actor] = gen;
	return 0;
}

static int refresh(void *self, const void *plan, uint64_t gen)
{
	const struct plan *own = plan;

	assert_ptr_equal(self, &world.in_force[own->actor]);
	assert_int_equal(gen, world.state.gen + 1);
	for (int i = 0; i < ACTORS; i++) /* all that takes long is behind us */
		assert_true(world.staged[i] == gen || world.fail == STEP_NONE);
	note('r', own->actor);
	return world.fail == STEP_REFRESH && world.fail_at == own->actor ? -EIO : 0;
}

static void committed(void *self, void *plan, uint64_t gen)
{
	struct plan *own = plan;

	assert_int_equal(gen, world.state.gen); /* in force for all before anyone is told */
	assert_int_equal(world.staged[own->actor], gen);
	*(uint64_t *)self = gen;
	note('m', own->actor);
	world.plans--;
	free(own);
}

#define ACTOR(i)                                                             \
	static int compile##i(const struct policy *p, struct worker_pool *w, \
			      struct policy_diag *d, void **out)             \
	{                                                                    \
		(void)w;                                                     \
		return compile(i, p, d, out);                                \
	}                                                                    \
	static const struct kmn_module actor##i = {                          \
		.part = { .name = "actor" #i },                              \
		.compile = compile##i,                                       \
		.stage = stage,                                              \
		.refresh = refresh,                                          \
		.committed = committed,                                      \
		.plan_free = plan_free,                                      \
		.plan_bytes = plan_bytes,                                    \
	};
ACTOR(0)
ACTOR(1)
ACTOR(2)
static const struct kmn_module *const actors[] = { &actor0, &actor1, &actor2, NULL };

static struct policy_outcome outcome;

/* Apply a policy to the actors; its messages go to text. */
static int apply(const char *policy, void *const *selves, uint64_t limit, struct buf *text)
{
	struct policy_diag *d = policy_diag_new();
	struct policy *p;
	int r;

	assert_non_null(d);
	p = policy_load_text("t", policy, strlen(policy), actors, d);
	assert_non_null(p);
	r = policy_apply(actors, selves, NULL, &world.state, limit, p, d, &outcome);
	assert_int_equal(outcome.status, r);
	assert_int_equal(outcome.gen, world.state.gen);
	assert_true(r < 0 ? policy_errors(d) > 0 : policy_errors(d) == 0);
	policy_free(p); /* before its messages are shown, as the sensor may do */
	policy_diag_text(d, false, text);
	policy_diag_free(d);
	return r;
}

/* Only check a policy. */
static int check(const char *policy, void *const *selves, uint64_t limit, struct buf *text,
		 void **plans)
{
	struct policy_diag *d = policy_diag_new();
	struct policy *p;
	int r;

	assert_non_null(d);
	p = policy_load_text("t", policy, strlen(policy), actors, d);
	assert_non_null(p);
	r = policy_check(actors, selves, NULL, limit, p, d, &outcome, plans);
	assert_int_equal(outcome.status, r);
	assert_true(r < 0 ? policy_errors(d) > 0 : policy_errors(d) == 0);
	policy_free(p);
	policy_diag_text(d, false, text);
	policy_diag_free(d);
	return r;
}

static void *const all[] = { &world.in_force[0], &world.in_force[1], &world.in_force[2] };

static int begin(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	memset(&outcome, 0, sizeof(outcome));
	world.state.gen = 41;
	return 0;
}

static int end(void **state)
{
	(void)state;
	return world.plans; /* 0: each was given back once */
}

static void nothing_is_staged_before_all_compile_nor_told_before_the_commit(void **state)
{
	struct buf text = { 0 };

	(void)state;
	assert_int_equal(apply("version: 1\n", all, 0, &text), 0);
	assert_string_equal(world.log, "c0 c1 c2 s0 s1 s2 r0 r1 r2 m0 m1 m2");
	assert_int_equal(world.state.gen, 42);
	for (int i = 0; i < ACTORS; i++)
		assert_int_equal(world.in_force[i], 42);
	assert_string_equal(outcome.stage, "commit");
	assert_true(outcome.took_ns >= outcome.grace_ns);
	assert_int_equal(text.len, 0);
	buf_free(&text);
}

static void a_mistake_in_any_module_stops_all_after_all_have_spoken(void **state)
{
	(void)state;
	for (int i = 0; i < ACTORS; i++) {
		struct buf text = { 0 };

		(void)begin(NULL);
		world.fail = STEP_COMPILE;
		world.fail_at = i;
		assert_int_equal(apply("version: 1\n", all, 0, &text), -EINVAL);
		assert_int_equal(strncmp(world.log, "c0 c1 c2 f", 10), 0);
		assert_null(strchr(world.log, 's'));
		assert_int_equal(world.state.gen, 41);
		assert_string_equal(outcome.stage, "compile");
		assert_non_null(strstr(buf_text(&text), "t:1:1: error: actor"));
		assert_non_null(strstr(buf_text(&text), "1 | version: 1\n"));
		assert_int_equal(world.plans, 0);
		buf_free(&text);
	}
}

static void a_module_that_fails_without_a_word_is_named(void **state)
{
	struct buf text = { 0 };
	char want[100];

	(void)state;
	(void)snprintf(want, sizeof(want), "error: actor1: compile: %s\n", strerror(EIO));
	world.fail = STEP_COMPILE_MUTE;
	world.fail_at = 1;
	assert_int_equal(apply("version: 1\n", all, 0, &text), -EINVAL);
	assert_string_equal(buf_text(&text), want);
	buf_free(&text);
}

static void a_stage_that_fails_leaves_the_generation_and_can_be_tried_again(void **state)
{
	static const char *const logs[] = { "c0 c1 c2 s0 f0 f1 f2", "c0 c1 c2 s0 s1 f0 f1 f2",
					    "c0 c1 c2 s0 s1 s2 f0 f1 f2" };

	(void)state;
	for (int i = 0; i < ACTORS; i++) {
		struct buf text = { 0 };

		(void)begin(NULL);
		world.fail = STEP_STAGE;
		world.fail_at = i;
		assert_int_equal(apply("version: 1\n", all, 0, &text), -ENOMEM);
		assert_string_equal(world.log, logs[i]);
		assert_int_equal(world.state.gen, 41);
		assert_string_equal(outcome.stage, "stage");
		for (int k = 0; k < ACTORS; k++)
			assert_int_equal(world.in_force[k], 0);
		assert_int_equal(world.plans, 0);
		buf_reset(&text);
		world.fail = STEP_NONE;
		world.log[0] = '\0';
		assert_int_equal(apply("version: 1\n", all, 0, &text), 0);
		assert_string_equal(world.log, "c0 c1 c2 s0 s1 s2 r0 r1 r2 m0 m1 m2");
		assert_int_equal(world.state.gen, 42); /* the dirty half was never seen */
		buf_free(&text);
	}
}

static void a_policy_that_needs_too_much_memory_touches_nothing(void **state)
{
	struct buf text = { 0 };

	(void)state;
	world.bytes[0] = world.bytes[2] = 3 << 20;
	assert_int_equal(apply("version: 1\n", all, (12 << 20) - 1, &text), -ENOSPC);
	assert_string_equal(world.log, "c0 c1 c2 f0 f1 f2");
	assert_int_equal(world.state.gen, 41);
	assert_string_equal(outcome.stage, "memory");
	assert_int_equal(outcome.new_bytes, 6 << 20);
	assert_int_equal(outcome.live_bytes, 0);
	assert_non_null(strstr(buf_text(&text), "needs 12.0 MiB of kernel memory"));
	buf_reset(&text);
	assert_int_equal(apply("version: 1\n", all, 12 << 20, &text), 0); /* both halves fit */
	assert_int_equal(outcome.live_bytes, 6 << 20);
	buf_free(&text);
}

static void the_half_in_force_counts_too(void **state)
{
	struct buf text = { 0 };

	(void)state;
	world.bytes[0] = 8 << 20;
	assert_int_equal(apply("version: 1\n", all, 0, &text), 0);
	world.bytes[0] = 1 << 20;
	assert_int_equal(apply("version: 1\n", all, 8 << 20, &text), -ENOSPC);
	assert_non_null(strstr(buf_text(&text), "needs 9.0 MiB"));
	assert_int_equal(outcome.live_bytes, 8 << 20); /* still that of the old one */
	assert_int_equal(apply("version: 1\n", all, 9 << 20, &text), 0);
	assert_int_equal(outcome.live_bytes, 1 << 20);
	buf_free(&text);
}

static void the_limit_of_the_policy_goes_before_that_of_the_sensor(void **state)
{
	struct buf text = { 0 };

	(void)state;
	world.bytes[1] = 2 << 20;
	assert_int_equal(apply("version: 1\nlimits: {memory_mib: 3}\n", all, 1 << 30, &text),
			 -ENOSPC);
	assert_non_null(strstr(buf_text(&text), "t:2:22: error: "));
	assert_int_equal(apply("version: 1\nlimits: {memory_mib: 4}\n", all, 1, &text), 0);
	buf_free(&text);
}

static void a_module_that_did_not_start_is_compiled_and_no_more(void **state)
{
	void *const some[] = { &world.in_force[0], NULL, &world.in_force[2] };
	struct buf text = { 0 };

	(void)state;
	world.bytes[1] = 1 << 30; /* what it would take does not count */
	assert_int_equal(apply("version: 1\n", some, 1 << 20, &text), 0);
	assert_string_equal(world.log, "c0 c1 c2 s0 s2 r0 r2 m0 m2 f1");
	buf_free(&text);
}

static void a_refresh_that_fails_leaves_the_generation(void **state)
{
	struct buf text = { 0 };

	(void)state;
	world.fail = STEP_REFRESH;
	world.fail_at = 1;
	assert_int_equal(apply("version: 1\n", all, 0, &text), -EIO);
	assert_string_equal(world.log, "c0 c1 c2 s0 s1 s2 r0 r1 f0 f1 f2");
	assert_int_equal(world.state.gen, 41);
	assert_non_null(strstr(buf_text(&text), "actor1: refresh: "));
	buf_free(&text);
}

static void what_is_prepared_is_in_force_only_after_its_commit(void **state)
{
	struct policy_prepared *ready = NULL;
	struct policy_diag *d = policy_diag_new();
	struct policy *p = policy_load_text("t", "version: 1\n", 11, actors, d);

	(void)state;
	assert_int_equal(policy_prepare(actors, all, NULL, &world.state, 0, p, d, &outcome, &ready),
			 0);
	assert_string_equal(world.log, "c0 c1 c2 s0 s1 s2");
	assert_string_equal(policy_stage(&outcome), "stage");
	assert_int_equal(world.state.gen, 41);
	policy_prepared_free(ready); /* thought better of it */
	assert_string_equal(world.log, "c0 c1 c2 s0 s1 s2 f0 f1 f2");
	assert_int_equal(world.state.gen, 41);
	world.log[0] = '\0';
	assert_int_equal(policy_prepare(actors, all, NULL, &world.state, 0, p, d, &outcome, &ready),
			 0);
	assert_int_equal(policy_commit(ready, d, &outcome), 0);
	assert_string_equal(world.log, "c0 c1 c2 s0 s1 s2 r0 r1 r2 m0 m1 m2");
	assert_int_equal(world.state.gen, 42);
	assert_int_equal(outcome.gen, 42);
	world.log[0] = '\0';
	assert_int_equal(policy_check(actors, NULL, NULL, 0, p, d, &outcome, NULL), 0);
	assert_string_equal(world.log, "c0 c1 c2 f0 f1 f2");
	policy_free(p);
	policy_diag_free(d);
}

static void a_cancelled_one_stops_between_two_modules(void **state)
{
	struct buf text = { 0 };

	(void)state;
	world.fail = STEP_CANCEL;
	world.fail_at = 1;
	assert_int_equal(apply("version: 1\n", all, 0, &text), -ECANCELED);
	policy_cancel(false);
	assert_string_equal(world.log, "c0 c1 c2 s0 s1 f0 f1 f2");
	assert_int_equal(world.state.gen, 41);
	buf_free(&text);
}

static void a_check_is_the_first_half_and_says_the_same(void **state)
{
	static const char *const policies[] = { "version: 1\n",
						"version: 1\nlimits: {memory_mib: 3}\n" };

	(void)state;
	for (int i = 0; i < 2; i++)
		for (int fail = 0; fail < 2; fail++)
			for (uint64_t limit = 3 << 20; limit <= 4 << 20; limit += 1 << 20) {
				struct buf said = { 0 }, applied = { 0 };
				int r;

				(void)begin(NULL);
				world.bytes[1] = 2 << 20;
				world.fail = fail ? STEP_COMPILE : STEP_NONE;
				r = check(policies[i], all, limit, &said, NULL);
				assert_null(strchr(world.log, 's')); /* nothing is staged */
				assert_int_equal(world.state.gen, 41);
				assert_int_equal(world.plans, 0);
				assert_int_equal(apply(policies[i], all, limit, &applied), r);
				assert_string_equal(buf_text(&said), buf_text(&applied));
				buf_free(&said);
				buf_free(&applied);
			}
}

static void a_check_counts_what_is_in_force(void **state)
{
	struct buf text = { 0 };

	(void)state;
	world.bytes[0] = 8 << 20;
	assert_int_equal(apply("version: 1\n", all, 0, &text), 0);
	world.bytes[0] = 1 << 20;
	assert_int_equal(check("version: 1\n", all, 8 << 20, &text, NULL), -ENOSPC);
	assert_non_null(strstr(buf_text(&text), "for the policy names none"));
	assert_int_equal(check("version: 1\n", all, 9 << 20, &text, NULL), 0);
	assert_int_equal(outcome.live_bytes, 8 << 20); /* the old one stays in force */
	buf_free(&text);
}

static void a_check_without_a_sensor_hands_out_the_plans_of_all(void **state)
{
	void *plans[ACTORS] = { NULL };
	struct buf text = { 0 };

	(void)state;
	world.bytes[1] = 2 << 20;
	assert_int_equal(check("version: 1\n", NULL, (4 << 20) - 1, &text, plans), -ENOSPC);
	for (int i = 0; i < ACTORS; i++)
		assert_null(plans[i]);
	assert_int_equal(check("version: 1\n", NULL, 4 << 20, &text, plans), 0);
	for (int i = 0; i < ACTORS; i++) {
		assert_int_equal(((struct plan *)plans[i])->actor, i);
		plan_free(plans[i]);
	}
	buf_free(&text);
}

static void a_policy_that_names_no_limit_has_that_of_the_product(void **state)
{
	static const char with[] = "version: 1\nlimits: {memory_mib: 7}\n";
	struct policy_diag *d = policy_diag_new();
	struct policy *p = policy_load_text("t", with, 11, actors, d); /* the first line alone */
	struct policy *own = policy_load_text("t", with, sizeof(with) - 1, actors, d);

	(void)state;
	assert_non_null(p);
	assert_non_null(own);
	assert_int_equal(policy_memory_limit(p, POLICY_MEMORY_DEFAULT), POLICY_MEMORY_DEFAULT);
	assert_int_equal(policy_memory_limit(own, POLICY_MEMORY_DEFAULT), 7 << 20);
	policy_free(p);
	policy_free(own);
	policy_diag_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_check_is_the_first_half_and_says_the_same, begin,
						end),
		cmocka_unit_test_setup_teardown(a_check_counts_what_is_in_force, begin, end),
		cmocka_unit_test_setup_teardown(a_check_without_a_sensor_hands_out_the_plans_of_all,
						begin, end),
		cmocka_unit_test(a_policy_that_names_no_limit_has_that_of_the_product),
		cmocka_unit_test_setup_teardown(
			nothing_is_staged_before_all_compile_nor_told_before_the_commit, begin,
			end),
		cmocka_unit_test_setup_teardown(
			a_mistake_in_any_module_stops_all_after_all_have_spoken, begin, end),
		cmocka_unit_test_setup_teardown(a_module_that_fails_without_a_word_is_named, begin,
						end),
		cmocka_unit_test_setup_teardown(
			a_stage_that_fails_leaves_the_generation_and_can_be_tried_again, begin,
			end),
		cmocka_unit_test_setup_teardown(a_policy_that_needs_too_much_memory_touches_nothing,
						begin, end),
		cmocka_unit_test_setup_teardown(the_half_in_force_counts_too, begin, end),
		cmocka_unit_test_setup_teardown(
			the_limit_of_the_policy_goes_before_that_of_the_sensor, begin, end),
		cmocka_unit_test_setup_teardown(a_module_that_did_not_start_is_compiled_and_no_more,
						begin, end),
		cmocka_unit_test_setup_teardown(a_refresh_that_fails_leaves_the_generation, begin,
						end),
		cmocka_unit_test_setup_teardown(what_is_prepared_is_in_force_only_after_its_commit,
						begin, end),
		cmocka_unit_test_setup_teardown(a_cancelled_one_stops_between_two_modules, begin,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
