#pragma once
#include "services/net/links.h"

/* The programs on the interfaces: hung, looked after, and hung again when somebody took them out.
 */

/* Hang them. The facts stand before the first packet is judged by them. */
void net_place_on(struct net_link *l, bool pod);
/* Take them out, with their hooks and facts. */
void net_place_off(struct net_link *l);
/* What the programs know of the interface. pod: it is the host's end of a pod's veth. */
void net_place_facts(struct net_link *l, bool pod);
/* The hooks take its new name; the programs stay where they hang. */
void net_place_renamed(struct net_link *l);
/* What leaves by lo comes in by it: judged once. */
bool net_place_has_egress(const struct net_link *l);
/* Each second. */
void net_place_tick(uint64_t now_ns);
