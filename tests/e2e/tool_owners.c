/* tool_owners ADDRESS PORT N MS GO [HERE PEER]: N sockets of UDP, made MS apart and connected to
 * ADDRESS, from PORT on; when the file GO is there, each sends one packet. With HERE, a local
 * address, also N connections of TCP, accepted there without a word to ask who calls: from PEER on,
 * each local until GO. For tests that change a sensor meanwhile: each packet must be told of with
 * this process as its owner. Exit 0, or 2 when a socket cannot be made. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 512
#define WAIT_US 20000
#define PATIENCE_US 120000000

static const socklen_t len = sizeof(struct sockaddr_in);
static unsigned short port_be;
static int fds[2 * SOCKETS_MAX], n_fds;

static int stream_at(const struct sockaddr_in *at)
{
	struct linger none = { .l_onoff = 1 }; /* it ends with us; what is accepted inherits it */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) < 0 ||
	    bind(fd, (const struct sockaddr *)at, len) < 0)
		return -1;
	return fd;
}

static int accept_from(const struct sockaddr_in *peer, int listener, const struct sockaddr_in *here)
{
	int fd = stream_at(peer); /* open as long as we are */

	if (fd < 0 || connect(fd, (const struct sockaddr *)here, len) < 0)
		return -1;
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static int connect_to(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)to, len) == 0 ? fd : -1;
}

static void take(struct sockaddr_in *a, const char *text)
{
	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port_be };
	if (!inet_aton(text, &a->sin_addr))
		exit(2);
}

static void next(struct sockaddr_in *a)
{
	a->sin_addr.s_addr = htonl(ntohl(a->sin_addr.s_addr) + 1);
}

static void keep(int fd)
{
	if (fd < 0) {
		perror("tool_owners");
		exit(2);
	}
	fds[n_fds++] = fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to, here, peer;
	int n, ms, listener = -1, waited = 0;

	if (argc != 6 && argc != 8)
		return 2;
	port_be = htons((uint16_t)strtoul(argv[2], NULL, 10));
	n = (int)strtol(argv[3], NULL, 10);
	ms = (int)strtol(argv[4], NULL, 10);
	take(&to, argv[1]);
	take(&here, argv[argc == 8 ? 6 : 1]);
	take(&peer, argv[argc == 8 ? 7 : 1]);
	if (argc == 8) {
		listener = stream_at(&here);
		if (listener < 0 || listen(listener, 1) < 0)
			keep(-1);
	}
	for (int i = 0; i < n && i < SOCKETS_MAX; i++, next(&to), next(&peer)) {
		keep(connect_to(&to));
		if (listener >= 0)
			keep(accept_from(&peer, listener, &here));
		(void)usleep((useconds_t)ms * 1000);
	}
	for (; access(argv[5], F_OK) < 0; waited += WAIT_US) {
		if (waited > PATIENCE_US)
			return 2;
		(void)usleep(WAIT_US);
	}
	for (int i = 0; i < n_fds; i++)
		(void)!send(fds[i], "x", 1, MSG_NOSIGNAL); /* EPERM is the verdict */
	(void)sleep(1);					   /* the sensor may look us up */
	return 0;
}
