/* tool_execs PROGRAM TEXT GO: execs PROGRAM, 20 ms apart, with the argument TEXT and a number from
 * 1 on ("TEXT7-"), until the file GO is there. For tests that change a sensor meanwhile: each exec
 * must be told of. Writes a line for each that has ended, its number. Exit 0, or 2 when one could
 * not be made. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP_US 20000
#define EXECS_MAX 6000 /* two minutes */

static int run(const char *program, char *text)
{
	char *argv[] = { text, text, NULL };
	pid_t pid = fork();
	int status;

	if (!pid) {
		execv(program, argv);
		_exit(2);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 2;
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	char text[128];

	if (argc != 4)
		return 2;
	for (int i = 1; access(argv[3], F_OK) < 0; i++) {
		(void)snprintf(text, sizeof(text), "%s%d-", argv[2], i);
		if (i > EXECS_MAX || run(argv[1], text)) {
			(void)fprintf(stderr, "exec %d of %s failed\n", i, argv[1]);
			return 2;
		}
		if (printf("%d\n", i) < 0 || fflush(stdout))
			return 2;
		(void)usleep(STEP_US);
	}
	return 0;
}
