#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "base/auto.h"
#include "core/sandbox_filter.h"

KMN_AUTO_DEFINE(scmp_filter_ctx, seccomp_release)

/* Memory, the descriptors that the core gave, the clock. Nothing that takes a path (save newfstatat
 * below), makes a descriptor, names a process or sleeps. */
static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(preadv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(close),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(ftruncate),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	SCMP_SYS(sysinfo), /* qsort() of glibc, for the size of memory */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
#ifdef KMN_SANITIZED /* so that a report is written before the end */
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(sched_yield),
#endif
};

struct one_arg { /* a call that is allowed with one form of one argument */
	int call;
	struct scmp_arg_cmp arg;
};

static int add_rules(scmp_filter_ctx f)
{
	const struct one_arg some[] = {
		/* never executable: what is parsed does not become code */
		{ SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
		{ SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
		/* fdopen() asks */
		{ SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_GETFL, 0) },
		/* musl's stdio asks whether it writes to a terminal */
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, TIOCGWINSZ, 0) },
		/* fstat() of glibc; with a path it still finds only the empty root */
		{ SCMP_SYS(newfstatat), SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH, 0) },
		/* the worker looks whether the filter is there */
		{ SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_GET_SECCOMP, 0) },
	};
	int r;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++) {
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, some[i].call, 1, &some[i].arg);
		if (r < 0)
			return r;
	}
	return 0;
}

int sandbox_filter_load(void)
{
	kmn_auto(seccomp_release) scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!f)
		return -ENOMEM;
	/* a call by another ABI (32 bits, x32) is a try to get round the list */
	r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r < 0)
		return r;
	r = add_rules(f);
	return r < 0 ? r : seccomp_load(f);
}
