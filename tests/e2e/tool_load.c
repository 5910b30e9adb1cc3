/* tool_load SENDER_NS RECEIVER_NS SECONDS: packets for tests that change a sensor under load.
 * Two flows of UDP from 10.9.0.1 and 10.9.0.2 in SENDER_NS to 10.9.0.254 in RECEIVER_NS, in
 * lock-step: Q  10.9.0.1 -> port 7001   every policy of the test denies it; one that arrives has
 * leaked R  10.9.0.2 -> port 7002   every policy lets it pass, though each names its address or its
 * port; one that is missing was dropped by a mixture of two policies Each R is waited for, so a
 * full socket buffer cannot be taken for a drop. Prints "q_sent q_leaked r_sent r_lost"; exit 0
 * when none leaked and none was lost, else 1. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"

static volatile sig_atomic_t ended;

static void on_end(int signo)
{
	(void)signo;
	ended = 1;
}

static int enter(const char *name)
{
	char path[128];
	int fd, r;

	(void)snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
	if (r < 0)
		perror(path);
	if (fd >= 0)
		close(fd);
	return r;
}

static int udp(const char *ip, int port, int to_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)to_port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = inet_addr(ip);
	to.sin_addr.s_addr = inet_addr("10.9.0.254");
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    (to_port && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)) {
		perror(ip);
		exit(2);
	}
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t sent = 0, leaked = 0, lost = 0, number, end;
	int q, r, q_in, r_in;

	if (argc != 4 || enter(argv[2]) < 0)
		return 2;
	q_in = udp("10.9.0.254", 7001, 0);
	r_in = udp("10.9.0.254", 7002, 0);
	if (enter(argv[1]) < 0)
		return 2;
	q = udp("10.9.0.1", 5001, 7001);
	r = udp("10.9.0.2", 5002, 7002);
	end = clock_boot_ns() + strtoull(argv[3], NULL, 10) * NS_PER_S;
	(void)signal(SIGINT, on_end); /* the end may be told before the time is up */
	while (!ended && clock_boot_ns() < end) {
		struct pollfd p = { .fd = r_in, .events = POLLIN };
		uint64_t back = 0;

		sent++;
		(void)!send(q, &sent, sizeof(sent),
			    0); /* EPERM would be a verdict too: on leaving */
		(void)!send(r, &sent, sizeof(sent), 0);
		do { /* a late one of before is not this one */
			if (poll(&p, 1, 500) != 1 ||
			    recv(r_in, &back, sizeof(back), 0) != sizeof(back))
				break;
		} while (back != sent);
		lost += back != sent;
		while (recv(q_in, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number))
			leaked++;
	}
	printf("%llu %llu %llu %llu\n", (unsigned long long)sent, (unsigned long long)leaked,
	       (unsigned long long)sent, (unsigned long long)lost);
	return leaked || lost;
}
