#pragma once
#include "core/loop.h"

/* One slow job beside the loop: run(arg) in a thread of its own, then done(arg) in the loop. For
 * what may take seconds and touches nothing that the loop touches meanwhile; the event path has no
 * such job. Signals stay the loop's. */
struct aside;

/* 0, or -errno, logged: neither function is called then. *out is freed before done() is called. */
int aside_start(struct loop *loop, void (*run)(void *arg), void (*done)(void *arg), void *arg,
		struct aside **out);
/* Wait until run() has returned, however long it takes, and forget it: done() is not called. NULL
 * is fine. */
void aside_end(struct aside *a);
