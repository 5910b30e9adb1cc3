#include <string.h>
#include "control/cli.h"
#include "core/worker.h"
#include "registry.h"

int main(int argc, char **argv)
{
	if (argc > 0 && !strcmp(argv[0], WORKER_ARGV0))
		worker_main(kmn_roof.jobs);
	if (argc > 0 && !strcmp(argv[0], CANARY_ARGV0))
		return 0;
	return cli_main(&kmn_roof, argc, argv);
}
