#pragma once
#include "modules/firewall/plan.h"

/* The maps of the classifier, by descriptor (borrowed). */
struct fw_maps {
	int head, sets, rules, ports, ifs, addr[FW_ADDRS]; /* arrays of two inner maps each */
};

struct firewall_bpf;
void fw_maps_of(const struct firewall_bpf *skel, struct fw_maps *m);

/* What lies in one half. A map-in-map update waits for the kernel's grace period, so inner arrays
 * that fit are filled again where they are (nobody reads the idle half), and what neither the old
 * nor the new policy uses is left alone. */
struct fw_inner {
	int fd; /* -1: none */
	uint32_t room;
};
struct fw_half {
	struct fw_inner head, sets, rules, ports, ifs;
	uint32_t has; /* address and interface maps that are not empty */
};

void fw_half_init(struct fw_half *h);
void fw_half_close(struct fw_half *h);

/* Fill half gen & 1 with the plan, all but the rules of interfaces. h: what lies in that half. 0,
 * or -errno, logged: nothing that a packet may read has changed. It may run beside the loop, and
 * ends with -ECANCELED when policy_cancelled(). */
int fw_half_fill(const struct fw_maps *m, struct fw_half *h, const struct fw_plan *plan,
		 uint64_t gen);

/* Then, in the loop: the rules of the interfaces that there are now. */
void fw_half_links(const struct fw_half *h, const struct fw_plan *plan);

/* An interface came, was renamed, or went (name NULL): bring an inner map of interfaces up to it.
 */
void fw_half_link(const struct fw_plan *plan, int ifs_fd, uint32_t ifindex, const char *name);
