#pragma once
#include <stddef.h>
#include <stdint.h>

/* Frames for tests, header by header from the outside in. Each call appends; nothing is completed
 * (lengths of IP stand at what was asked for, checksums at 0). */
struct t_frame {
	size_t len;
	uint8_t data[3600]; /* BPF_PROG_TEST_RUN refuses about 4,000 */
};

void t_put(struct t_frame *f, const void *data, size_t len);
void t_zero(struct t_frame *f, size_t len);
void t_eth(struct t_frame *f, uint16_t type);
/* The tag behind an Ethernet header or another tag, whose type must be that of a tag. */
void t_tag(struct t_frame *f, uint16_t vid, uint16_t next_type);
void t_ip4(struct t_frame *f, const char *src, const char *dst, uint8_t proto);
/* options: bytes, a multiple of 4; offset: in bytes, a multiple of 8. */
void t_ip4_full(struct t_frame *f, const char *src, const char *dst, uint8_t proto,
		unsigned options, unsigned offset, int more);
void t_ip6(struct t_frame *f, const char *src, const char *dst, uint8_t next);
/* An IPv6 extension header of len bytes (a multiple of 8, of 4 for AH). */
void t_ext(struct t_frame *f, uint8_t kind, uint8_t next, unsigned len);
void t_fragment6(struct t_frame *f, uint8_t next, unsigned offset, int more);
void t_tcp(struct t_frame *f, uint16_t sport, uint16_t dport, uint8_t flags);
void t_udp(struct t_frame *f, uint16_t sport, uint16_t dport);
void t_icmp(struct t_frame *f, uint8_t type, uint8_t code);

/* A whole frame: Ethernet, IP of the family of src, TCP, UDP, ICMP or 8 bytes. */
void t_packet(struct t_frame *f, const char *src, const char *dst, uint8_t proto, uint16_t sport,
	      uint16_t dport);
