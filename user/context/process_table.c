#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/clock.h"
#include "base/log.h"
#include "context/process_self.h"

#define CAPACITY_MIN 64
#define CAPACITY_MAX (1U << 22) /* the kernel has no more pids */
#define SAME_PID_MAX 32	    /* entries of one pid, so that chosen pids cannot make a bucket long */
#define CHECKS_PER_TICK 512 /* a table of the default size is gone through in about a minute */

/* ---- lists ---- */

uint32_t process_number(const struct process_table *t, const struct process_entry *e)
{
	return (uint32_t)(e - t->entry);
}

static void list_add(struct process_table *t, struct process_list *l, struct process_entry *e)
{
	uint32_t i = process_number(t, e);

	e->newer = 0;
	e->older = l->newest;
	if (l->newest)
		t->entry[l->newest].newer = i;
	else
		l->oldest = i;
	l->newest = i;
	l->n++;
}

static void list_del(struct process_table *t, struct process_list *l, struct process_entry *e)
{
	if (e->newer)
		t->entry[e->newer].older = e->older;
	else
		l->newest = e->older;
	if (e->older)
		t->entry[e->older].newer = e->newer;
	else
		l->oldest = e->newer;
	l->n--;
}

void process_used(struct process_table *t, struct process_entry *e)
{
	if (e->exit_ns || t->live.newest == process_number(t, e))
		return;
	list_del(t, &t->live, e);
	list_add(t, &t->live, e);
}

void process_ended(struct process_table *t, struct process_entry *e, uint64_t exit_ns)
{
	if (e->exit_ns)
		return;
	list_del(t, &t->live, e);
	e->exit_ns = exit_ns ? exit_ns : 1; /* 0 means alive */
	list_add(t, &t->exited, e);
}

struct process_entry *process_oldest_exited(struct process_table *t)
{
	return t->exited.oldest ? &t->entry[t->exited.oldest] : NULL;
}

/* ---- the hash, by pid alone: the newest of a pid must be found without its start ---- */

static uint32_t *bucket_of(const struct process_table *t, uint32_t pid)
{
	return &t->bucket[((pid + t->seed) * 0x9e3779b97f4a7c15ULL) >> (64 - t->bucket_bits)];
}

void process_forget(struct process_table *t, struct process_entry *e)
{
	uint32_t i = process_number(t, e), *at = bucket_of(t, e->pid);

	while (*at != i)
		at = &t->entry[*at].next;
	*at = e->next;
	list_del(t, e->exit_ns ? &t->exited : &t->live, e);
	process_image_drop(t, e);
	*e = (struct process_entry){ .next = t->free };
	t->free = i;
}

struct process_entry *process_find(struct process_table *t, uint32_t pid, uint64_t start_ns)
{
	bool whole = start_ns && start_ns % PROCESS_TICK_NS == 0; /* from /proc: not exact */

	for (uint32_t i = *bucket_of(t, pid); i; i = t->entry[i].next) {
		struct process_entry *e = &t->entry[i];

		if (e->pid != pid)
			continue;
		if (e->start_ns == start_ns)
			return e;
		if ((whole || e->bits & PROCESS_BIT_TICKS) &&
		    e->start_ns / PROCESS_TICK_NS == start_ns / PROCESS_TICK_NS)
			return e;
	}
	return NULL;
}

struct process_entry *process_find_at(struct process_table *t, uint32_t pid, uint64_t at_ns)
{
	struct process_entry *best = NULL;

	for (uint32_t i = *bucket_of(t, pid); i; i = t->entry[i].next) {
		struct process_entry *e = &t->entry[i];

		if (e->pid != pid || (at_ns && e->start_ns > at_ns))
			continue;
		if (e->exit_ns && (!at_ns || e->exit_ns < at_ns))
			continue;
		if (!best || e->start_ns > best->start_ns)
			best = e;
	}
	return best;
}

/* ---- making room ---- */

/* One less: an ended one first, the longest ended; then the live one that nobody has asked for. */
static void evict(struct process_table *t, uint64_t now_ns, const struct process_entry *keep)
{
	struct process_entry *e = process_oldest_exited(t);

	if (e == keep && e)
		e = e->newer ? &t->entry[e->newer] : NULL;
	if (e) {
		if (now_ns < e->exit_ns + PROCESS_KEEP_NS)
			t->stats.evicted_early++;
		else
			t->stats.evicted_exited++;
	} else {
		e = &t->entry[t->live.oldest];
		if (e == keep)
			e = &t->entry[e->newer];
		t->stats.evicted_live++;
	}
	process_forget(t, e);
}

/* The pid is given to a new process: whoever had it has ended, even when nobody said so. Returns
 * when the next one of the pid began, 0 for never: the record of an old process can come late. */
static uint64_t end_namesakes(struct process_table *t, uint32_t pid, uint64_t start_ns,
			      const struct process_entry *keep)
{
	struct process_entry *oldest = NULL;
	uint64_t next_ns = 0;
	uint32_t n = 0;

	for (uint32_t i = *bucket_of(t, pid); i; i = t->entry[i].next) {
		struct process_entry *e = &t->entry[i];

		if (e->pid != pid)
			continue;
		if (!e->exit_ns && e->start_ns < start_ns) {
			t->stats.lost_exits++;
			process_ended(t, e, start_ns);
		}
		if (e->start_ns > start_ns && (!next_ns || e->start_ns < next_ns))
			next_ns = e->start_ns;
		n++;
		if (e->exit_ns && e != keep && (!oldest || e->start_ns < oldest->start_ns))
			oldest = e;
	}
	if (n >= SAME_PID_MAX && oldest) {
		t->stats.evicted_early++;
		process_forget(t, oldest);
	}
	return next_ns;
}

struct process_entry *process_make(struct process_table *t, uint32_t pid, uint64_t start_ns,
				   uint64_t now_ns, const struct process_entry *keep)
{
	uint64_t next_ns = end_namesakes(t, pid, start_ns, keep);
	struct process_entry *e;
	uint32_t *at;

	if (!t->free)
		evict(t, now_ns, keep);
	e = &t->entry[t->free];
	t->free = e->next;
	at = bucket_of(t, pid);
	*e = (struct process_entry){ .pid = pid,
				     .start_ns = start_ns,
				     .next = *at,
				     .used = 1,
				     .exec_id = PROCESS_EXEC_ID_UNKNOWN };
	*at = process_number(t, e);
	list_add(t, &t->live, e);
	if (next_ns)
		process_ended(t, e, next_ns);
	return e;
}

/* ---- life ---- */

static uint64_t table_bytes(uint32_t capacity, uint32_t bucket_bits)
{
	return sizeof(struct process_table) +
	       ((uint64_t)capacity + 1) * sizeof(struct process_entry) +
	       (sizeof(uint32_t) << bucket_bits) + users_bytes();
}

static int table_init(struct process_table *t, const struct process_limits *limits)
{
	uint64_t bytes = limits->bytes ? limits->bytes : PROCESS_BYTES, own;
	int r;

	t->capacity = limits->processes ? limits->processes : PROCESS_CAPACITY;
	if (t->capacity < CAPACITY_MIN)
		t->capacity = CAPACITY_MIN;
	if (t->capacity > CAPACITY_MAX)
		t->capacity = CAPACITY_MAX;
	t->bucket_bits = 1;
	while ((1U << t->bucket_bits) < t->capacity)
		t->bucket_bits++;
	own = table_bytes(t->capacity, t->bucket_bits);
	t->entry = calloc((size_t)t->capacity + 1, sizeof(*t->entry));
	t->bucket = calloc((size_t)1 << t->bucket_bits, sizeof(*t->bucket));
	t->users = users_new(limits->host_root);
	if (!t->entry || !t->bucket || !t->users)
		return kmn_err(-ENOMEM, "context: table of %u processes", t->capacity);
	r = blocks_init(&t->blocks, bytes > own ? bytes - own : 0);
	if (r < 0)
		return kmn_err(r, "context: texts of %u processes within %llu bytes", t->capacity,
			       (unsigned long long)bytes);
	for (uint32_t i = t->capacity; i; i--) {
		t->entry[i].next = t->free;
		t->free = i;
	}
	t->pids_are_ours = true;
	/* without the seed only the spread suffers */
	(void)!getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK);
	return 0;
}

struct process_table *process_table_new(const struct process_limits *limits)
{
	static const struct process_limits defaults = { 0 };
	struct process_table *t = calloc(1, sizeof(*t));

	if (!t) {
		(void)kmn_err(-ENOMEM, "context: process table");
		return NULL;
	}
	if (table_init(t, limits ? limits : &defaults) < 0) {
		process_table_free(t);
		return NULL;
	}
	return t;
}

void process_table_free(struct process_table *t)
{
	if (!t)
		return;
	blocks_free_all(&t->blocks);
	users_free(t->users);
	free(t->bucket);
	free(t->entry);
	free(t);
}

void process_table_containers(struct process_table *t, struct container_table *c)
{
	t->containers = c;
}

void process_pids_are_foreign(struct process_table *t)
{
	t->pids_are_ours = false;
}

uint64_t process_table_memory_max(const struct process_table *t)
{
	return table_bytes(t->capacity, t->bucket_bits) + blocks_bytes(&t->blocks);
}

void process_table_tick(struct process_table *t, uint64_t now_ns)
{
	users_refresh(t->users);
	if (!t->pids_are_ours)
		return;
	for (uint32_t i = 0; i < CHECKS_PER_TICK && i < t->capacity; i++) {
		struct process_entry *e;

		t->cursor = t->cursor % t->capacity + 1;
		e = &t->entry[t->cursor];
		if (!e->used || e->exit_ns)
			continue;
		if (kill((pid_t)e->pid, 0) < 0 && errno == ESRCH) {
			t->stats.lost_exits++;
			process_ended(t, e, now_ns);
		}
	}
}

void process_table_stats(const struct process_table *t, struct process_stats *s)
{
	*s = t->stats;
	s->live = t->live.n;
	s->exited = t->exited.n;
	s->capacity = t->capacity;
	s->text_bytes = (uint64_t)t->blocks.n_used * BLOCKS_UNIT;
	s->text_bytes_max = (uint64_t)t->blocks.n_units * BLOCKS_UNIT;
	s->bytes = process_table_memory_max(t);
	s->users = users_count(t->users);
}
