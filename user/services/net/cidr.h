#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address with its prefix length, of either family: IPv4 as ::ffff:a.b.c.d with 96 added to the
 * length, so that both sort and nest in one space. Addresses in network order. */
struct net_cidr {
	uint8_t addr[16];
	uint8_t bits; /* 0-128; of IPv4 96-128 */
	uint8_t pad[3];
};

bool net_cidr_is_v4(const struct net_cidr *c);
/* No bit is set behind the prefix. */
bool net_cidr_is_clean(const struct net_cidr *c);
void net_cidr_clean(struct net_cidr *c);
/* Order: address, then the shorter prefix first. */
int net_cidr_compare(const struct net_cidr *a, const struct net_cidr *b);
/* "10.0.0.0/8" or "2001:db8::1": at most 50 bytes with the NUL. */
#define NET_CIDR_TEXT 52
void net_cidr_text(const struct net_cidr *c, char out[NET_CIDR_TEXT]);

/* Read "A" or "A/BITS", len bytes, nothing around it. NULL, or what is wrong with it (static text).
 * A set bit behind the prefix is wrong; *out then holds the cleaned prefix as a proposal. */
const char *net_cidr_parse(const char *text, size_t len, struct net_cidr *out);
/* An address alone, of either family. */
const char *net_addr_parse(const char *text, size_t len, struct net_cidr *out);
