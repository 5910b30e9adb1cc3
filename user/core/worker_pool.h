#pragma once
#include "core/worker_wire.h"

/* The pool from inside, shared by worker.c (what callers see: jobs and their queue) and
 * worker_slot.c (the processes). */

struct work { /* one job on its way; all live in pool->works, on one of the lists */
	struct work *next;
	void (*done)(void *arg, struct worker_result *result);
	void *done_arg;
	uint64_t queued_ns;
	uint32_t timeout_ms;
	int in, out;
	int64_t in_offset; /* where in began, for a second run; -1: not seekable */
	bool alone;	   /* runs in no batch: was in one that killed its worker, or has a pipe */
	bool sync;	   /* of worker_call(): stays off the finished list */
	bool finished;	   /* result is there */
	struct worker_ask ask;
	struct worker_result result;
};

struct work_list {
	struct work *head, **tail; /* zero initialised is empty */
	unsigned n;
};

enum slot_state {
	SLOT_DOWN,     /* no process; starts at respawn_ns */
	SLOT_STARTING, /* locks itself in */
	SLOT_IDLE,
	SLOT_BUSY,
	SLOT_DYING, /* killed or gone, not reaped yet */
};

struct slot {
	struct worker_pool *pool;
	enum slot_state state;
	pid_t pid;
	int sock, pidfd;
	uint32_t seq;
	struct work *batch[WORKER_BATCH_MAX];
	uint32_t n;
	uint64_t deadline_ns; /* of the greeting or of the batch */
	uint64_t respawn_ns;
	unsigned deaths;	/* since it last answered */
	unsigned failed_starts; /* since it last greeted */
	bool started_once;	/* the next start is a respawn */
	int cause;		/* -EPROTO or -ETIMEDOUT: status of the job that it dies of */
	char why[160];
};

struct worker_pool {
	struct loop *loop; /* NULL: worker_call() only */
	const struct worker_job *const *jobs;
	int self, null, timer;
	unsigned n_slots, idle_ticks;
	bool (*give_up)(void); /* NULL: never */
	bool ticking;
	struct slot slots[WORKERS_MAX];
	struct work_list free, queue, finished;
	struct worker_batch_ask asked;	   /* too large for a stack; one at a time is written ... */
	struct worker_batch_answer answer; /* ... and read */
	uint64_t done, failed, died, timed_out, respawns, logged_ns, unlogged;
	uint32_t bits, uid; /* of the last greeting */
	char trouble[160];
	struct work works[WORKER_QUEUE_MAX];
};

void work_push(struct work_list *l, struct work *w);
void work_push_front(struct work_list *l, struct work *w);
struct work *work_pop(struct work_list *l);

/* The job is over: fill its result and put it where its caller will find it. fd is taken. error may
 * be NULL. */
void work_finish(struct worker_pool *p, struct work *w, int status, int fd, const char *error);

/* Give queued jobs to idle workers; start what is due. */
void slots_dispatch(struct worker_pool *p, uint64_t now_ns);
/* Deadlines, reaping without pidfd, respawns. */
void slots_tick(struct worker_pool *p, uint64_t now_ns);
/* Its socket is readable or hung up, or its process can be reaped. */
void slot_event(struct slot *s);
/* Kill and reap, within about a second; jobs in hand are left alone. */
void slot_end(struct slot *s);
/* When the earliest of deadlines and respawns is due, UINT64_MAX when none. */
uint64_t slots_next_ns(const struct worker_pool *p);
/* After events in the loop: hand out work, then results. */
void pool_turned(struct worker_pool *p);
/* Keep the timer running for a while: something is under way. */
void pool_tick_on(struct worker_pool *p);
