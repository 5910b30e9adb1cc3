#pragma once
#include "context/process.h"

/* Executable (exe) or working directory of a program start from /proc, into out. {NULL, 0} when the
 * process is gone, runs another program by now, or the path is longer than the kernel tells. Not
 * for the record path. */
struct text tasks_proc_path(const struct process_exec *x, bool exe, char *out, size_t room);

/* Do we run in a pid namespace other than the host's? Then the pids that records name mean nothing
 * to kill(2) and /proc here. False also when /proc does not say. */
bool tasks_own_pids(void);
