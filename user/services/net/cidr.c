#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "services/net/cidr.h"

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool net_cidr_is_v4(const struct net_cidr *c)
{
	return c->bits >= 96 && !memcmp(c->addr, mapped, sizeof(mapped));
}

void net_cidr_clean(struct net_cidr *c)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = c->bits > i * 8 ? c->bits - i * 8 : 0;

		if (keep < 8)
			c->addr[i] &= (uint8_t)(0xff00 >> keep);
	}
}

bool net_cidr_is_clean(const struct net_cidr *c)
{
	struct net_cidr clean = *c;

	net_cidr_clean(&clean);
	return !memcmp(clean.addr, c->addr, sizeof(c->addr));
}

int net_cidr_compare(const struct net_cidr *a, const struct net_cidr *b)
{
	int r = memcmp(a->addr, b->addr, sizeof(a->addr));

	return r ? r : (int)a->bits - (int)b->bits;
}

void net_cidr_text(const struct net_cidr *c, char out[NET_CIDR_TEXT])
{
	bool v4 = net_cidr_is_v4(c);
	unsigned bits = v4 ? c->bits - 96U : c->bits, whole = v4 ? 32 : 128;
	char addr[INET6_ADDRSTRLEN];

	(void)inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? c->addr + 12 : c->addr, addr, sizeof(addr));
	if (bits == whole)
		(void)snprintf(out, NET_CIDR_TEXT, "%s", addr);
	else
		(void)snprintf(out, NET_CIDR_TEXT, "%s/%u", addr, bits);
}

const char *net_addr_parse(const char *text, size_t len, struct net_cidr *out)
{
	char copy[INET6_ADDRSTRLEN];

	memset(out, 0, sizeof(*out));
	out->bits = 128;
	if (!len)
		return "is empty: an IPv4 or IPv6 address is expected";
	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return "is not an IPv4 or IPv6 address";
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET6, copy, out->addr) == 1)
		return NULL;
	memcpy(out->addr, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, copy, out->addr + 12) == 1)
		return NULL;
	return "is not an IPv4 or IPv6 address";
}

/* 1 to 3 digits, no leading zero: 0-max, or -1. */
static int read_bits(const char *text, size_t len, unsigned max)
{
	unsigned v = 0;

	if (!len || len > 3 || (len > 1 && text[0] == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		v = v * 10 + (unsigned)(text[i] - '0');
	}
	return v <= max ? (int)v : -1;
}

const char *net_cidr_parse(const char *text, size_t len, struct net_cidr *out)
{
	const char *slash = len ? memchr(text, '/', len) : NULL;
	size_t addr_len = slash ? (size_t)(slash - text) : len;
	const char *wrong = net_addr_parse(text, addr_len, out);
	bool dotted = addr_len && !memchr(text, ':', addr_len);
	int bits;

	if (wrong || !slash)
		return wrong;
	bits = read_bits(slash + 1, len - addr_len - 1, dotted ? 32 : 128);
	if (bits < 0)
		return dotted ? "has a prefix length that is not 0-32"
			      : "has a prefix length that is not 0-128";
	out->bits = (uint8_t)(dotted ? bits + 96 : bits);
	if (net_cidr_is_clean(out))
		return NULL;
	net_cidr_clean(out);
	return "has bits set behind its prefix length";
}
