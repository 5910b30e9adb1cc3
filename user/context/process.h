#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/text.h"
#include "context/container.h"
#include "kmn_abi.h"

/* How complete a process is known. */
enum process_source {
	PROCESS_UNKNOWN,  /* nothing but the pid */
	PROCESS_SNAPSHOT, /* from /proc when the sensor started */
	PROCESS_SEEN,	  /* from its own fork and exec records */
};

enum process_flag {
	PROCESS_MEMFD = 1,     /* the executable is a memfd */
	PROCESS_DELETED = 2,   /* its file has no name any more */
	PROCESS_UPPER = 4,     /* it lies in the upper layer of an overlay: not from the image */
	PROCESS_ARGS_CUT = 8,  /* longer than 64 KiB, or not readable */
	PROCESS_PATH_CUT = 16, /* deeper than the walk's bound and not completed */
	PROCESS_EXITED = 32,
};

/* What one event says of one process: views into memory that lives until the event is encoded, or
 * into a decoded event. */
struct process_view {
	uint32_t pid, ppid, uid, euid, gid, login_uid; /* login_uid: ~0 = none; pid 0: no process */
	uint64_t start_ns;			       /* boot clock */
	uint32_t flags, source;
	struct kmn_file_id exe_id;
	struct text exe, args, cwd; /* args: NUL between arguments, as in /proc/PID/cmdline */
	struct text user;	    /* name of uid on the host, may be absent */
};

#define PROCESS_CHAIN 6 /* the process and up to five ancestors go with an event */
struct process_chain {
	struct process_view p[PROCESS_CHAIN];
	uint32_t n; /* 0: no process known */
	struct container_view container;
};

/* The process table: bounded, keyed (pid, start_ns), survives pid reuse. Records of bpf/task feed
 * it; nothing on the event path reads /proc. */
struct process_table;

/* Fill chain for (pid, start_ns); start_ns 0: the newest process of that pid at at_ns. False and an
 * empty chain (n = 1 with only the pid when pid is not 0) when it is not in the table. */
bool process_describe(struct process_table *t, uint32_t pid, uint64_t start_ns, uint64_t at_ns,
		      struct process_chain *chain);
