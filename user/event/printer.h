#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* A thread that writes to a terminal or a pipe, which may stand still (Ctrl-S, a reader that does
 * not read): then it alone stands still. Inside of live.c and tail.c only. */
struct printer {
	int fd; /* borrowed */
	pthread_t thread;
	_Atomic bool quit; /* stop waiting for the terminal */
};

/* run(arg) in a thread with every signal blocked, SIGPIPE too: a reader that went away is an error
 * of write(). 0 or -errno. */
int printer_start(struct printer *p, int fd, void *(*run)(void *arg), void *arg);
/* For the thread. False: no one reads any more, or printer_end() has waited long enough. */
bool printer_write(struct printer *p, const char *text, size_t len);
/* Wait a second for the thread, which was told to end, then a second more with quit set. False: the
 * terminal still holds it; what it uses must live on. */
bool printer_end(struct printer *p);
