#pragma once
#include <stddef.h>
#include <stdint.h>

/* What a process has locked itself into, each bit checked after it was set. */
enum {
	SANDBOX_UID = 1 << 0,  /* uid and gid are not 0, no supplementary group */
	SANDBOX_CAPS = 1 << 1, /* effective, permitted, inheritable and ambient sets are empty */
	SANDBOX_BOUNDING = 1 << 2, /* so is the bounding set */
	SANDBOX_NNP = 1 << 3,	   /* no_new_privs */
	SANDBOX_SECCOMP = 1 << 4,  /* a filter that kills */
	SANDBOX_LIMITS = 1 << 5,   /* resource limits, no core dump, not traceable */
	SANDBOX_ROOT = 1 << 6,	   /* the root folder is empty, and stays so */
	SANDBOX_LANDLOCK = 1 << 7, /* no access to any file by name */
	SANDBOX_NET = 1 << 8,	   /* own, empty network namespace */
	SANDBOX_IPC = 1 << 9,
	SANDBOX_UTS = 1 << 10,
	SANDBOX_PID = 1 << 11, /* sees no other process */
	SANDBOX_BITS = 12,
	/* Without these nothing is parsed. The rest needs root, or a kernel that has it. */
	SANDBOX_REQUIRED =
		SANDBOX_UID | SANDBOX_CAPS | SANDBOX_NNP | SANDBOX_SECCOMP | SANDBOX_LIMITS,
};

#define SANDBOX_NOBODY 65534

struct sandbox_limits {
	uint64_t memory_bytes; /* address space */
	uint64_t file_bytes;   /* of one memfd */
	uint32_t fds;
};

/* Lock the calling process (one thread) in, as far as its rights go. The bits in force, or -errno
 * with the step that failed in why: what was set stays set, so the caller ends. */
int sandbox_enter(const struct sandbox_limits *limits, char *why, size_t why_len);

/* The bits in words: "uid 65534, no capabilities, ..., not: empty root, no network". */
void sandbox_text(uint32_t bits, unsigned uid, char *out, size_t len);
