/* tool_syscall: CPU time of one getppid(), which does nothing: what is left is the way into the
 * kernel and back, and whatever hangs on it. The least of many short batches. */
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 200
#define CALLS 10000

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int main(void)
{
	uint64_t least = UINT64_MAX;

	for (int b = 0; b < BATCHES; b++) {
		uint64_t t = now_ns();

		for (int i = 0; i < CALLS; i++)
			(void)syscall(SYS_getppid);
		t = now_ns() - t;
		least = t < least ? t : least;
	}
	printf("getppid\tns\tmin\t%.2f\n", (double)least / CALLS);
	return 0;
}
