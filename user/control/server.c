#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/server.h"

#define ACCEPTS_PER_TURN 8
#define REQUESTS_PER_TURN 8
#define READ_BYTES 16384
#define PEER_GROUPS_MAX 1024
#define DENIED_LOG_NS (60 * NS_PER_S) /* one line per minute: a stranger cannot fill the log */

struct client {
	struct server *server;
	int fd;		/* -1: free */
	uint64_t id;	/* serial << 8 | slot; another one for each request */
	bool in_flight; /* a request waits for its answer */
	bool eof;	/* it sends no more */
	bool closing;	/* drop it when the answer is out */
	bool more;	/* in holds another whole request, perhaps */
	struct buf in, out;
	size_t out_done;
	uint64_t moved_ns; /* when something last went on */
	struct server_peer peer;
};

struct server {
	struct loop *loop;
	const char *path;
	const struct server_protocol *protocol;
	void *arg;
	uint32_t slow_ms, idle_ms;
	int fd, timer;
	bool paused; /* no descriptors were left: accept again at the next tick */
	bool has_group;
	gid_t group;
	uint64_t serial, denied_said_ns;
	struct client client[SERVER_CLIENTS];
	struct server_stats stats;
};

/* ---- who speaks ---- */

static bool in_group(const struct server *s, int fd, const struct ucred *cred)
{
	gid_t groups[PEER_GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (!s->has_group)
		return false;
	if (cred->gid == s->group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false; /* more groups than we read: not a member, as far as we know */
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == s->group)
			return true;
	return false;
}

static bool may_speak(const struct server *s, int fd, struct server_peer *peer)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof(cred))
		return false;
	/* Our own user is as good as root: the sensor runs as root, and tests need not. */
	*peer = (struct server_peer){ .pid = cred.pid,
				      .uid = cred.uid,
				      .root = !cred.uid || cred.uid == geteuid() };
	return peer->root || in_group(s, fd, &cred);
}

/* ---- clients ---- */

static void drop(struct client *c)
{
	loop_unwatch(c->server->loop, c->fd);
	close(c->fd);
	c->fd = -1;
	c->id = 0;
	buf_free(&c->in);
	buf_free(&c->out);
	c->server->stats.clients--;
}

static void next_id(struct client *c)
{
	c->id = ++c->server->serial << 8 | (uint64_t)(c - c->server->client);
}

static size_t pending(const struct client *c)
{
	return c->out.len - c->out_done;
}

static void client_ready(void *arg, uint32_t events);

/* Ask the loop for what matters now. False: the client is gone. */
static bool watch(struct client *c)
{
	uint32_t events = 0;

	if (pending(c) || (c->more && !c->in_flight))
		events |=
			EPOLLOUT; /* one request and one answer at a time: what is in is bounded */
	else if (!c->in_flight && !c->eof && !c->closing)
		events |= EPOLLIN;
	if (loop_watch(c->server->loop, c->fd, events, client_ready, c) == 0)
		return true;
	drop(c);
	return false;
}

/* Write what the socket takes. False: the client is gone. */
static bool flush(struct client *c)
{
	while (pending(c)) {
		ssize_t n = send(c->fd, c->out.data + c->out_done, pending(c),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			c->server->stats.gone++;
			drop(c);
			return false;
		}
		c->out_done += (size_t)n;
		c->moved_ns = clock_boot_ns();
	}
	buf_free(&c->out);
	c->out_done = 0;
	if (c->closing || (c->eof && !c->in_flight && !c->in.len)) {
		drop(c);
		return false;
	}
	return true;
}

static void refuse(struct client *c, enum server_refusal why)
{
	const char *text = c->server->protocol->refusal(why);

	c->closing = true;
	buf_puts(&c->out, text);
	if (flush(c))
		(void)watch(c);
}

/* Hand the first whole request out. False: the client is gone, or waits for more bytes. */
static bool serve_one(struct client *c)
{
	struct server *s = c->server;
	size_t n = s->protocol->frame(c->in.data, c->in.len);
	struct buf request = c->in;

	if (!n && c->in.len < s->protocol->request_max) {
		c->more = false;
		if (c->eof)
			drop(c); /* a request that was cut off */
		return false;
	}
	if (!n || n > s->protocol->request_max) {
		c->more = false;
		s->stats.too_long++;
		refuse(c, SERVER_TOO_LONG);
		return false;
	}
	c->in = (struct buf){ 0 };
	buf_add(&c->in, request.data + n, request.len - n);
	c->more = c->in.len && !c->in.cut;
	c->in_flight = true;
	c->moved_ns = clock_boot_ns();
	next_id(c);
	s->stats.requests++;
	s->protocol->request(s->arg, c->id, &c->peer, request.data, n);
	buf_free(&request);
	return c->fd >= 0;
}

static void serve(struct client *c)
{
	for (int i = 0; i < REQUESTS_PER_TURN && c->in.len; i++)
		if (c->in_flight || c->closing || pending(c) || !serve_one(c))
			return;
}

static void client_read(struct client *c)
{
	char data[READ_BYTES];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		c->server->stats.gone++;
		drop(c);
		return;
	}
	c->eof = !n;
	c->more |= n > 0;
	buf_add(&c->in, data, (size_t)n);
	if (c->in.cut) { /* no memory */
		drop(c);
		return;
	}
	serve(c);
	if (c->fd >= 0 && c->eof && !c->in_flight && !pending(c))
		drop(c);
}

static void client_ready(void *arg, uint32_t events)
{
	struct client *c = arg;

	if (events & (EPOLLERR | EPOLLHUP)) {
		c->server->stats.gone++;
		drop(c);
		return;
	}
	if ((events & EPOLLOUT) && !flush(c))
		return;
	if (events & EPOLLIN)
		client_read(c);
	else if (!pending(c))
		serve(c); /* requests that lay in the buffer behind the answered one */
	if (c->fd >= 0)
		(void)watch(c);
}

static void say_denied(struct server *s, const struct server_peer *peer)
{
	uint64_t now = clock_boot_ns();

	s->stats.denied++;
	if (s->denied_said_ns && now - s->denied_said_ns < DENIED_LOG_NS)
		return;
	s->denied_said_ns = now;
	log_warn("control: %s: refused uid %u (pid %d), %llu so far", s->path, peer->uid, peer->pid,
		 (unsigned long long)s->stats.denied);
}

/* Say why and shut the door; no memory, no slot is spent. */
static void turn_away(struct server *s, int fd, enum server_refusal why)
{
	const char *text = s->protocol->refusal(why);

	(void)!send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL); /* it may have gone */
	close(fd);
}

static void admit(struct server *s, int fd)
{
	struct server_peer peer = { 0 };
	struct client *c = NULL;

	if (!may_speak(s, fd, &peer)) {
		say_denied(s, &peer);
		turn_away(s, fd, SERVER_DENIED);
		return;
	}
	for (int i = 0; i < SERVER_CLIENTS && !c; i++)
		if (s->client[i].fd < 0)
			c = &s->client[i];
	if (!c) {
		s->stats.busy++;
		turn_away(s, fd, SERVER_BUSY);
		return;
	}
	*c = (struct client){ .server = s, .fd = fd, .peer = peer, .moved_ns = clock_boot_ns() };
	s->stats.accepted++;
	s->stats.clients++;
	(void)watch(c);
}

static void server_ready(void *arg, uint32_t events)
{
	struct server *s = arg;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			loop_unwatch(s->loop, s->fd);
			s->paused = true;
		}
		if (fd < 0)
			return; /* none left, or it has gone */
		admit(s, fd);
	}
}

static void server_tick(void *arg)
{
	struct server *s = arg;
	uint64_t now = clock_boot_ns();

	if (s->paused)
		s->paused = loop_watch(s->loop, s->fd, EPOLLIN, server_ready, s) < 0;
	for (int i = 0; i < SERVER_CLIENTS; i++) {
		struct client *c = &s->client[i];
		uint64_t still_ms = c->fd < 0 ? 0 : (now - c->moved_ns) / NS_PER_MS;

		if (c->fd < 0 || (c->in_flight && !pending(c)))
			continue; /* it waits for us */
		if (pending(c) ? still_ms < s->slow_ms : still_ms < s->idle_ms)
			continue;
		if (pending(c))
			s->stats.slow++;
		else
			s->stats.idle++;
		drop(c);
	}
}

int server_answer(struct server *s, uint64_t id, const char *data, size_t len, bool close_after)
{
	struct client *c = &s->client[id & 0xff];

	if ((id & 0xff) >= SERVER_CLIENTS || c->fd < 0 || c->id != id || !c->in_flight)
		return -ENOTCONN;
	c->in_flight = false;
	c->closing |= close_after;
	if (len > s->protocol->answer_max) {
		drop(c);
		return kmn_err(-E2BIG, "control: %s: answer of %zu bytes", s->path, len);
	}
	buf_add(&c->out, data, len);
	if (c->out.cut) {
		drop(c);
		return -ENOMEM;
	}
	c->moved_ns = clock_boot_ns();
	if (!flush(c))
		return 0; /* sent, or the client has gone */
	return watch(c) ? 0 : -ENOTCONN;
}

void server_flush(struct server *s, uint32_t wait_ms)
{
	uint64_t end = clock_boot_ns() + wait_ms * NS_PER_MS;

	for (int i = 0; i < SERVER_CLIENTS; i++) {
		struct client *c = &s->client[i];

		while (c->fd >= 0 && pending(c) && flush(c) && pending(c)) {
			struct pollfd p = { .fd = c->fd, .events = POLLOUT };
			uint64_t now = clock_boot_ns();

			if (now >= end || poll(&p, 1, (int)((end - now) / NS_PER_MS) + 1) <= 0)
				break;
		}
	}
}

void server_stats(const struct server *s, struct server_stats *out)
{
	*out = s->stats;
}

/* ---- the listening socket ---- */

/* Does somebody answer at path? A file that nobody answers was left by a dead sensor. */
static bool is_answered(const struct sockaddr_un *sun)
{
	kmn_auto(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	return !connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) || errno == EAGAIN;
}

static int listen_at(struct server *s)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct group *group = getgrnam(SERVER_GROUP);
	kmn_auto(fd) int fd = -1;
	mode_t mask;
	int r;

	if (strlen(s->path) >= sizeof(sun.sun_path))
		return kmn_err(-ENAMETOOLONG, "control: socket %s", s->path);
	memcpy(sun.sun_path, s->path, strlen(s->path) + 1);
	s->has_group = group;
	s->group = group ? group->gr_gid : 0;
	if (is_answered(&sun))
		return kmn_err(-EADDRINUSE, "control: socket %s: another sensor answers there",
			       s->path);
	if (unlink(s->path) < 0 && errno != ENOENT)
		return kmn_err(-errno, "control: socket %s: remove the old one", s->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return kmn_err(-errno, "control: socket");
	mask = umask(0177); /* no moment at which others may connect */
	r = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (r < 0)
		return kmn_err(r, "control: socket %s: bind", s->path);
	if (group && (chown(s->path, (uid_t)-1, s->group) < 0 || chmod(s->path, 0660) < 0))
		log_warn("control: socket %s: cannot give it to group %s: %s", s->path,
			 SERVER_GROUP, strerror(errno));
	if (listen(fd, SERVER_CLIENTS) < 0)
		return kmn_err(-errno, "control: socket %s: listen", s->path);
	s->fd = fd;
	fd = -1;
	return 0;
}

int server_new(struct loop *loop, const char *path, const struct server_protocol *protocol,
	       void *arg, uint32_t slow_ms, uint32_t idle_ms, struct server **out)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->path = path;
	s->protocol = protocol;
	s->arg = arg;
	s->slow_ms = slow_ms ? slow_ms : SERVER_SLOW_MS;
	s->idle_ms = idle_ms ? idle_ms : SERVER_IDLE_MS;
	s->fd = s->timer = -1;
	for (int i = 0; i < SERVER_CLIENTS; i++)
		s->client[i].fd = -1;
	r = listen_at(s);
	if (r < 0) {
		free(s);
		return r;
	}
	r = loop_watch(loop, s->fd, EPOLLIN, server_ready, s);
	if (r == 0)
		r = s->timer = loop_every(loop, 1000, server_tick, s);
	if (r < 0) {
		server_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	for (int i = 0; i < SERVER_CLIENTS; i++)
		if (s->client[i].fd >= 0)
			drop(&s->client[i]);
	if (s->timer >= 0)
		loop_timer_drop(s->loop, s->timer);
	if (s->fd >= 0) {
		loop_unwatch(s->loop, s->fd);
		close(s->fd);
		(void)unlink(s->path); /* a leftover is replaced at the next start */
	}
	free(s);
}
