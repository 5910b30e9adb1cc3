#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "core/loop.h"

/* A Unix stream socket in the loop for a few trusted clients: root, and members of the group
 * komainu when the host has one. Everything is bounded: clients, bytes of a request and of an
 * answer, time. Nothing waits; a slow client is dropped. Who speaks is taken from SO_PEERCRED, not
 * from the mode of the file, which is 0660 root:komainu or 0600. */
#define SERVER_GROUP "komainu"
#define SERVER_CLIENTS 16
#define SERVER_SLOW_MS 5000  /* without progress in taking an answer */
#define SERVER_IDLE_MS 60000 /* without a request */

struct server_peer {
	pid_t pid; /* when it connected */
	uid_t uid;
	bool root; /* else a member of the group */
};

enum server_refusal { SERVER_DENIED, SERVER_BUSY, SERVER_TOO_LONG };

/* How one protocol speaks over it. */
struct server_protocol {
	size_t request_max, answer_max; /* bytes */
	/* Length of the first whole request in data, 0 when more must come. */
	size_t (*frame)(const char *data, size_t len);
	/* One request. Answer it with server_answer(s, id, ...), now or later; until then the next
	 * request of this client is not read. data is borrowed for the call. */
	void (*request)(void *arg, uint64_t id, const struct server_peer *peer, const char *data,
			size_t len);
	/* What to send before the door is shut. Static text. */
	const char *(*refusal)(enum server_refusal why);
};

struct server_stats {
	uint64_t accepted, requests, denied, busy, too_long, slow, idle, gone;
	unsigned clients;
};

struct server;

/* Listens at path (borrowed for ever). The file of a dead sensor is replaced; one that is answered
 * is not: -EADDRINUSE. -ENAMETOOLONG: path has more than 107 bytes. Logged. slow_ms, idle_ms: 0 for
 * the defaults. */
int server_new(struct loop *loop, const char *path, const struct server_protocol *protocol,
	       void *arg, uint32_t slow_ms, uint32_t idle_ms, struct server **out);
void server_free(struct server *s); /* clients are cut off, the file is removed */

/* The answer to a request, copied. close_after: the last one of this client. 0; -ENOTCONN when the
 * client has gone, and that is nobody's fault; -E2BIG above answer_max: it is dropped. */
int server_answer(struct server *s, uint64_t id, const char *data, size_t len, bool close_after);

/* Try once more to hand out what is pending, for the end of the sensor: at most wait_ms. */
void server_flush(struct server *s, uint32_t wait_ms);
void server_stats(const struct server *s, struct server_stats *out);
