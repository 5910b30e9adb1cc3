/* The worker's side: lock in, say so, then run batches until the core hangs up. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/sandbox.h"
#include "core/worker_wire.h"

struct batch {
	struct worker_batch_ask ask;
	struct worker_batch_answer answer;
	int fds[2 * WORKER_BATCH_MAX];
	unsigned n_fds;
};

static int send_all(const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return sendmsg(WORKER_SOCKET, &msg, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EPIPE;
}

/* 0, or -EPIPE at the end: the core is gone, or this is not a core's socket. */
static int read_batch(struct batch *b)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(b->fds))];
	} control = { 0 };
	struct iovec iov = { &b->ask, sizeof(b->ask) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	const struct worker_head *h = &b->ask.head;
	const struct cmsghdr *c;
	ssize_t r;

	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	r = recvmsg(WORKER_SOCKET, &msg, MSG_CMSG_CLOEXEC);
	if (r < (ssize_t)sizeof(*h) || msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
	    h->magic != WORKER_MAGIC || h->count > WORKER_BATCH_MAX ||
	    (size_t)r != sizeof(*h) + h->count * sizeof(b->ask.ask[0]))
		return -EPIPE;
	b->n_fds = 0;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		b->n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(b->fds, CMSG_DATA(c), b->n_fds * sizeof(int));
	}
	return 0;
}

static int run_job(const struct worker_job *job, const struct worker_ask *ask, int in, int out,
		   char *error)
{
	int r = job->run(in, out, ask->arg, ask->arg_len, error);

	error[WORKER_ERROR_MAX - 1] = 0;
	return r > 0 ? -EINVAL : r;
}

static int run_batch(const struct worker_job *const *jobs, uint32_t n_jobs, struct batch *b)
{
	const struct worker_head *h = &b->ask.head;
	unsigned fd = 0;

	memset(&b->answer, 0, sizeof(b->answer.head) + h->count * sizeof(b->answer.answer[0]));
	b->answer.head = *h;
	for (uint32_t i = 0; i < h->count; i++) {
		const struct worker_ask *ask = &b->ask.ask[i];
		int in = -1, out = -1;

		if (fd + !!ask->has_in >= b->n_fds || ask->job >= n_jobs)
			return -EPIPE;
		if (ask->has_in)
			in = b->fds[fd++];
		out = b->fds[fd++];
		b->answer.answer[i].status =
			run_job(jobs[ask->job], ask, in, out, b->answer.answer[i].error);
		if (in >= 0)
			(void)close(in);
		(void)close(out);
	}
	return send_all(&b->answer,
			sizeof(b->answer.head) + h->count * sizeof(b->answer.answer[0]));
}

static void greet(uint32_t n_jobs)
{
	const struct sandbox_limits limits = { WORKER_MEMORY_MAX, WORKER_RESULT_MAX,
					       WORKER_FDS_MAX };
	struct worker_hello hello = { .magic = WORKER_MAGIC, .jobs = n_jobs, .uid = geteuid() };
	int r;

	(void)prctl(PR_SET_NAME, "komainu-worker");
	r = sandbox_enter(&limits, hello.why, sizeof(hello.why));
	if (r >= 0) {
		hello.bits = (uint32_t)r;
		if (!hello.uid && hello.bits & SANDBOX_UID)
			hello.uid = SANDBOX_NOBODY;
	} else if (!hello.why[0]) {
		(void)snprintf(hello.why, sizeof(hello.why), "sandbox: error %d", -r);
	}
	if (send_all(&hello, sizeof(hello)) < 0 || hello.why[0])
		_exit(1);
	if ((hello.bits & SANDBOX_REQUIRED) != SANDBOX_REQUIRED)
		_exit(1);
}

_Noreturn void worker_main(const struct worker_job *const *jobs)
{
	static struct batch b; /* too large for a stack, and touched only as far as it is used */
	uint32_t n_jobs = 0;

	while (jobs[n_jobs])
		n_jobs++;
	greet(n_jobs);
	while (!read_batch(&b) && !run_batch(jobs, n_jobs, &b))
		;
	_exit(0);
}
