/* tool_talk server|client|forker|slowly udp|tcp ADDRESS PORT: one word from the client to the
 * server. The server says "ready" when it can be asked and "word" when the word came; both give up
 * in time, the server also at SIGTERM, when it looks once more. A forker is a server whose child,
 * of which it tells the pid, accepts and reads; slowly is a client that connects a while before it
 * sends. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
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

static void on_term(int signo)
{
	(void)signo;
}

static int serve(int fd, int tcp, int forks, const struct sockaddr *a, socklen_t len)
{
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	struct sigaction term = { .sa_handler = on_term }; /* ends a wait: no SA_RESTART */
	char word[16] = "";
	int one = 1;
	ssize_t n;

	if (sigaction(SIGTERM, &term, NULL) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    give_up_after(fd, 3) || bind(fd, a, len) < 0 || (tcp && listen(fd, 1) < 0))
		return 1;
	(void)puts("ready");
	(void)fflush(stdout);
	if (forks && fork()) {
		int status;

		while (wait(&status) < 0)
			if (errno != EINTR)
				return 1;
		return status != 0;
	}
	if (forks) {
		(void)printf("child %d\n", getpid());
		(void)fflush(stdout);
	}
	if (tcp)
		fd = accept(fd, (void *)&from, &from_len);
	if (fd < 0 || give_up_after(fd, forks ? 9 : 3))
		return 1;
	n = recv(fd, word, sizeof(word) - 1, 0);
	if (n < 0)
		n = recv(fd, word, sizeof(word) - 1, MSG_DONTWAIT);
	if (n != 4)
		return 1;
	(void)puts(word);
	return strcmp(word, "word") != 0;
}

static int ask(int fd, int slowly, const struct sockaddr *a, socklen_t len)
{
	if (give_up_after(fd, 2) || connect(fd, a, len) < 0)
		return 1;
	if (slowly)
		(void)sleep(4); /* denials of the start of the connection are told of by then */
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
	if (!strcmp(argv[1], "server") || !strcmp(argv[1], "forker"))
		return serve(fd, tcp, !strcmp(argv[1], "forker"), a, len);
	return ask(fd, !strcmp(argv[1], "slowly"), a, len);
}
