#pragma once
#include <pthread.h>

/* Start a thread that gets no signal (they are the loop's), with a stack of 1 MiB: musl would give
 * it 128 KiB, glibc 8 MiB. 0, or -errno. */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);
