#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "control/cli.h"
#include "control/client.h"
#include "control/life.h"
#include "core/bpfobj.h"

/* komainu stop: end the sensor and wait until it has ended; with --unload take everything of ours
 * out of the kernel, also when no sensor runs. */

#define STOP_MS 30000

KMN_AUTO_DEFINE(cJSON *, cJSON_Delete)

/* Wait until pid has ended. pidfd: of it, or -1 on a kernel without (below 5.3). A sensor of
 * another pid namespace has no pid here: its end is that it hangs up at fd. */
static int wait_for_end(int pidfd, pid_t pid, int fd)
{
	uint64_t end_ns = clock_boot_ns() + STOP_MS * NS_PER_MS;

	for (uint64_t now = clock_boot_ns(); now < end_ns; now = clock_boot_ns()) {
		struct pollfd p = { .fd = pid > 0 ? pidfd : fd, .events = POLLIN };
		int r = poll(&p, 1, p.fd < 0 ? 50 : (int)((end_ns - now) / NS_PER_MS) + 1);

		if (r > 0 || (p.fd < 0 && kill(pid, 0) < 0 && errno == ESRCH))
			return CLI_GOOD;
		if (r < 0 && errno != EINTR)
			break;
	}
	return cli_fail(CLI_UNREACHABLE, "the sensor (pid %d) has not ended within %d s", pid,
			STOP_MS / 1000);
}

/* Take out what is pinned or attached. The lock keeps a sensor from starting meanwhile. */
static int unload(bool dry)
{
	const struct cli_places *places = cli_places();
	kmn_auto(fd) int lock = -1;
	unsigned removed = 0;
	pid_t holder;
	int r;

	if (!access(places->run_dir, F_OK)) { /* no folder: no sensor since the boot */
		lock = life_lock(places->run_dir, &holder);
		if (lock == -EALREADY)
			return cli_fail(CLI_UNREACHABLE,
					"a sensor runs (pid %d) but does not answer: end it with "
					"kill %d, then try again",
					holder, holder);
		if (lock < 0)
			return CLI_NO;
	}
	if (dry) {
		printf("would take out what komainu left in the kernel (%s)\n", places->pin_root);
		return CLI_GOOD;
	}
	r = bpfobj_unload_all(places->pin_root, &removed);
	if (r < 0)
		return cli_fail(CLI_NO, "not all could be taken out: %s", strerror(-r));
	printf("nothing of komainu is left in the kernel (%u removed)\n", removed);
	return CLI_GOOD;
}

/* The sensor answers at fd: ask it to end. */
static int stop_running(int fd, pid_t pid, bool out, bool dry)
{
	kmn_auto(fd) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	kmn_auto(cJSON_Delete) cJSON *result = NULL;
	int r;

	if (dry) {
		printf("would end the sensor (pid %d); its verdicts %s\n", pid,
		       out ? "would end with it" : "would stay in force");
		return CLI_GOOD;
	}
	/* The sensor knows its own network namespace best; what it could not take out, we do. */
	r = control_ask_on(fd, out ? "stop-unload" : "stop", NULL, CONTROL_ASK_MS, NULL, &result);
	if (r == CLI_GOOD)
		r = wait_for_end(pidfd, pid, fd);
	if (r != CLI_GOOD)
		return r;
	printf("the sensor (pid %d) has ended%s\n", pid,
	       out ? "" : "; its verdicts stay in force (komainu stop --unload takes them out)");
	return out ? unload(false) : CLI_GOOD;
}

static int stop_run(int argc, char **argv)
{
	static const struct option options[] = { { "unload", no_argument, NULL, 'u' },
						 { "dry-run", no_argument, NULL, 'd' },
						 { 0 } };
	bool out = false, dry = false;
	kmn_auto(fd) int fd = -1;
	pid_t pid = 0;
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return cli_bad_option("stop", argv);
		out |= c == 'u';
		dry |= c == 'd';
	}
	if (optind < argc)
		return cli_usage("stop", "stop takes no %s", argv[optind]);
	if (cli_need_root("stop") != CLI_GOOD)
		return CLI_DENIED;
	fd = control_connect(cli_places()->run_dir, &pid);
	if (fd >= 0)
		return stop_running(fd, pid, out, dry);
	if (out && (fd == -ENOENT || fd == -ECONNREFUSED))
		return unload(dry);
	return control_not_connected(fd);
}

const struct kmn_command stop_commands[] = {
	{ .name = "stop",
	  .args = "[--unload] [--dry-run]",
	  .summary = "End the sensor; its verdicts stay in force, or are taken out.",
	  .help = "Options:\n"
		  "  --unload    take every program, map and pin of komainu out of the kernel;\n"
		  "              works also when no sensor runs\n"
		  "  --dry-run   say what would be done\n\n"
		  "Waits until the sensor has ended. Without --unload the host stays protected by\n"
		  "the policy in force, but nobody reads the events.\n\n"
		  "Exit code: 0 done, 1 something could not be taken out, 3 no sensor runs, or it\n"
		  "does not end, 4 not root.\n\n"
		  "Example:\n"
		  "  sudo komainu stop --unload\n",
	  .run = stop_run },
	{ 0 },
};
