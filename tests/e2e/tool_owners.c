/* tool_owners ADDRESS PORT N GO: N sockets of UDP, made 20 ms apart and connected to ADDRESS, from
 * PORT on; when the file GO is there, each sends one packet. For tests that change a sensor
 * meanwhile: each packet must be told of with this process. Exit 0, or 2 when a socket cannot be
 * made. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 512
#define STEP_US 20000
#define PATIENCE_US 120000000

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fds[SOCKETS_MAX], n, waited = 0;

	if (argc != 5 || !inet_aton(argv[1], &to.sin_addr))
		return 2;
	to.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	n = (int)strtol(argv[3], NULL, 10);
	for (int i = 0; i < n && n <= SOCKETS_MAX; i++) {
		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&to, sizeof(to)) < 0) {
			perror(argv[1]);
			return 2;
		}
		to.sin_addr.s_addr = htonl(ntohl(to.sin_addr.s_addr) + 1);
		(void)usleep(STEP_US);
	}
	for (; access(argv[4], F_OK) < 0; waited += STEP_US) {
		if (waited > PATIENCE_US)
			return 2;
		(void)usleep(STEP_US);
	}
	for (int i = 0; i < n && n <= SOCKETS_MAX; i++)
		(void)!send(fds[i], "x", 1, 0); /* EPERM is the verdict */
	(void)sleep(1);				/* the sensor may look us up */
	return 0;
}
