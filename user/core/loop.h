#pragma once
#include <stdbool.h>
#include <stdint.h>

/* The one thread that owns maps, rings and the control socket: epoll, with callbacks. A callback
 * does bounded work and returns; it never waits. It may watch, unwatch and close any descriptor: an
 * event of the old one that was fetched already is dropped. Each turn hands out at most 64 events.
 */
struct loop;

typedef void loop_fd_fn(void *arg, uint32_t epoll_events);
typedef void loop_fn(void *arg);

struct loop *loop_new(void); /* NULL and errno */
void loop_free(struct loop *l);

/* Watch fd (borrowed) for events (EPOLLIN ...). 0, or -errno. The same fd again changes the events.
 */
int loop_watch(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *arg);
void loop_unwatch(struct loop *l, int fd);

/* Call fn each period_ms, drift-free, on the boot clock. A handle for loop_timer_*, or -errno. */
int loop_every(struct loop *l, uint32_t period_ms, loop_fn *fn, void *arg);
int loop_timer_set(struct loop *l, int timer, uint32_t period_ms); /* 0 stops it */
void loop_timer_drop(struct loop *l, int timer);		   /* its handle is used again */

/* Block signo for this thread and those it starts later, and call fn in the loop when it comes. It
 * stays blocked after loop_free(), and a child inherits that. 0, or -errno. */
int loop_signal(struct loop *l, int signo, loop_fn *fn, void *arg);

/* Run until loop_stop(), which ends it after the turn in hand; called before, it makes loop_run()
 * return at once. 0, or -errno of epoll. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Longest turn since the last call, ns: shown by status, watched by tests. */
uint64_t loop_worst_turn_ns(struct loop *l);
