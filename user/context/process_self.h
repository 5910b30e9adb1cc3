#pragma once
#include "context/blocks.h"
#include "context/process.h"
#include "context/users.h"

/* Inside the process table. Entries are named by number, 0 is none. */

#define PROCESS_TICK_NS 10000000ULL /* of the start times in /proc: USER_HZ is 100 everywhere */
#define PROCESS_EXEC_ID_UNKNOWN UINT64_MAX

enum process_bit {
	PROCESS_BIT_TICKS = 1,	   /* start_ns is the tick that /proc showed: rounded down */
	PROCESS_BIT_FORK_SEEN = 2, /* these were told, so a second one is a double */
	PROCESS_BIT_EXIT_SEEN = 4,
	PROCESS_BIT_CREDS = 8,	      /* creds are known */
	PROCESS_BIT_STALE = 16,	      /* an exec was missed: image was dropped */
	PROCESS_BIT_CREDS_SHOWN = 32, /* creds are those of /proc: the record of a change to them
					 may still be in the ring */
};

/* What an exec made: shared by a process and all that it forks. In a block, followed by its texts:
 * exe, args, cwd. */
struct process_image {
	struct kmn_file_id exe_id;
	uint32_t refs, flags;
	uint32_t exe_len, args_len, cwd_len;
	uint32_t known; /* enum process_known */
	char text[];
};
enum process_known { PROCESS_HAS_EXE = 1, PROCESS_HAS_ARGS = 2, PROCESS_HAS_CWD = 4 };

struct process_entry {
	uint64_t start_ns, parent_start_ns, exec_id, cgroup_id;
	uint64_t exit_ns; /* 0: alive */
	struct process_creds creds;
	uint32_t pid, ppid;
	uint32_t image; /* block; 0: not known */
	uint32_t next;	/* of its bucket, or of the free list */
	uint32_t newer, older;
	uint8_t bits, source, used;
};

struct process_list {
	uint32_t newest, oldest;
	uint64_t n;
};

struct process_table {
	struct process_entry *entry; /* [capacity + 1], number 0 unused */
	uint32_t *bucket;
	uint32_t capacity, bucket_bits, free, cursor;
	struct process_list live, exited; /* by last use; by the order of their ends */
	struct blocks blocks;
	struct users *users;
	struct container_table *containers;
	uint64_t seed;
	bool pids_are_ours; /* a pid means the same to kill(2) and in the records */
	struct process_stats stats;
};

/* process_table.c: finding, making and forgetting */
struct process_entry *process_find(struct process_table *t, uint32_t pid, uint64_t start_ns);
struct process_entry *process_find_at(struct process_table *t, uint32_t pid, uint64_t at_ns);
/* A new, live entry, room made for it; keep: an entry that must stay, or NULL. Never fails. */
struct process_entry *process_make(struct process_table *t, uint32_t pid, uint64_t start_ns,
				   uint64_t now_ns, const struct process_entry *keep);
void process_used(struct process_table *t, struct process_entry *e);
void process_ended(struct process_table *t, struct process_entry *e, uint64_t exit_ns);
uint32_t process_number(const struct process_table *t, const struct process_entry *e);
struct process_entry *process_oldest_exited(struct process_table *t);
void process_forget(struct process_table *t, struct process_entry *e);

/* process_image.c */
struct process_image *process_image(const struct process_table *t, uint32_t image);
void process_image_drop(struct process_table *t, struct process_entry *e);
void process_image_share(struct process_table *t, struct process_entry *e, uint32_t image);
/* Give e what x executes, shortened or none when there is no room. now_ns: of the record. */
void process_image_set(struct process_table *t, struct process_entry *e,
		       const struct process_exec *x);
