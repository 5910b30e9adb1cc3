#pragma once
#include <stdbool.h>
#include "core/module.h"

#define SENSOR_POLICIES_MAX 16

struct sensor_options {
	const char *policies[SENSOR_POLICIES_MAX];
	unsigned n_policies;
	bool print;	       /* each event on standard output as it passes */
	bool all;	       /* forks and ends of processes too */
	bool json;	       /* as OCSF JSON instead of text */
	const char *host_root; /* where the host's files are seen, "/proc/1/root" in a container */
	bool unload;	       /* take everything out of the kernel at the end */
};

/* Run the sensor until a signal or the control socket ends it. Folders: cli_places(). Returns an
 * exit code (enum cli_exit). */
int sensor_run(const struct kmn_roof *roof, const struct sensor_options *o);
