#pragma once
#include "harness/packets.h"

/* A rule for UDP from one address, the simplest that says something. */
struct fw_spec t_rule_udp(uint32_t id, enum fw_action action, enum kmn_mode mode,
			  struct net_cidr *cidr, const char *prefix);
/* UDP from the number n of a large space of addresses (n below 2^24). */
void t_udp_from(struct t_frame *f, uint32_t n, uint16_t dport);
