#include "core/connections.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_OPEN 0x01 /* TCP_ESTABLISHED */
#define STATE_LISTEN 0x0a
#define LINES_MAX 200000 /* of one file: a second of reading */

static const char *const files[] = { "tcp", "tcp6" };

struct gather {
	struct kmn_connection *out;
	unsigned n;
	bool listens[65536];
	uint8_t of_port[65536]; /* taken, by local port */
};

static bool is_loopback(const uint8_t a[16])
{
	static const uint8_t one[16] = { [15] = 1 };

	return !memcmp(a, one, 16) || (a[10] == 0xff && a[11] == 0xff && a[12] == 127);
}

/* "0100007F" or four such words: each is a word of the address as this machine holds it. */
static bool read_address(const char *hex, uint8_t out[16])
{
	size_t len = strlen(hex);
	unsigned word;

	if (len != 8 && len != 32)
		return false;
	memcpy(out, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	for (size_t i = 0; i < len / 8; i++) {
		char part[9] = "";

		memcpy(part, hex + 8 * i, 8);
		if (sscanf(part, "%x", &word) != 1)
			return false;
		memcpy(out + (len == 8 ? 12 : 4 * i), &word, 4);
	}
	return true;
}

static bool read_line(const char *line, struct kmn_connection *c, unsigned *state)
{
	char local[33], peer[33];
	unsigned local_port, peer_port;

	if (sscanf(line, " %*u: %32[0-9A-Fa-f]:%x %32[0-9A-Fa-f]:%x %x", local, &local_port, peer,
		   &peer_port, state) != 5 ||
	    local_port > UINT16_MAX || peer_port > UINT16_MAX)
		return false;
	memset(c, 0, sizeof(*c));
	c->local_port = (uint16_t)local_port;
	c->peer_port = (uint16_t)peer_port;
	return read_address(local, c->local) && read_address(peer, c->peer);
}

static void note_listener(struct gather *g, const struct kmn_connection *c, unsigned state)
{
	if (state == STATE_LISTEN)
		g->listens[c->local_port] = true;
}

static void note_open(struct gather *g, const struct kmn_connection *c, unsigned state)
{
	if (state != STATE_OPEN || !g->listens[c->local_port] || is_loopback(c->peer) ||
	    g->n == CONNECTIONS_MAX || g->of_port[c->local_port] == CONNECTIONS_PER_PORT)
		return;
	for (unsigned i = 0; i < g->n; i++)
		if (g->out[i].local_port == c->local_port && !memcmp(g->out[i].peer, c->peer, 16))
			return;
	g->of_port[c->local_port]++;
	g->out[g->n++] = *c;
}

static void each_line(const char *proc_net, struct gather *g,
		      void (*note)(struct gather *, const struct kmn_connection *, unsigned state))
{
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char path[PATH_MAX], line[512];
		struct kmn_connection c;
		unsigned state;
		FILE *f;

		if ((size_t)snprintf(path, sizeof(path), "%s/%s", proc_net, files[i]) >=
		    sizeof(path))
			continue;
		f = fopen(path, "re");
		for (int n = 0; f && n < LINES_MAX && fgets(line, sizeof(line), f); n++)
			if (read_line(line, &c, &state))
				note(g, &c, state);
		if (f)
			(void)fclose(f);
	}
}

static void name_interfaces(struct kmn_connection *c, unsigned n)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) < 0)
		return; /* they stay unknown */
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		uint8_t addr[16] = "\0\0\0\0\0\0\0\0\0\0\xff\xff";

		if (!a->ifa_addr)
			continue;
		if (a->ifa_addr->sa_family == AF_INET)
			memcpy(addr + 12,
			       &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr,
			       4);
		else if (a->ifa_addr->sa_family == AF_INET6)
			memcpy(addr,
			       &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr,
			       16);
		else
			continue;
		for (unsigned i = 0; i < n; i++)
			if (!memcmp(c[i].local, addr, 16))
				(void)snprintf(c[i].interface, sizeof(c[i].interface), "%s",
					       a->ifa_name);
	}
	freeifaddrs(all);
}

unsigned connections_read(const char *proc_net, struct kmn_connection *out)
{
	struct gather *g = calloc(1, sizeof(*g));
	unsigned n;

	if (!g)
		return 0;
	g->out = out;
	each_line(proc_net, g, note_listener);
	each_line(proc_net, g, note_open);
	n = g->n;
	free(g);
	name_interfaces(out, n);
	return n;
}
