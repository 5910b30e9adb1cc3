#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include "harness/frame.h"

void t_put(struct t_frame *f, const void *data, size_t len)
{
	assert(f->len + len <= sizeof(f->data));
	memcpy(f->data + f->len, data, len);
	f->len += len;
}

void t_zero(struct t_frame *f, size_t len)
{
	assert(f->len + len <= sizeof(f->data));
	memset(f->data + f->len, 0, len);
	f->len += len;
}

static void put16(struct t_frame *f, uint16_t v)
{
	uint16_t be = htons(v);

	t_put(f, &be, sizeof(be));
}

static void put8(struct t_frame *f, uint8_t v)
{
	t_put(f, &v, 1);
}

static void put_addr(struct t_frame *f, int family, const char *text)
{
	uint8_t addr[16];

	assert(inet_pton(family, text, addr) == 1);
	t_put(f, addr, family == AF_INET ? 4 : 16);
}

void t_eth(struct t_frame *f, uint16_t type)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

	f->len = 0;
	t_put(f, macs, sizeof(macs));
	put16(f, type);
}

void t_tag(struct t_frame *f, uint16_t vid, uint16_t next_type)
{
	put16(f, 0x2000 | vid); /* with a priority, which must not count */
	put16(f, next_type);
}

void t_ip4_full(struct t_frame *f, const char *src, const char *dst, uint8_t proto,
		unsigned options, unsigned offset, int more)
{
	put8(f, (uint8_t)(0x40 | (5 + options / 4)));
	put8(f, 0);
	put16(f, (uint16_t)(20 + options + 40));
	put16(f, 0x1234);
	put16(f, (uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
	put8(f, 64);
	put8(f, proto);
	put16(f, 0);
	put_addr(f, AF_INET, src);
	put_addr(f, AF_INET, dst);
	for (unsigned i = 0; i < options; i++)
		put8(f, 1); /* no operation */
}

void t_ip4(struct t_frame *f, const char *src, const char *dst, uint8_t proto)
{
	t_ip4_full(f, src, dst, proto, 0, 0, 0);
}

void t_ip6(struct t_frame *f, const char *src, const char *dst, uint8_t next)
{
	put8(f, 0x60);
	t_zero(f, 3);
	put16(f, 64);
	put8(f, next);
	put8(f, 64);
	put_addr(f, AF_INET6, src);
	put_addr(f, AF_INET6, dst);
}

void t_ext(struct t_frame *f, uint8_t kind, uint8_t next, unsigned len)
{
	put8(f, next);
	put8(f, (uint8_t)(kind == IPPROTO_AH ? len / 4 - 2 : len / 8 - 1));
	t_zero(f, len - 2);
}

void t_fragment6(struct t_frame *f, uint8_t next, unsigned offset, int more)
{
	put8(f, next);
	put8(f, 0);
	put16(f, (uint16_t)((offset & 0xfff8) | (more ? 1 : 0)));
	t_zero(f, 4);
}

void t_tcp(struct t_frame *f, uint16_t sport, uint16_t dport, uint8_t flags)
{
	put16(f, sport);
	put16(f, dport);
	t_zero(f, 8);
	put8(f, 0x50);
	put8(f, flags);
	t_zero(f, 6);
}

void t_udp(struct t_frame *f, uint16_t sport, uint16_t dport)
{
	put16(f, sport);
	put16(f, dport);
	put16(f, 8);
	t_zero(f, 2);
}

void t_icmp(struct t_frame *f, uint8_t type, uint8_t code)
{
	put8(f, type);
	put8(f, code);
	t_zero(f, 6);
}

void t_packet(struct t_frame *f, const char *src, const char *dst, uint8_t proto, uint16_t sport,
	      uint16_t dport)
{
	int v6 = strchr(src, ':') != NULL;

	t_eth(f, v6 ? 0x86dd : 0x0800);
	if (v6)
		t_ip6(f, src, dst, proto);
	else
		t_ip4(f, src, dst, proto);
	switch (proto) {
	case IPPROTO_TCP:
		t_tcp(f, sport, dport, 2);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		t_icmp(f, 8, 0);
		break;
	default: /* ports stand first in all protocols that have them */
		put16(f, sport);
		put16(f, dport);
		t_zero(f, 8);
	}
}
