/* tool_exec N [PID]: run /bin/true N times, one after the other. Prints what one run costs, as
 * tests/bench/run wants it: CPU time of this process and its children, wall time, and the CPU time
 * that the process PID (a daemon that watches) spent meanwhile. */
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <dirent.h>

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t rusage_ns(int who)
{
	struct rusage u;

	(void)getrusage(who, &u);
	return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * 1000000000 +
	       ((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * 1000;
}

/* CPU time of all threads of a process, in ns and not in ticks. */
static uint64_t process_ns(long pid)
{
	char path[320];
	uint64_t sum = 0, ns;
	struct dirent *e;
	DIR *d;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		(void)snprintf(path, sizeof(path), "/proc/%ld/task/%s/schedstat", pid, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (f && fscanf(f, "%" SCNu64, &ns) == 1)
			sum += ns;
		if (f)
			(void)fclose(f);
	}
	if (d)
		(void)closedir(d);
	return sum;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : 500;
	long daemon_pid = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	char *const args[] = { "true", "one", "two", NULL }, *const env[] = { NULL };
	uint64_t cpu, wall, watching = daemon_pid ? process_ns(daemon_pid) : 0;
	double per = n > 0 ? 1.0 / (1000.0 * (double)n) : 0;

	cpu = rusage_ns(RUSAGE_SELF) + rusage_ns(RUSAGE_CHILDREN);
	wall = now_ns(CLOCK_MONOTONIC);
	for (long i = 0; i < n; i++) {
		int status;
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, args, env) ||
		    waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	wall = now_ns(CLOCK_MONOTONIC) - wall;
	cpu = rusage_ns(RUSAGE_SELF) + rusage_ns(RUSAGE_CHILDREN) - cpu;
	printf("cpu per exec\tus\tmedian\t%.2f\n", (double)cpu * per);
	printf("wall per exec\tus\tmedian\t%.2f\n", (double)wall * per);
	if (daemon_pid) {
		(void)usleep(300000); /* what it has still to read */
		watching = process_ns(daemon_pid) - watching;
		printf("daemon cpu per exec\tus\tmedian\t%.2f\n", (double)watching * per);
	}
	return 0;
}
