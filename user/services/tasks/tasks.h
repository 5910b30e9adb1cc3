#pragma once
#include "core/module.h"

/* The process hooks, always on: bpf/task tells of every exec, fork and exit, of credential changes
 * and of cgroups; this service feeds the process and the container table with it and makes events.
 * One sensor in a process. */
extern const struct kmn_part tasks_service;

/* Records per second of one cgroup, and for how many of the CPUs' shares of it are enough: a cgroup
 * that runs on one CPU alone gets at least a quarter. */
#define TASKS_RATE 20000
#define TASKS_SHARES 4
#define TASKS_BURST_NS 1000000000ULL /* a share may be saved up for so long */
