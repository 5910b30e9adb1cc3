#include <getopt.h>
#include <stddef.h>
#include "control/sensor.h"
#include "core/command.h"
#include "base/log.h"

static int run_run(int argc, char **argv)
{
	enum {
		ALL = 'a',
		POLICY = 'p',
		FOREGROUND = 'f',
		JSON = 'j',
		UNLOAD = 'u',
		HOST_ROOT = 'r',
		DEBUG = 'd'
	};
	static const struct option options[] = { { "policy", required_argument, NULL, POLICY },
						 { "foreground", no_argument, NULL, FOREGROUND },
						 { "all", no_argument, NULL, ALL },
						 { "json", no_argument, NULL, JSON },
						 { "host-root", required_argument, NULL,
						   HOST_ROOT },
						 { "unload", no_argument, NULL, UNLOAD },
						 { "debug", no_argument, NULL, DEBUG },
						 { 0 } };
	static struct sensor_options o; /* paths are borrowed from argv */
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "p:", options, NULL)) != -1) {
		switch (c) {
		case POLICY:
			if (o.n_policies == SENSOR_POLICIES_MAX)
				return cli_usage("run", "run: more than %d policies",
						 SENSOR_POLICIES_MAX);
			o.policies[o.n_policies++] = optarg;
			break;
		case FOREGROUND:
			o.print = true;
			break;
		case ALL:
			o.all = true;
			break;
		case JSON:
			o.json = true;
			break;
		case HOST_ROOT:
			o.host_root = optarg;
			break;
		case UNLOAD:
			o.unload = true;
			break;
		case DEBUG:
			log_set_level(LOG_DEBUG);
			break;
		default:
			return cli_usage("run", "run: no such option");
		}
	}
	if (optind < argc)
		return cli_usage("run", "run takes no %s; a policy goes behind --policy",
				 argv[optind]);
	if (!o.n_policies)
		o.policies[o.n_policies++] = "/etc/komainu/policy.yaml";
	c = cli_need_root("run");
	return c != CLI_GOOD ? c : sensor_run(cli_roof(), &o);
}

const struct kmn_command run_commands[] = {
	{ .name = "run",
	  .args = "[--policy FILE]... [--foreground] [--all] [--json] [--unload] [--host-root DIR] "
		  "[--debug]",
	  .summary = "Start the sensor.",
	  .help = "Options:\n"
		  "  --policy FILE   the policy, /etc/komainu/policy.yaml if there is none; a "
		  "later\n"
		  "                  one is laid over the earlier\n"
		  "  --foreground    print each event as it passes\n"
		  "  --all           forks and ends of processes too\n"
		  "  --json          print it as komainu events --json does, number and all, when\n"
		  "                  it is in the store\n"
		  "  --host-root DIR where the host's files are, for a sensor in a container: "
		  "names of\n"
		  "                  containers and users are read there (/proc/1/root)\n"
		  "  --unload        take everything out of the kernel at the end; without it, "
		  "verdicts\n"
		  "                  stay in force when the sensor ends or dies\n"
		  "  --debug         log what libbpf and the parts say in detail\n\n"
		  "SIGHUP reads the policy again, SIGTERM and SIGINT end the sensor. A second "
		  "sensor\n"
		  "on the same run folder is refused. Exit code: 0 ended, 1 could not start, 2 "
		  "the\n"
		  "policy has errors (nothing was changed), 4 not permitted.\n\n"
		  "Examples:\n"
		  "  sudo komainu run --policy policies/default.yaml --foreground --unload\n"
		  "  sudo komainu run            # as a service does\n",
	  .run = run_run },
	{ 0 },
};
