/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include "kmn_abi.h"

/* Records of bpf/task, all in the telemetry ring. In each, the head's pid and start_ns name the
 * process (thread group), tid the thread that acted. */
enum task_kind {
	TASK_EV_EXEC = KMN_EV_OWN,
	TASK_EV_FORK,
	TASK_EV_EXIT,
	TASK_EV_CRED,
	TASK_EV_PART,	/* more of an exec: arguments or a path that its record had no room for */
	TASK_EV_CGROUP, /* a cgroup came, went, or got a task */
};

struct task_creds {
	__u64 cap_effective, cap_permitted;
	__u32 uid, euid, suid, gid, egid;
	__u32 login_uid; /* ~0: none */
};
KMN_ABI_SIZE(struct task_creds, 40);

struct task_who {
	__u64 exec_id;	       /* self_exec_id: the program of a process changes, its pid stays */
	__u64 parent_start_ns; /* boot clock */
	__u32 ppid, pad;       /* host pid namespace */
	struct task_creds creds;
};
KMN_ABI_SIZE(struct task_who, 64);

/* enum kmn_file_flag stands in the low bits of task_exec.flags, these above. */
enum task_exec_flag {
	TASK_EXEC_SCRIPT = 0x100,	/* started through an interpreter: exe is the interpreter */
	TASK_EXEC_ARGS_BAD = 0x200,	/* the arguments could not be read */
	TASK_EXEC_ARGS_CUT = 0x400,	/* they are longer than TASK_ARGS_MAX */
	TASK_EXEC_EXE_PART = 0x800,	/* the path comes in a part instead */
	TASK_EXEC_CWD_PART = 0x1000,	/* likewise the working directory */
	TASK_EXEC_NO_PATH = 0x2000,	/* names may not be read here: user space finds the paths */
	TASK_EXEC_EXE_DETACHED = 0x4000 /* the path does not end at the namespace's root */
};

#define TASK_NAMES 512	    /* names of exe and cwd in the record, one more than this may begin */
#define TASK_ARGS_HERE 512  /* arguments in the record */
#define TASK_TEXT 1024	    /* both, and room for a last name of 256 */
#define TASK_ARGS_MAX 65536 /* arguments reported in all */
#define TASK_PART_ARGS_MAX 4096 /* bytes of arguments in a part */
#define TASK_PART_NAMES 4096	/* bytes of names in a part: one more may begin below it */
#define TASK_PART_DATA (TASK_PART_NAMES + 256)
#define TASK_PARTS_MAX 16  /* parts of arguments: (TASK_ARGS_MAX - 512) / 4096, rounded up */
#define TASK_WALK_HERE 32  /* steps (names and mounts) of a walk into the record */
#define TASK_WALK_PART 128 /* steps of a walk into a part; deeper ones user space completes */

/* text: names of exe, leaf first, each with its NUL (exe_len bytes); behind them those of cwd
 * (cwd_len); at names_len the first arguments as they lie in memory (args_len). */
struct task_exec {
	struct kmn_event head;
	struct task_who who;
	struct kmn_file_id exe_id;
	__u32 flags;
	__u32 old_tid;	  /* thread that called exec, when it was not the leader; else the pid */
	__u32 args_total; /* bytes of all arguments, at most TASK_ARGS_MAX */
	__u16 names_len;  /* exe_len + cwd_len: where the arguments begin */
	__u16 exe_len, cwd_len, args_len;
	__u16 pad[2];
	struct kmn_walk walk; /* of the kernel side */
	char text[TASK_TEXT];
};
KMN_ABI_SIZE(struct task_exec, 1216);

enum task_part_what { TASK_PART_ARGS, TASK_PART_EXE, TASK_PART_CWD };

struct task_part {
	struct kmn_event head; /* time_ns, pid and start_ns as in the exec's record */
	__u64 exec_id;
	__u32 offset; /* of data in the arguments; 0 for a path */
	__u16 len;
	__u8 what; /* enum task_part_what */
	__u8 pad;
	struct kmn_walk walk; /* of a path: how it ended */
	char data[TASK_PART_DATA];
};
KMN_ABI_SIZE(struct task_part, 4456);

struct task_fork {
	struct kmn_event head; /* the child */
	struct task_who who;
	__u64 from_start_ns; /* who called fork: not the parent under CLONE_PARENT */
	__u32 from_pid, pad;
};
KMN_ABI_SIZE(struct task_fork, 136);

struct task_exit {
	struct kmn_event head;
	struct task_who who;
	__u32 code; /* as wait(2) reports it: signal in the low 7 bits, 0x80 core, exit code above
		     */
	__u32 pad;
};
KMN_ABI_SIZE(struct task_exit, 128);

struct task_cred {
	struct kmn_event head;
	struct task_who who; /* creds: the new ones */
	struct task_creds old;
};
KMN_ABI_SIZE(struct task_cred, 160);

enum task_cgroup_op {
	TASK_CGROUP_MKDIR,
	TASK_CGROUP_RMDIR,
	TASK_CGROUP_ATTACH /* the process of the head moved into the cgroup of the head */
};

#define TASK_CGROUP_PATH 1024 /* TRACE_CGROUP_PATH_LEN of the kernel */

struct task_cgroup {
	struct kmn_event head; /* cgroup_id: the cgroup it is about */
	__u8 op;	       /* enum task_cgroup_op */
	__u8 pad[3];
	__u16 level;	/* depth below the root of the hierarchy */
	__u16 path_len; /* without NUL; 0: could not be read */
	char path[TASK_CGROUP_PATH];
};
KMN_ABI_SIZE(struct task_cgroup, 1088);

/* A process that runs when the sensor starts: what the iterator of running.bpf.c writes of each,
 * one behind the other. Not a record. */
struct task_running {
	__u64 start_ns, parent_start_ns, cgroup_id;
	struct kmn_file_id exe_id; /* ino 0: no executable */
	__u32 pid, flags;	   /* enum kmn_file_flag */
};
KMN_ABI_SIZE(struct task_running, 48);

/* Token bucket of one cgroup on one CPU. */
struct task_budget {
	__u64 last_ns;	 /* boot clock of the last refill */
	__s64 tokens;	 /* in ns: a record costs task_cost_ns */
	__s64 exits;	 /* a second bucket, so that a known process's exit still gets through */
	__u64 throttled; /* records of this cgroup that were not sent, on this CPU */
};
KMN_ABI_SIZE(struct task_budget, 32);

#define TASK_BUDGET_CGROUPS 4096 /* cgroups with a bucket; the least recently used one goes */
#define TASK_UNSENT_MAX 16384 /* processes whose start was throttled, so that their exit is too */
