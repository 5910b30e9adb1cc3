#pragma once
#include "core/module.h"
#include "context/process.h"

#define TASKS_RUNNING_MAX 262144 /* processes asked for at the start: 12 MiB for a moment */

/* What the kernel tells of the processes that run, by a task iterator (5.8 and later): *known, by
 * pid, which the caller frees, and *n. Allocates: at the start only. 0, or -errno with the reason
 * in why: then *known is NULL, and /proc alone tells. source: Documentation/bpf/bpf_iterators.rst
 */
int tasks_running(struct kmn_core *core, struct process_running **known, uint32_t *n, char *why,
		  size_t room);
