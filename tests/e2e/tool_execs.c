/* tool_execs PROGRAM TEXT MS GO: execs PROGRAM, MS apart, with the argument TEXT and a number from
 * 1 on ("TEXT7-"), until the file GO is there, each in a group of its own: 8192 times the low 18
 * bits of our pid, and the number. For tests that change a sensor meanwhile: each change of group
 * and each exec must be told of. Writes a line for each that has ended, its number. Exit 0, or 2
 * when one could not be made. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXECS_MAX 6000 /* two minutes of 20 ms */

static int run(const char *program, char *text, gid_t group)
{
	char *argv[] = { text, text, NULL };
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!setgid(group))
			execv(program, argv);
		_exit(2);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 2;
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	gid_t groups = (gid_t)(getpid() & 0x3ffff) << 13;
	useconds_t step_us;
	char text[128];

	if (argc != 5)
		return 2;
	step_us = (useconds_t)strtoul(argv[3], NULL, 10) * 1000;
	for (int i = 1; access(argv[4], F_OK) < 0; i++) {
		(void)snprintf(text, sizeof(text), "%s%d-", argv[2], i);
		if (i > EXECS_MAX || run(argv[1], text, groups + (gid_t)i)) {
			(void)fprintf(stderr, "exec %d of %s failed\n", i, argv[1]);
			return 2;
		}
		if (printf("%d\n", i) < 0 || fflush(stdout))
			return 2;
		(void)usleep(step_us);
	}
	return 0;
}
