#pragma once
/* Jobs for the tests of the workers: some work, each of the others misbehaves in one way. They run
 * in the worker, which is the test program itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "core/sandbox_filter.h" /* KMN_SANITIZED */
#include "core/worker_wire.h"

#define JOB(fn) static int fn(int in, int out, const void *arg, uint32_t arg_len, char *error)
#define UNUSED_JOB_ARGS ((void)in, (void)out, (void)arg, (void)arg_len, (void)error)

/* Copies in and then arg to out. */
JOB(job_copy)
{
	char block[4096];
	ssize_t n;

	(void)error;
	while (in >= 0 && (n = read(in, block, sizeof(block))) > 0)
		if (write(out, block, (size_t)n) != n)
			return -EIO;
	return arg_len && write(out, arg, arg_len) != (ssize_t)arg_len ? -EIO : 0;
}

JOB(job_empty)
{
	UNUSED_JOB_ARGS;
	return 0;
}

JOB(job_refuse)
{
	UNUSED_JOB_ARGS;
	(void)snprintf(error, WORKER_ERROR_MAX, "3:1: no\naddress\x1b");
	return -EINVAL;
}

/* Fills a result of *(uint64_t *)arg bytes through a mapping. */
JOB(job_big)
{
	uint64_t len;
	char *p;

	(void)in;
	(void)error;
	if (arg_len != sizeof(len))
		return -EINVAL;
	memcpy(&len, arg, sizeof(len));
	if (ftruncate(out, (off_t)len))
		return -errno;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
	if (p == MAP_FAILED)
		return -errno;
	memset(p, 'b', len);
	return munmap(p, len) ? -errno : 0;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* What parsers do with their C library: it must not ask the kernel for more than the filter allows
 * (glibc's qsort() asks how much memory there is, stdio what kind of file it has). */
JOB(job_libc)
{
	uint32_t n = 1 << 20, seed = 1, *v = malloc(n * sizeof(*v)), *more;
	struct timespec now;
	FILE *f = fdopen(out, "w");
	char *line = NULL;
	size_t cap = 0;

	UNUSED_JOB_ARGS;
	if (!v || !f || clock_gettime(CLOCK_MONOTONIC, &now))
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		v[i] = seed = seed * 1664525 + 1013904223;
	qsort(v, n, sizeof(*v), by_value);
	more = realloc(v, 3UL * n * sizeof(*v));
	if (!more)
		return -ENOMEM;
	for (uint32_t i = 1; i < n; i++)
		if (more[i - 1] > more[i])
			return -EILSEQ;
	free(more);
	(void)fprintf(f, "%.3f %d\n", strtod("0.125", NULL), (int)strtol("42", NULL, 10));
	if (fflush(f))
		return -errno;
	if (in >= 0) {
		FILE *text = fdopen(in, "r");

		while (text && getline(&line, &cap, text) > 0)
			(void)fputs(line, f);
		free(line);
	}
	return fflush(f) ? -errno : 0;
}

/* Tries to change the file that it is given to read. */
JOB(job_write_in)
{
	UNUSED_JOB_ARGS;
	return write(in, "x", 1) < 0 ? -errno : 0;
}

/* How many descriptors are open beside this job's own: one byte. */
JOB(job_count_fds)
{
	char n = 0;

	(void)arg;
	(void)arg_len;
	(void)error;
	for (int fd = 0; fd < WORKER_FDS_MAX; fd++)
		n += fd != in && fd != out && fcntl(fd, F_GETFL) >= 0;
	return write(out, &n, 1) == 1 ? 0 : -EIO;
}

JOB(job_crash)
{
	volatile uintptr_t nowhere = 8;

	UNUSED_JOB_ARGS;
	*(volatile int *)nowhere = 1;
	return 0;
}

JOB(job_abort)
{
	UNUSED_JOB_ARGS;
	__builtin_trap();
}

JOB(job_exit)
{
	UNUSED_JOB_ARGS;
	_exit(7);
}

JOB(job_spin)
{
	UNUSED_JOB_ARGS;
	for (volatile uint64_t i = 0;; i++)
		;
	return 0;
}

JOB(job_wait) /* for a message that never comes */
{
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	UNUSED_JOB_ARGS;
	return recvmsg(WORKER_SOCKET, &m, 0) < 0 ? -errno : 0;
}

JOB(job_eat_memory)
{
	UNUSED_JOB_ARGS;
	for (;;) {
		char *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

		if (p == MAP_FAILED)
			return -errno;
	}
}

JOB(job_oversize)
{
	UNUSED_JOB_ARGS;
	return ftruncate(out, (off_t)WORKER_RESULT_MAX + 1) ? -errno : 0;
}

JOB(job_keep_mapped)
{
	void *p;

	UNUSED_JOB_ARGS;
	if (ftruncate(out, 4096))
		return -errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
	return p == MAP_FAILED ? -errno : 0;
}

static void say(const void *data, size_t len, int fd, int copies)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (copies) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE((size_t)copies * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN((size_t)copies * sizeof(int));
		for (int i = 0; i < copies; i++)
			memcpy(CMSG_DATA(&control.head) + (size_t)i * sizeof(int), &fd, sizeof(fd));
	}
	(void)!sendmsg(WORKER_SOCKET, &m, 0);
}

JOB(job_send_garbage)
{
	UNUSED_JOB_ARGS;
	say("\xff\xff\xff\xff garbage", 12, -1, 0);
	return 0;
}

JOB(job_send_nothing) /* a message of no bytes looks like an end of file */
{
	UNUSED_JOB_ARGS;
	say("", 0, -1, 0);
	return 0;
}

JOB(job_send_huge)
{
	static char huge[sizeof(struct worker_batch_answer) + 100];

	UNUSED_JOB_ARGS;
	say(huge, sizeof(huge), -1, 0);
	return 0;
}

static struct {
	struct worker_head head;
	struct worker_answer answer;
} forged = { { WORKER_MAGIC, 1, 1, 0 }, { 0, "" } };

JOB(job_send_wrong_seq)
{
	UNUSED_JOB_ARGS;
	forged.head.seq = 0x7fffffff;
	say(&forged, sizeof(forged), -1, 0);
	return 0;
}

JOB(job_send_wrong_count)
{
	UNUSED_JOB_ARGS;
	forged.head.count = 0xffffffff;
	say(&forged, sizeof(forged), -1, 0);
	return 0;
}

JOB(job_send_wrong_status)
{
	UNUSED_JOB_ARGS;
	if (arg_len == sizeof(forged.head.seq)) /* the tests know which batch it is */
		memcpy(&forged.head.seq, arg, arg_len);
	forged.answer.status = 1;
	say(&forged, sizeof(forged), -1, 0);
	return 0;
}

JOB(job_send_fds)
{
	UNUSED_JOB_ARGS;
	say(&forged, sizeof(forged), out, 16);
	return 0;
}

JOB(job_answer_twice)
{
	UNUSED_JOB_ARGS;
	if (arg_len == sizeof(forged.head.seq))
		memcpy(&forged.head.seq, arg, arg_len);
	say(&forged, sizeof(forged), -1, 0);
	return 0; /* and the harness answers once more */
}

/* System calls that are not on the list. Each would return if it were allowed. */
#define FORBIDDEN(fn, call)                     \
	JOB(fn)                                 \
	{                                       \
		UNUSED_JOB_ARGS;                \
		return (call) < 0 ? -errno : 0; \
	}
static char *const no_args[] = { NULL };
FORBIDDEN(job_exec, execve("/bin/sh", no_args, no_args))
FORBIDDEN(job_exec_fd, (int)syscall(SYS_execveat, in, "", no_args, no_args, AT_EMPTY_PATH))
FORBIDDEN(job_open, (int)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0))
FORBIDDEN(job_socket, (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0))
FORBIDDEN(job_connect, (int)syscall(SYS_connect, WORKER_SOCKET, NULL, 0))
FORBIDDEN(job_ptrace, (int)syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, 1, 0, 0))
FORBIDDEN(job_kill, (int)syscall(SYS_kill, (int)syscall(SYS_getppid), SIGTERM))
FORBIDDEN(job_clone, (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
FORBIDDEN(job_memfd, (int)syscall(SYS_memfd_create, "more", 0))
FORBIDDEN(job_setuid, (int)syscall(SYS_setuid, 0))
FORBIDDEN(job_unshare, (int)syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */))
FORBIDDEN(job_bpf, (int)syscall(SYS_bpf, 0, NULL, 0))
FORBIDDEN(job_io_uring, (int)syscall(425 /* io_uring_setup */, 1, NULL))
FORBIDDEN(job_seal, fcntl(out, F_ADD_SEALS, F_SEAL_SEAL))
FORBIDDEN(job_map_code,
	  mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		  ? -1
		  : 0)
FORBIDDEN(job_sleep, usleep(1))

#ifdef __x86_64__
JOB(job_32_bit) /* int 0x80: another table of system calls, to get round the filter */
{
	long r = 20; /* getpid there, writev here: a filter that forgets the ABI lets it pass */

	UNUSED_JOB_ARGS;
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? (int)r : 0;
}
#endif

#define T_JOB(name)                \
	&(const struct worker_job) \
	{                          \
#name, job_##name  \
	}
#define T_WORKING_JOBS                                                                       \
	T_JOB(copy), T_JOB(empty), T_JOB(refuse), T_JOB(libc), T_JOB(big), T_JOB(count_fds), \
		T_JOB(write_in), T_JOB(spin), T_JOB(wait), T_JOB(eat_memory), T_JOB(oversize)
#define T_FORBIDDEN_JOBS                                                                        \
	T_JOB(exec), T_JOB(exec_fd), T_JOB(open), T_JOB(socket), T_JOB(connect), T_JOB(ptrace), \
		T_JOB(kill), T_JOB(clone), T_JOB(memfd), T_JOB(setuid), T_JOB(unshare),         \
		T_JOB(bpf), T_JOB(io_uring), T_JOB(seal), T_JOB(map_code), T_JOB(sleep)
#define T_HOSTILE_JOBS                                                                    \
	T_JOB(crash), T_JOB(abort), T_JOB(exit), T_JOB(keep_mapped), T_JOB(send_garbage), \
		T_JOB(send_nothing), T_JOB(send_huge), T_JOB(send_wrong_seq),             \
		T_JOB(send_wrong_count), T_JOB(send_wrong_status), T_JOB(send_fds)
#ifdef __x86_64__
#define T_32_BIT_JOBS T_JOB(32_bit),
#else
#define T_32_BIT_JOBS
#endif

static const struct worker_job *const forbidden_jobs[] = { T_FORBIDDEN_JOBS, T_32_BIT_JOBS NULL };
static const struct worker_job *const hostile_jobs[] = { T_HOSTILE_JOBS, NULL };
static const struct worker_job *const all_jobs[] = { T_WORKING_JOBS, T_HOSTILE_JOBS,
						     T_JOB(answer_twice), T_FORBIDDEN_JOBS,
						     T_32_BIT_JOBS NULL };
