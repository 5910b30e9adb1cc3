#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "base/clock.h"
#include "context/process.h"

/* Records for the process table, as short as a test can say them. */

#define S(n) ((uint64_t)(n)*NS_PER_S)

static const struct process_creds root_creds = { .cap_effective = 0x1ffffffffff,
						 .cap_permitted = 0x1ffffffffff,
						 .login_uid = UINT32_MAX };
static const struct process_creds user_creds = {
	.uid = 1000, .euid = 1000, .suid = 1000, .gid = 1000, .egid = 1000, .login_uid = 1000
};

static inline struct process_who who(uint32_t pid, uint64_t start_ns, uint64_t now_ns)
{
	return (struct process_who){
		.pid = pid, .start_ns = start_ns, .time_ns = now_ns, .creds = root_creds
	};
}

/* pid begins at now_ns as a child of ppid */
static inline bool forked(struct process_table *t, uint32_t pid, uint64_t now_ns, uint32_t ppid,
			  uint64_t parent_start_ns, uint64_t exec_id)
{
	struct process_fork f = { .who = who(pid, now_ns, now_ns),
				  .from_pid = ppid,
				  .from_start_ns = parent_start_ns };

	f.who.ppid = ppid;
	f.who.parent_start_ns = parent_start_ns;
	f.who.exec_id = exec_id;
	return process_fork(t, &f, NULL);
}

static inline bool executed(struct process_table *t, uint32_t pid, uint64_t start_ns,
			    uint64_t exec_id, const char *exe, const char *args, uint64_t now_ns)
{
	struct process_exec x = { .who = who(pid, start_ns, now_ns),
				  .exe = text_of(exe),
				  .args = text_of(args),
				  .cwd = text_of("/") };

	x.who.exec_id = exec_id;
	return process_exec(t, &x, NULL);
}

static inline bool exited(struct process_table *t, uint32_t pid, uint64_t start_ns,
			  uint64_t exec_id, uint64_t now_ns)
{
	struct process_who w = who(pid, start_ns, now_ns);

	w.exec_id = exec_id;
	return process_exit(t, &w, NULL);
}

static inline struct process_stats stats_of(const struct process_table *t)
{
	struct process_stats s;

	process_table_stats(t, &s);
	return s;
}

#define assert_says(text_, string)                     \
	do {                                           \
		struct text t_ = (text_);              \
		const char *s_ = (string);             \
		assert_non_null(t_.p);                 \
		assert_int_equal(t_.len, strlen(s_));  \
		assert_memory_equal(t_.p, s_, t_.len); \
	} while (0)
