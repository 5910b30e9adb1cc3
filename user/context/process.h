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
	PROCESS_ARGS_CUT = 8,  /* longer than 64 KiB, or not readable; in a chain: than 4 KiB */
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

/* What a person calls it: the last part of the executable's path, or, where that could not be read,
 * of the first argument, which is the process's own word; "?" when neither is known. */
struct text process_name(const struct process_view *p);

#define PROCESS_CHAIN 6 /* the process and up to five ancestors go with an event */
struct process_chain {
	struct process_view p[PROCESS_CHAIN];
	uint32_t n; /* 0: no process known */
	struct container_view container;
};

/* The process table: bounded, keyed (pid, start_ns), survives pid reuse. Records of bpf/task feed
 * it; nothing on the event path reads /proc or allocates. A parent is the one at the fork: it stays
 * when the kernel hands an orphan to init, so that a double fork does not hide who started it. */
struct process_table;

#define PROCESS_CAPACITY 32768	    /* processes, the ended ones that are still kept included */
#define PROCESS_BYTES (20ULL << 20) /* everything that the table allocates, ever */
#define PROCESS_ARGS_KEPT 4096	    /* of one process; the exec event carries them whole */
#define PROCESS_PATH_KEPT 4096
#define PROCESS_KEEP_NS 10000000000ULL /* an ended process is wanted at least this long */

struct process_limits {
	uint32_t processes;    /* 0: PROCESS_CAPACITY */
	uint64_t bytes;	       /* 0: PROCESS_BYTES; what the table itself leaves is for texts */
	const char *host_root; /* NULL: ""; where etc/passwd of the host is: "/host", copied */
};

/* limits NULL: the defaults. NULL: no memory, or bytes leave no room for texts; logged. */
struct process_table *process_table_new(const struct process_limits *limits);
void process_table_free(struct process_table *t); /* NULL is allowed */
/* Containers of the processes come from c (borrowed, NULL: none known). */
void process_table_containers(struct process_table *t, struct container_table *c);
/* Once a second, boot clock: user names anew when their file changed; a share of the live processes
 * is checked for being there still, since a record of an end can be lost. */
void process_table_tick(struct process_table *t, uint64_t now_ns);
uint64_t process_table_memory_max(const struct process_table *t); /* bytes, by formula */

/* Fill chain for (pid, start_ns); start_ns 0: the newest process of that pid at at_ns (0: now); a
 * whole number of ticks of 10 ms: the one that started in that tick.
 * False and an empty chain (n = 1 with only the pid when pid is not 0) when it is not in the table.
 * An ancestor that is not known any more ends the chain with its pid alone. */
bool process_describe(struct process_table *t, uint32_t pid, uint64_t start_ns, uint64_t at_ns,
		      struct process_chain *chain);

/* ---- what records say ---- */

struct process_creds {
	uint64_t cap_effective, cap_permitted;
	uint32_t uid, euid, suid, gid, egid;
	uint32_t login_uid; /* ~0: none */
};

/* Every record has it: who acts, as of then. Pids in the host's namespace, times on the boot clock.
 */
struct process_who {
	uint32_t pid, ppid;
	uint64_t start_ns, parent_start_ns; /* 0: not known */
	uint64_t exec_id;   /* how often the task has executed; a child inherits it */
	uint64_t cgroup_id; /* 0: not known */
	uint64_t time_ns;   /* when it happened */
	struct process_creds creds;
};

struct process_fork {
	struct process_who who; /* the child */
	uint32_t from_pid;	/* who called fork: not the parent under CLONE_PARENT; 0: ppid */
	uint64_t from_start_ns;
};

struct process_exec {
	struct process_who who;
	struct kmn_file_id exe_id;
	uint32_t flags;		    /* enum process_flag but EXITED */
	struct text exe, args, cwd; /* copied, PROCESS_ARGS_KEPT and PROCESS_PATH_KEPT at most */
};

/* Credentials that changed without a record of their own: a process has others than the table
 * knew. Whose, and both. The table has the new ones already. */
struct process_late {
	bool creds; /* false: nothing to tell, the rest is not set */
	uint32_t pid;
	uint64_t start_ns;
	struct process_creds old, now;
};

/* Feed the table. True: new. False: told before (counted, and nothing is applied twice): while two
 * instances of the sensor run, both send every record. Identity: of a fork and an exit the process,
 * of an exec the process and its exec_id, of credentials that the table has them already. late may
 * be NULL. At an exec the change may be the work of the executable (set-user-id). */
bool process_fork(struct process_table *t, const struct process_fork *f, struct process_late *late);
bool process_exec(struct process_table *t, const struct process_exec *x, struct process_late *late);
bool process_exit(struct process_table *t, const struct process_who *who,
		  struct process_late *late);
bool process_cred(struct process_table *t, const struct process_who *who);
/* It moved into the cgroup who->cgroup_id; of who, pid, start_ns and this are enough. False also
 * when it is not known. */
bool process_moved(struct process_table *t, const struct process_who *who);
/* The rest of an exec that process_exec() has taken: its texts are replaced by those of x that are
 * known, its flags and exe_id by those of x. False: another exec came meanwhile, or it is gone. */
bool process_exec_more(struct process_table *t, const struct process_exec *x);

/* ---- the processes that run already ---- */

/* What the kernel says of a process that runs, by an iterator: exactly, where /proc rounds. */
struct process_running {
	uint32_t pid, flags; /* enum process_flag */
	uint64_t start_ns, parent_start_ns, cgroup_id;
	struct kmn_file_id exe_id; /* ino 0: it has none, as threads of the kernel */
};

struct process_host {
	const char *proc_root; /* "/proc", or the host's */
	const char
		*cgroup_root; /* mount of the hierarchy that holds containers; "" or NULL: none */
	const char *cgroup_name; /* its controller; "" or NULL: the default hierarchy (v2) */
	const struct process_running *known; /* by pid, ascending; NULL: only /proc tells */
	uint32_t n_known;
};

/* Take in what proc_root shows; what records have told already is kept. A process that ends
 * meanwhile is left out. Of one that is not in known, the start is in ticks of 10 ms, which the
 * first record of it makes exact, and the executable is device and inode as stat(2) shows them:
 * without generation (0), and the overlay's own. Allocates, reads files: at start only. Number of
 * processes, or -errno. */
int process_snapshot(struct process_table *t, const struct process_host *host);
/* Pids of the records mean something else to us, who run in a pid namespace of our own: nobody is
 * checked for being there still. */
void process_pids_are_foreign(struct process_table *t);

/* Of the process whose folder below proc_root is open as dir: its start in ticks of 10 ms, which
 * process_describe() takes for the exact time as well, and its cgroup (0: not known). A descriptor
 * of the folder names one process, whoever gets its pid later. 0, or -errno. */
int process_read_identity(const struct process_host *host, int dir, uint64_t *start_ns,
			  uint64_t *cgroup_id);

struct process_stats {
	uint64_t live, exited; /* in the table now */
	uint64_t capacity;
	uint64_t forks, execs, exits, creds, moves; /* taken, doubles not counted */
	uint64_t doubles;	   /* records that another instance had told already */
	uint64_t late_creds;	   /* changes of credentials that no record told */
	uint64_t evicted_exited;   /* made room after their time */
	uint64_t evicted_early;	   /* ended less than PROCESS_KEEP_NS before */
	uint64_t evicted_live;	   /* still running: the table is too small for this host */
	uint64_t missed_execs;	   /* a later record showed that an exec was not told */
	uint64_t lost_exits;	   /* ended without a record, found by a check */
	uint64_t lookups, unknown; /* process_describe(), and those that found nothing */
	uint64_t args_shortened, texts_dropped; /* for want of bytes */
	uint64_t text_bytes, text_bytes_max;	/* in use, with what rounding up costs; there are */
	uint64_t bytes;				/* all in all, never more than the limit */
	uint64_t users;				/* names known */
};
void process_table_stats(const struct process_table *t, struct process_stats *s);
