#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "context/process.h"
#include "task/task_abi.h"

/* Starts of programs that one record could not tell whole: arguments and long paths come in parts
 * behind it. A fixed number of slots; the oldest gives way, and a part that does not come is said
 * to be missing. No clock, no I/O: the caller has them. */
#define TASKS_JOINS 32		/* programs start on as many CPUs at the same time, or preempted */
#define TASKS_JOIN_NS 500000000 /* parts follow within microseconds; after this one is lost */
#define TASKS_JOIN_LOOK_MS 20
#define TASKS_PATH_ROOM (TASK_PART_DATA + 8)

/* What an exec still lacks. */
enum tasks_lack {
	TASKS_LACK_ARGS = 1,
	TASKS_LACK_EXE = 2, /* a part */
	TASKS_LACK_CWD = 4,
	TASKS_LACK_EXE_PROC = 8, /* to be read from /proc by the caller */
	TASKS_LACK_CWD_PROC = 16,
};

struct tasks_join {
	bool used;
	uint32_t lack; /* enum tasks_lack bits */
	uint32_t instance;
	uint64_t begun_ns;	  /* boot clock, when the slot was taken */
	struct process_exec exec; /* its texts lie in the slot */
	uint32_t args_total;
	char exe[TASKS_PATH_ROOM], cwd[TASKS_PATH_ROOM];
	char args[TASK_ARGS_MAX];
};

/* A path from the names of a walk, leaf first (check()ed: each with its NUL), into out of
 * TASKS_PATH_ROOM bytes. cut: the names nearest to the root are missing, so it begins with "...".
 */
struct text tasks_path(const char *names, uint32_t len, bool cut, char *out);

/* What the record does not hold itself. */
uint32_t tasks_lacks(const struct task_exec *rec);

/* Keep an exec for which something is lacking; x: what its record told. The slot, or NULL when all
 * are in use: then finish tasks_join_oldest() and try again. */
struct tasks_join *tasks_join_keep(struct tasks_join *slots, const struct task_exec *rec,
				   const struct process_exec *x, uint64_t now_ns);
struct tasks_join *tasks_join_oldest(struct tasks_join *slots);

/* A part came: the slot that it belongs to, now with less lacking; NULL: none. */
struct tasks_join *tasks_join_part(struct tasks_join *slots, const struct task_part *part);
/* The caller found a path; {NULL, 0}: it did not. */
void tasks_join_found(struct tasks_join *slot, uint32_t which, struct text path);
/* Nothing more will come: what lacks is marked as cut in slot->exec. */
void tasks_join_give_up(struct tasks_join *slot);
