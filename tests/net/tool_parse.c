/* tool_parse: what the packet program reads of frames. Standard input: frames, each with its length
 * before it (4 bytes, little endian), from the Ethernet header on. For each a line:
 *   READ VERSION SOURCE DESTINATION PROTOCOL SPORT DPORT FRAGMENT LATER NO_PORTS NO_PROTO VLANS
 * READ is 0 where the program says that it cannot read an IP header; VERSION 0: not IP. "short" for
 * a frame that the kernel takes for no test run: an Ethernet header with little or nothing behind
 * it. Only the first bytes count, so a longer frame is cut. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness/packets.h"

static const char *address(const __u32 a[4], unsigned version, char *text)
{
	if (version == 4)
		return inet_ntop(AF_INET, &a[3], text, INET6_ADDRSTRLEN);
	return inet_ntop(AF_INET6, a, text, INET6_ADDRSTRLEN);
}

static void tell(struct t_net *t, const struct t_frame *f)
{
	uint64_t before = t_count(t, NET_C_UNPARSED);
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = (__u32)f->len,
		    .repeat = 1);
	struct net_pkt p;

	if (bpf_prog_test_run_opts(bpf_program__fd(t->net->progs.net_ingress), &opts) < 0) {
		(void)puts("short");
		return;
	}
	p = t_pkt(t);
	(void)printf("%d %u %s %s %u %u %u %d %d %d %d %u\n", t_count(t, NET_C_UNPARSED) == before,
		     p.key.ip_version, address(p.key.saddr_be, p.key.ip_version, src),
		     address(p.key.daddr_be, p.key.ip_version, dst), p.key.proto,
		     ntohs(p.key.sport_be), ntohs(p.key.dport_be), !!(p.flags & NET_PKT_FRAGMENT),
		     !!(p.flags & NET_PKT_LATER), !!(p.flags & NET_PKT_NO_PORTS),
		     !!(p.flags & NET_PKT_NO_PROTO), p.n_vlans);
}

/* False: the end. */
static bool next(struct t_frame *f)
{
	uint32_t len, keep;

	if (fread(&len, sizeof(len), 1, stdin) != 1)
		return false;
	keep = len < sizeof(f->data) ? len : (uint32_t)sizeof(f->data);
	f->len = keep;
	if (keep && fread(f->data, keep, 1, stdin) != 1)
		return false;
	for (; keep < len; keep++)
		if (getchar() == EOF)
			return false;
	return true;
}

int main(void)
{
	struct t_frame f;
	struct t_net *t;

	t_need_bpf();
	t_bind_cpu(0);
	t = t_net_open();
	while (next(&f))
		tell(t, &f);
	t_net_close(t);
	return 0;
}
