#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/auto.h"
#include "core/kernel_try.h"

#define TRY_LOG 4096	      /* bytes of verifier log */
#define ENOTSUPP_KERNEL 524   /* not in errno.h; trampolines answer it */
#define ATTACH_TCX_INGRESS 46 /* enum bpf_attach_type, newer than the headers of the floor */
#define CGROUP_PASS 1	      /* return value: the connect goes on */

/* Instructions of the tiny programs. */
#define MOV_IMM(reg, v) \
	((struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (reg), .imm = (v) })
#define MOV_REG(to, from)   \
	((struct bpf_insn){ \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from) })
#define ADD_IMM(reg, v) \
	((struct bpf_insn){ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (reg), .imm = (v) })
#define CALL(helper) ((struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .imm = (helper) })
#define EXIT ((struct bpf_insn){ .code = BPF_JMP | BPF_EXIT })

struct rights {
	uint64_t caps; /* effective */
	bool seccomp;  /* a filter is in force */
	bool foreign;  /* not in the first user namespace: capabilities count for little */
};

static void read_rights(struct rights *r)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long from = 0, to = 0, n = 0;
	char line[256];

	*r = (struct rights){ 0 };
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "CapEff:", 7))
			r->caps = strtoull(line + 7, NULL, 16);
		else if (!strncmp(line, "Seccomp:", 8))
			r->seccomp = strtoull(line + 8, NULL, 10) == 2;
	}
	if (f)
		fclose(f);
	f = fopen("/proc/self/uid_map", "re");
	if (f) {
		r->foreign = fscanf(f, "%llu %llu %llu", &from, &to, &n) != 3 || from || to ||
			     n != 0xffffffff;
		fclose(f);
	}
}

static bool has_cap(const struct rights *r, int cap)
{
	return r->caps >> cap & 1;
}

struct trial {
	struct kernel *k;
	const struct btf *btf;
	char *log; /* TRY_LOG bytes */
	struct rights rights;
};

static const char *reason(int err)
{
	return err == -ENOTSUPP_KERNEL ? "not supported on this machine" : strerror(-err);
}

/* What an operator may look at, by errno. */
static const char *hint(const struct trial *t, int err)
{
	if (err == -EPERM && !has_cap(&t->rights, CAP_SYS_ADMIN))
		return " (a missing capability: root has it)";
	if (err == -EPERM)
		return t->k->lockdown == LOCKDOWN_CONFIDENTIALITY ? " (lockdown=confidentiality)"
								  : " (lockdown? hardening?)";
	if (err == -EINVAL)
		return " (not built into this kernel)";
	return "";
}

/* The verifier's own last words, or "". */
static const char *last_words(char *log)
{
	char *end = strstr(log, "\nprocessed ");
	char *line;

	if (end)
		*end = 0;
	while (*log && log[strlen(log) - 1] == '\n')
		log[strlen(log) - 1] = 0;
	line = strrchr(log, '\n');
	return line ? line + 1 : log;
}

/* ---- does bpf(2) work for us at all ---- */

/* Why a map could not be made: missing rights, a filter, and a missing feature look alike in errno,
 * but an unknown command of bpf(2) is EINVAL only where the call reaches the kernel's own code. */
static void explain_no_bpf(struct kernel *k, const struct rights *rights, int err)
{
	long r = syscall(SYS_bpf, 9999, NULL, 0);
	bool reached = r < 0 && errno == EINVAL;

	if (!has_cap(rights, CAP_SYS_ADMIN) && !has_cap(rights, CAP_BPF))
		kernel_no(k, KERNEL_BPF, "this user may not call bpf(2): run it as root");
	else if (rights->foreign)
		kernel_no(k, KERNEL_BPF,
			  "root of a user namespace may not call bpf(2): run it outside of "
			  "rootless containers");
	else if (!reached && rights->seccomp)
		kernel_no(k, KERNEL_BPF,
			  "a seccomp filter refuses bpf(2) (%s): allow it in the profile of this "
			  "container or service",
			  reason(err));
	else if (err == -ENOSYS)
		kernel_no(k, KERNEL_BPF, "this kernel is built without bpf(2)");
	else if (reached && err == -EPERM)
		kernel_no(k, KERNEL_BPF,
			  "maps are refused: %s (is the limit of locked memory too low?)",
			  reason(err));
	else
		kernel_no(k, KERNEL_BPF, "bpf(2) fails for root: %s (a security module?)",
			  reason(err));
}

static bool try_bpf(struct trial *t)
{
	kmn_auto(fd) int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kmn_try", 4, 8, 1, NULL);

	t->k->has[KERNEL_BPF] = fd >= 0;
	if (fd < 0)
		explain_no_bpf(t->k, &t->rights, fd);
	return fd >= 0;
}

/* ---- maps ---- */

static void try_ringbuf(struct trial *t)
{
	__u32 bytes = (__u32)sysconf(_SC_PAGESIZE);
	kmn_auto(fd) int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "kmn_try", 0, 0, bytes, NULL);

	t->k->has[KERNEL_RINGBUF] = fd >= 0;
	if (fd < 0)
		kernel_no(t->k, KERNEL_RINGBUF, "this kernel refuses ring buffers: %s%s",
			  reason(fd), hint(t, fd));
}

KMN_AUTO_DEFINE(struct btf *, btf__free)

static void try_sk_storage(struct trial *t)
{
	kmn_auto(btf__free) struct btf *btf = btf__new_empty();
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	kmn_auto(fd) int fd = -1;
	int r = btf ? btf__add_int(btf, "int", 4, BTF_INT_SIGNED) : -ENOMEM;

	if (r > 0) {
		opts.btf_key_type_id = opts.btf_value_type_id = (__u32)r;
		r = btf__load_into_kernel(btf);
	}
	if (r >= 0) {
		opts.btf_fd = (__u32)btf__fd(btf);
		fd = r = bpf_map_create(BPF_MAP_TYPE_SK_STORAGE, "kmn_try", 4, 4, 0, &opts);
	}
	t->k->has[KERNEL_SK_STORAGE] = r >= 0;
	if (r < 0)
		kernel_no(t->k, KERNEL_SK_STORAGE, "this kernel refuses socket storage: %s%s",
			  reason(r), hint(t, r));
}

/* ---- programs ---- */

static int load(struct trial *t, enum bpf_prog_type type, enum bpf_attach_type attach, __u32 btf_id,
		const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach,
		    .attach_btf_id = btf_id, .log_buf = t->log, .log_size = TRY_LOG,
		    .log_level = 1);

	t->log[0] = 0;
	return bpf_prog_load(type, "kmn_try", "GPL", insns, n, &opts);
}

/* Load and attach a program that does nothing to the first of the targets that BTF knows. */
static void try_trace(struct trial *t, enum kernel_feature f, const char *what,
		      enum bpf_prog_type type, enum bpf_attach_type attach, __u32 kind,
		      const char *const *targets)
{
	const struct bpf_insn nothing[] = { MOV_IMM(BPF_REG_0, 0), EXIT };
	kmn_auto(fd) int prog = -1, link = -1;
	const char *words;
	int id = -1;

	if (!t->btf) {
		kernel_no(t->k, f, "%s need the kernel's BTF", what);
		return;
	}
	for (; id < 0 && *targets; targets++)
		id = btf__find_by_name_kind(t->btf, *targets, kind);
	if (id < 0) {
		kernel_no(t->k, f, "this kernel has no place for %s (not built in)", what);
		return;
	}
	prog = load(t, type, attach, (__u32)id, nothing, 2);
	if (prog < 0) {
		words = last_words(t->log);
		kernel_no(t->k, f, "this kernel refuses %s: %s%s%s%s", what, reason(prog),
			  hint(t, prog), *words ? ": " : "", words);
		return;
	}
	link = bpf_raw_tracepoint_open(NULL, prog);
	t->k->has[f] = link >= 0;
	if (link < 0)
		kernel_no(t->k, f, "this kernel loads %s but refuses to attach them: %s%s", what,
			  reason(link), hint(t, link));
}

static void try_all_traces(struct trial *t)
{
	/* Functions that are rarely called: the program hangs there for an instant. The first is
	 * made for tests of just this. source: net/bpf/test_run.c */
	static const char *const fentry[] = { "bpf_fentry_test1", "commit_creds", NULL };
	static const char *const tp_btf[] = { "btf_trace_sched_process_exec", NULL };
	static const char *const lsm[] = { "bpf_lsm_bprm_check_security", NULL };
	static const char *const fmod_ret[] = { "security_bprm_check", NULL };

	try_trace(t, KERNEL_TP_BTF, "tracepoint programs with BTF", BPF_PROG_TYPE_TRACING,
		  BPF_TRACE_RAW_TP, BTF_KIND_TYPEDEF, tp_btf);
	try_trace(t, KERNEL_FENTRY, "fentry programs", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY,
		  BTF_KIND_FUNC, fentry);
	try_trace(t, KERNEL_LSM, "LSM programs", BPF_PROG_TYPE_LSM, BPF_LSM_MAC, BTF_KIND_FUNC,
		  lsm);
	try_trace(t, KERNEL_FMOD_RET, "fmod_ret programs", BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN,
		  BTF_KIND_FUNC, fmod_ret);
}

static void try_probe_read(struct trial *t)
{
	const struct bpf_insn nothing[] = { MOV_IMM(BPF_REG_0, 0), EXIT };
	const struct bpf_insn reads[] = { MOV_REG(BPF_REG_1, BPF_REG_10),
					  ADD_IMM(BPF_REG_1, -8),
					  MOV_IMM(BPF_REG_2, 8),
					  MOV_IMM(BPF_REG_3, 0),
					  CALL(BPF_FUNC_probe_read_kernel),
					  MOV_IMM(BPF_REG_0, 0),
					  EXIT };
	kmn_auto(fd) int bare = load(t, BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, nothing, 2);
	kmn_auto(fd) int fd = load(t, BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, reads, 7);

	t->k->has[KERNEL_PROBE_READ] = fd >= 0;
	if (fd >= 0)
		return;
	if (bare >= 0 && !t->k->lockdown_known) { /* only the helper is refused */
		t->k->lockdown = LOCKDOWN_CONFIDENTIALITY;
		t->k->lockdown_known = true;
	}
	kernel_no(t->k, KERNEL_PROBE_READ, "this kernel refuses reads of kernel memory: %s%s",
		  reason(fd),
		  t->k->lockdown == LOCKDOWN_CONFIDENTIALITY ? " (lockdown=confidentiality)" : "");
}

/* ---- places to attach ---- */

static void try_tcx(struct trial *t)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);
	unsigned lo = if_nametoindex("lo");
	int r = bpf_prog_query_opts(lo ? (int)lo : 1, ATTACH_TCX_INGRESS, &opts);

	t->k->has[KERNEL_TCX] = !r;
	if (r)
		kernel_no(t->k, KERNEL_TCX, "this kernel refuses tcx: %s%s; clsact is used",
			  reason(r), hint(t, r));
}

static void try_cgroup_link(struct trial *t)
{
	const struct bpf_insn pass[] = { MOV_IMM(BPF_REG_0, CGROUP_PASS), EXIT };
	kmn_auto(fd) int cgroup = -1, prog = -1, link = -1;

	if (!*t->k->cgroup2_root) {
		kernel_no(t->k, KERNEL_CGROUP_LINK,
			  "cgroup2 is not mounted: mount it at /sys/fs/cgroup/unified");
		return;
	}
	cgroup = open(t->k->cgroup2_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0) {
		kernel_no(t->k, KERNEL_CGROUP_LINK, "%s: %s", t->k->cgroup2_root, strerror(errno));
		return;
	}
	prog = load(t, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, 0, pass, 2);
	link = prog < 0 ? prog : bpf_link_create(prog, cgroup, BPF_CGROUP_INET4_CONNECT, NULL);
	t->k->has[KERNEL_CGROUP_LINK] = link >= 0;
	if (link < 0)
		kernel_no(t->k, KERNEL_CGROUP_LINK, "this kernel refuses %s: %s%s",
			  prog < 0 ? "cgroup programs" : "cgroup links", reason(link),
			  hint(t, link));
}

static void try_fanotify(struct trial *t)
{
	kmn_auto(fd) int fan =
		fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
	kmn_auto(fd) int file = memfd_create("kmn_try", MFD_CLOEXEC); /* nobody else opens it */
	int r = fan < 0 || file < 0 ? -errno : 0;

	if (!r &&
	    fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM, file, NULL) < 0)
		r = -errno;
	t->k->has[KERNEL_FANOTIFY_PERM] = !r;
	if (r == -EPERM)
		kernel_no(t->k, KERNEL_FANOTIFY_PERM,
			  "fanotify permission events are refused: %s (they need CAP_SYS_ADMIN)",
			  reason(r));
	else if (r)
		kernel_no(t->k, KERNEL_FANOTIFY_PERM,
			  "this kernel refuses fanotify permission events: %s%s", reason(r),
			  hint(t, r));
}

int kernel_try(struct kernel *k, const struct btf *btf)
{
	struct trial t = { .k = k, .btf = btf, .log = malloc(TRY_LOG) };

	if (!t.log)
		return -ENOMEM;
	read_rights(&t.rights);
	try_fanotify(&t);
	if (try_bpf(&t)) {
		try_ringbuf(&t);
		try_sk_storage(&t);
		try_probe_read(&t); /* first of the programs: it may find the lockdown */
		try_all_traces(&t);
		try_tcx(&t);
		try_cgroup_link(&t);
	} else {
		for (int f = KERNEL_RINGBUF; f < KERNEL_FANOTIFY_PERM; f++)
			kernel_no(k, f, "not tried, because bpf(2) does not work here");
	}
	free(t.log);
	return 0;
}
