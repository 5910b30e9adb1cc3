#pragma once
/* For tests of bpf/task: the object loaded by itself, its records collected, children started. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "core/kernel.h"
#include "task/task.skel.h"
#include "task/task_abi.h"

struct feed {
	struct task_bpf *skel;
	struct ring_buffer *rb;
	char *data; /* records behind each other, each rounded up to 8 bytes */
	size_t len, cap;
	unsigned n;
};

static inline int feed_record(void *arg, void *data, size_t size)
{
	struct feed *f = arg;
	size_t room = (size + 7) & ~7UL;

	if (f->len + room > f->cap) {
		f->cap = f->cap ? f->cap * 2 : 1 << 20;
		if (f->cap < f->len + room)
			f->cap = f->len + room;
		f->data = realloc(f->data, f->cap);
		assert_non_null(f->data);
	}
	memcpy(f->data + f->len, data, size);
	f->len += room;
	f->n++;
	return 0;
}

static inline void feed_drain(struct feed *f)
{
	assert_true(ring_buffer__consume(f->rb) >= 0);
}

static inline void feed_forget(struct feed *f)
{
	feed_drain(f);
	f->len = f->n = 0;
}

/* Walk the collected records: NULL first, then the one before; NULL at the end. */
static inline const struct kmn_event *feed_next(const struct feed *f, const struct kmn_event *e)
{
	const char *at = e ? (const char *)e + ((e->size + 7) & ~7U) : f->data;

	return at && at < f->data + f->len ? (const struct kmn_event *)at : NULL;
}

/* The n-th record (from 0) of this kind about this pid. */
static inline const void *feed_find(const struct feed *f, uint8_t kind, pid_t pid, unsigned n)
{
	for (const struct kmn_event *e = feed_next(f, NULL); e; e = feed_next(f, e))
		if (e->kind == kind && e->pid == (uint32_t)pid && !n--)
			return e;
	return NULL;
}

static inline unsigned feed_count(const struct feed *f, uint8_t kind, pid_t pid)
{
	unsigned n = 0;

	while (feed_find(f, kind, pid, n))
		n++;
	return n;
}

/* A word of kmn_counts of the telemetry ring, summed over the CPUs. */
static inline uint64_t feed_counter(const struct feed *f, unsigned word)
{
	int cpus = libbpf_num_possible_cpus();
	__u64 v[cpus], sum = 0;
	__u32 key = KMN_TELEMETRY * KMN_C_RING_WORDS + word;

	assert_int_equal(
		bpf_map__lookup_elem(f->skel->maps.kmn_counts, &key, sizeof(key), v, sizeof(v), 0),
		0);
	for (int i = 0; i < cpus; i++)
		sum += v[i];
	return sum;
}

struct feed_options {
	uint64_t cost_ns, burst_ns; /* 0: the object's own */
	bool no_budget, no_probe_read;
	uint32_t ring_bytes; /* 0: the object's own */
};

/* Load and attach. Skips the test where the kernel does not take tp_btf. */
static inline struct feed *feed_open(const struct feed_options *o)
{
	struct feed *f = calloc(1, sizeof(*f));
	struct kernel k = {};
	int r;

	assert_non_null(f);
	assert_int_equal(kernel_probe(&k), 0);
	f->skel = task_bpf__open();
	assert_non_null(f->skel);
	f->skel->rodata->kmn_cgroup_subsys = k.cgroup_subsys;
	f->skel->rodata->kmn_probe_read = !o->no_probe_read;
	f->skel->rodata->kmn_instance = 77;
	if (o->cost_ns)
		f->skel->rodata->task_cost_ns = o->cost_ns;
	if (o->no_budget)
		f->skel->rodata->task_cost_ns = 0;
	if (o->burst_ns)
		f->skel->rodata->task_burst_ns = o->burst_ns;
	if (o->ring_bytes)
		bpf_map__set_max_entries(f->skel->maps.kmn_telemetry, o->ring_bytes);
	r = task_bpf__load(f->skel);
	if (r)
		fail_msg("load: %s", strerror(-r));
	r = task_bpf__attach(f->skel);
	if (r)
		fail_msg("attach: %s", strerror(-r));
	f->rb = ring_buffer__new(bpf_map__fd(f->skel->maps.kmn_telemetry), feed_record, f, NULL);
	assert_non_null(f->rb);
	return f;
}

static inline void feed_close(struct feed *f)
{
	ring_buffer__free(f->rb);
	task_bpf__destroy(f->skel);
	free(f->data);
	free(f);
}

/* Names of a walk, leaf first, into a path. */
static inline const char *feed_path(const char *names, unsigned len, char *out, size_t size)
{
	size_t at = size - 1;

	out[at] = '\0';
	for (unsigned i = 0; i < len;) {
		size_t n = strnlen(names + i, len - i);

		assert_true(at > n + 1);
		at -= n;
		memcpy(out + at, names + i, n);
		out[--at] = '/';
		i += n + 1;
	}
	return at == size - 1 ? "/" : out + at;
}

/* All arguments of an exec, parts joined; how many bytes there were. */
static inline size_t feed_args(const struct feed *f, const struct task_exec *ev, char *out,
			       size_t size)
{
	const struct task_part *p;
	size_t n = ev->args_len;

	assert_true(n <= size);
	memcpy(out, ev->text + ev->names_len, n);
	for (unsigned i = 0; (p = feed_find(f, TASK_EV_PART, (pid_t)ev->head.pid, i)); i++) {
		if (p->exec_id != ev->who.exec_id || p->what != TASK_PART_ARGS)
			continue;
		assert_int_equal(p->offset, n);
		assert_true(n + p->len <= size);
		memcpy(out + n, p->data, p->len);
		n += p->len;
	}
	return n;
}

/* A program of a few bytes that exits with 0 at once. */
static inline void feed_tiny(const char *path)
{
#if defined(__x86_64__)
	static const unsigned char code[] = { 0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05 };
	const uint16_t machine = 62;
#elif defined(__aarch64__)
	static const unsigned char code[] = { 0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b,
					      0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4 };
	const uint16_t machine = 183;
#endif
	struct {
		unsigned char ident[16];
		uint16_t type, machine;
		uint32_t version;
		uint64_t entry, phoff, shoff;
		uint32_t flags;
		uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
		uint32_t p_type, p_flags;
		uint64_t p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align;
		unsigned char text[16];
	} elf = { .ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 },
		  .type = 2,
		  .machine = machine,
		  .version = 1,
		  .entry = 0x400000 + 120,
		  .phoff = 64,
		  .ehsize = 64,
		  .phentsize = 56,
		  .phnum = 1,
		  .p_type = 1,
		  .p_flags = 5,
		  .p_vaddr = 0x400000,
		  .p_paddr = 0x400000,
		  .p_filesz = sizeof(elf),
		  .p_memsz = sizeof(elf),
		  .p_align = 0x1000 };
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);

	memcpy(elf.text, code, sizeof(code));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &elf, sizeof(elf)), sizeof(elf));
	assert_int_equal(close(fd), 0);
}

/* fork, act(arg) in the child, wait. The child's pid; its wait status in *status. */
static inline pid_t feed_child(void (*act)(void *), void *arg, int *status)
{
	pid_t pid = fork();
	int s;

	assert_true(pid >= 0);
	if (!pid) {
		act(arg);
		_exit(99); /* act was to exec or to exit */
	}
	assert_int_equal(waitpid(pid, &s, 0), pid);
	if (status)
		*status = s;
	return pid;
}
