/* Reading and writing the messages, on the core's side: here the worker's bytes come in. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "core/sandbox.h"
#include "core/worker_wire.h"

#define ERRNO_MAX 4095 /* as the kernel's own MAX_ERRNO */
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int worker_seal(int fd)
{
	struct stat st;

	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	if (fstat(fd, &st))
		return -errno;
	return st.st_size > (off_t)WORKER_RESULT_MAX ? -EFBIG : 0;
}

const void *worker_map(int fd, size_t max, size_t *len)
{
	struct stat st;
	void *p;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS) { /* could change under the reader */
		errno = EPERM;
		return NULL;
	}
	if (fstat(fd, &st))
		return NULL;
	if ((uint64_t)st.st_size > max) {
		errno = EFBIG;
		return NULL;
	}
	*len = (size_t)st.st_size;
	if (!*len)
		return "";
	p = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

void worker_unmap(const void *p, size_t len)
{
	if (p && len)
		(void)munmap((void *)(uintptr_t)p, len);
}

int worker_send_batch(int sock, const struct worker_batch_ask *b, const int *fds, unsigned n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * WORKER_BATCH_MAX * sizeof(int))];
	} control = { 0 };
	size_t len = sizeof(b->head) + b->head.count * sizeof(b->ask[0]);
	struct iovec iov = { (void *)(uintptr_t)b, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = &control.head;
	ssize_t r;

	msg.msg_control = &control;
	msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	r = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r < 0)
		return -errno;
	return (size_t)r == len ? 0 : -EIO;
}

/* One message of at most len bytes, or why not. There is no room for descriptors: the kernel drops
 * any that came, and says so by MSG_CTRUNC. */
static ssize_t receive(int sock, void *to, size_t len, char *why, size_t why_len)
{
	struct iovec iov = { to, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (r < 0)
		return -errno;
	if (msg.msg_flags & MSG_CTRUNC) {
		(void)snprintf(why, why_len, "sent descriptors, which no worker may");
		return -EPROTO;
	}
	if (msg.msg_flags & MSG_TRUNC) {
		(void)snprintf(why, why_len, "sent more than %zu bytes", len);
		return -EPROTO;
	}
	return r;
}

static void make_line(char *text, size_t len)
{
	text[len - 1] = 0;
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int worker_read_answer(int sock, uint32_t seq, uint32_t count, struct worker_batch_answer *a,
		       char *why, size_t why_len)
{
	size_t want = sizeof(a->head) + count * sizeof(a->answer[0]);
	ssize_t r = receive(sock, a, sizeof(*a), why, why_len);

	if (r <= 0)
		return r < 0 ? (int)r : -EPIPE;
	if ((size_t)r != want) {
		(void)snprintf(why, why_len, "sent %zd bytes instead of %zu", r, want);
		return -EPROTO;
	}
	if (a->head.magic != WORKER_MAGIC || a->head.seq != seq || a->head.count != count) {
		(void)snprintf(why, why_len, "sent a wrong head (batch %u of %u jobs for %u of %u)",
			       a->head.seq, a->head.count, seq, count);
		return -EPROTO;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (a->answer[i].status > 0 || a->answer[i].status < -ERRNO_MAX) {
			(void)snprintf(why, why_len, "sent status %d", a->answer[i].status);
			return -EPROTO;
		}
		make_line(a->answer[i].error, sizeof(a->answer[i].error));
	}
	return 0;
}

int worker_read_hello(int sock, struct worker_hello *h, char *why, size_t why_len)
{
	ssize_t r = receive(sock, h, sizeof(*h), why, why_len);

	if (r <= 0)
		return r < 0 ? (int)r : -EPIPE;
	if (r != sizeof(*h) || h->magic != WORKER_MAGIC) {
		(void)snprintf(why, why_len, "sent %zd bytes that are no greeting", r);
		return -EPROTO;
	}
	make_line(h->why, sizeof(h->why));
	if (h->why[0]) {
		(void)snprintf(why, why_len, "refuses to work: %s", h->why);
		return -EPERM;
	}
	if ((h->bits & SANDBOX_REQUIRED) != SANDBOX_REQUIRED) {
		(void)snprintf(why, why_len, "has only part of its sandbox (%#x)", h->bits);
		return -EPERM;
	}
	return 0;
}
