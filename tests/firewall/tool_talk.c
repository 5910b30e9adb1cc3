/* tool_talk server|client udp|tcp ADDRESS PORT: one word from the client to the server. The server
 * says "ready" when it can be asked and "word" when the word came; both give up in time. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A machine that is emulated takes its time. */
static int slow(int seconds)
{
	return getenv("KOMAINU_VM") ? seconds * 5 : seconds;
}

static int give_up_after(int fd, int seconds)
{
	struct timeval t = { .tv_sec = slow(seconds) };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) |
	       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static int serve(int fd, int tcp, const struct sockaddr *a, socklen_t len)
{
	char word[16] = "";
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    give_up_after(fd, 3) || bind(fd, a, len) < 0 || (tcp && listen(fd, 1) < 0))
		return 1;
	(void)puts("ready");
	(void)fflush(stdout);
	if (tcp)
		fd = accept(fd, NULL, NULL);
	if (fd < 0 || give_up_after(fd, 3) || recv(fd, word, sizeof(word) - 1, 0) != 4)
		return 1;
	(void)puts(word);
	return strcmp(word, "word") != 0;
}

static int ask(int fd, const struct sockaddr *a, socklen_t len)
{
	if (give_up_after(fd, 2) || connect(fd, a, len) < 0)
		return 1;
	return send(fd, "word", 4, 0) != 4;
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	int v6, tcp, fd;
	struct sockaddr *a;
	socklen_t len;

	if (argc != 5)
		return 2;
	v6 = inet_pton(AF_INET6, argv[3], &six.sin6_addr) == 1;
	if (!v6 && inet_pton(AF_INET, argv[3], &four.sin_addr) != 1)
		return 2;
	six.sin6_port = four.sin_port = htons((uint16_t)strtol(argv[4], NULL, 10));
	a = v6 ? (void *)&six : (void *)&four;
	len = v6 ? sizeof(six) : sizeof(four);
	tcp = !strcmp(argv[2], "tcp");
	fd = socket(v6 ? AF_INET6 : AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (fd < 0)
		return 2;
	return strcmp(argv[1], "server") ? ask(fd, a, len) : serve(fd, tcp, a, len);
}
