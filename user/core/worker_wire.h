#pragma once
#include <stdint.h>
#include <sys/types.h>
#include "core/worker.h"

/* What core and worker say to each other: one SOCK_SEQPACKET, one message each way per batch. Both
 * are the same binary. The core trusts no byte of an answer; the worker trusts the core. */
#define WORKER_SOCKET 3 /* the worker's only descriptor beside 0-2, which lead nowhere */
#define WORKER_BATCH_MAX 16
#define WORKER_MAGIC 0x6b6d6e31 /* changes with this file */

/* in and out of each job of a batch, the socket, 0-2, and a few for the loader before the limit */
#define WORKER_FDS_MAX (2 * WORKER_BATCH_MAX + 8)
#define WORKER_MEMORY_MAX (768ULL << 20) /* a result mapped, and the job's own tables */

/* Worker to core, once: what it locked itself into. */
struct worker_hello {
	uint32_t magic, bits; /* SANDBOX_* */
	uint32_t uid, jobs;
	char why[120]; /* why it will not work; "" = ready */
};

struct worker_head {
	uint32_t magic, seq;
	uint32_t count, pad;
};

struct worker_ask { /* descriptors follow in order: in, if there is one, then out */
	uint32_t job, has_in;
	uint32_t arg_len, pad;
	uint8_t arg[WORKER_ARG_MAX];
};

struct worker_answer {
	int32_t status; /* 0 or -errno */
	char error[WORKER_ERROR_MAX];
};

struct worker_batch_ask {
	struct worker_head head;
	struct worker_ask ask[WORKER_BATCH_MAX];
};

struct worker_batch_answer {
	struct worker_head head;
	struct worker_answer answer[WORKER_BATCH_MAX];
};

/* A new worker. self: our own binary, null: what its 0-2 become; both 10 or above. Its pid; *sock
 * and *pidfd (-1 where pidfd_open is missing) are owned by the caller. -errno, logged. */
pid_t worker_spawn(int self, int null, int *sock, int *pidfd);

/* Make fd immutable: -EBUSY when a writable mapping is left, -EFBIG above WORKER_RESULT_MAX. */
int worker_seal(int fd);

/* Read one answer: 0, or -EPROTO with the reason in why. Nothing in it has been judged beyond
 * sizes, count, sequence and the range of status; the errors are one printable line each. */
int worker_read_answer(int sock, uint32_t seq, uint32_t count, struct worker_batch_answer *a,
		       char *why, size_t why_len);
int worker_read_hello(int sock, struct worker_hello *h, char *why, size_t why_len);

/* Send a batch with its n descriptors. 0 or -errno. */
int worker_send_batch(int sock, const struct worker_batch_ask *b, const int *fds, unsigned n);
