#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "services/net/denied.h"
#include "services/net/links.h"
#include "services/net/names.h"

bool net_denied_check(const struct kmn_event *rec)
{
	const struct net_denied *d = (const struct net_denied *)rec;

	return d->fold.reason >> 8 == rec->part && d->fold.direction <= NET_OUTGOING &&
	       (d->fold.mode == KMN_DETECT || d->fold.mode == KMN_PREVENT) &&
	       (d->first.key.ip_version == 0 || d->first.key.ip_version == 4 ||
		d->first.key.ip_version == 6) &&
	       d->first.who.via <= NET_VIA_LISTENER;
}

static void fill_packet(struct event *ev, const struct net_seen *s)
{
	const struct net_key *k = &s->key;

	if (k->ip_version) {
		event_u64(ev, EVENT_F_ip_version, k->ip_version);
		event_ip(ev, EVENT_F_src_ip, k->saddr_be);
		event_ip(ev, EVENT_F_dst_ip, k->daddr_be);
		if (!(s->flags & NET_PKT_NO_PROTO))
			event_u64(ev, EVENT_F_protocol, k->proto);
	}
	if (k->sport_be || k->dport_be) {
		event_u64(ev, EVENT_F_src_port, ntohs(k->sport_be));
		event_u64(ev, EVENT_F_dst_port, ntohs(k->dport_be));
	}
	if (k->proto == IPPROTO_TCP && !(s->flags & (NET_PKT_LATER | NET_PKT_NO_PORTS)))
		event_u64(ev, EVENT_F_tcp_flags, s->tcp_flags);
	if (k->proto == IPPROTO_ICMP || k->proto == IPPROTO_ICMPV6) {
		event_u64(ev, EVENT_F_icmp_type, s->icmp_type);
		event_u64(ev, EVENT_F_icmp_code, s->icmp_code);
	}
	if (s->flags & NET_PKT_FRAGMENT)
		event_u64(ev, EVENT_F_fragment, s->flags & NET_PKT_LATER ? 2 : 1);
	if (s->vlan)
		event_u64(ev, EVENT_F_vlan, s->vlan);
	event_u64(ev, EVENT_F_ethertype, ntohs(s->ethertype_be));
}

static uint8_t via_of(const struct net_who *who)
{
	switch (who->via) {
	case NET_VIA_OWNER:
		return EVENT_VIA_OWNER;
	case NET_VIA_LISTENER:
		return EVENT_VIA_LISTENER;
	default:
		return EVENT_VIA_UNKNOWN;
	}
}

void net_denied_fill(struct event *ev, const struct net_fold_key *key, const struct net_seen *first,
		     const char *interface)
{
	bool prevent = key->mode == KMN_PREVENT;

	ev->gen = key->gen;
	ev->mode = key->mode;
	/* What was let through although the policy forbids it matters more than what was stopped.
	 */
	ev->action = prevent ? EVENT_DENIED : EVENT_WOULD_DENY;
	ev->severity = prevent ? EVENT_LOW : EVENT_MEDIUM;
	ev->via = EVENT_VIA_UNKNOWN;
	ev->rule_id = key->rule_id;
	ev->rule = net_names_find((uint8_t)(key->reason >> 8), key->gen, key->rule_id);
	event_u64(ev, EVENT_F_direction, key->direction);
	event_u64(ev, EVENT_F_reason, key->reason & 0xff);
	if (!first || key->many) /* the first packet of many sources is no better than another */
		return;
	fill_packet(ev, first);
	if (key->zone)
		event_u64(ev, EVENT_F_zone, key->zone);
	if (interface[0])
		event_text(ev, EVENT_F_interface, text_of(interface));
	ev->via = via_of(&first->who);
	ev->pid = first->who.pid;
	ev->start_ns = first->who.start_ns;
	ev->cgroup_id = first->who.cgroup_id;
}

int net_denied_enrich(void *self, const struct kmn_event *rec, struct event *ev)
{
	const struct net_denied *d = (const struct net_denied *)rec;

	(void)self; /* of whatever module: names and interfaces are the service's */
	net_denied_fill(ev, &d->fold, &d->first, net_links_name(d->first.ifindex));
	event_u64(ev, EVENT_F_bytes, d->first.len_bytes);
	ev->count = 1;
	return 1;
}

/* ---- text ---- */
static void add_ip(struct buf *out, const struct event_field *f)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[INET6_ADDRSTRLEN];
	bool v4 = !memcmp(f->ip, mapped, sizeof(mapped));

	buf_puts(out,
		 inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? f->ip + 12 : f->ip, text, sizeof(text)));
}

static void add_end(const struct event *ev, struct buf *out, enum event_field_id ip,
		    enum event_field_id port)
{
	const struct event_field *a = event_get(ev, ip), *p = event_get(ev, port);
	bool v6 = event_get_u64(ev, EVENT_F_ip_version, 4) == 6;

	if (!a)
		return;
	if (p && v6)
		buf_puts(out, "[");
	add_ip(out, a);
	if (p)
		buf_printf(out, "%s:%" PRIu64, v6 ? "]" : "", p->u);
}

static void add_protocol(const struct event *ev, struct buf *out)
{
	const struct event_field *f = event_get(ev, EVENT_F_protocol);
	const char *name = f ? net_proto_name(f->u) : NULL;

	if (name)
		buf_printf(out, " %s", name);
	else if (f)
		buf_printf(out, " protocol %" PRIu64, f->u);
}

static void add_who(const struct event *ev, struct buf *out)
{
	const struct process_view *p = &ev->who.p[0];
	struct text name;

	if (!ev->who.n || !p->pid)
		return;
	buf_puts(out, ev->via == EVENT_VIA_LISTENER ? " for " : " by ");
	name = process_name(p);
	buf_add_safe(out, name.p, name.len);
	buf_printf(out, "[%u]", p->pid);
}

void net_denied_text(const struct event *ev, struct buf *out)
{
	struct text interface = event_get_text(ev, EVENT_F_interface);
	uint64_t outgoing = event_get_u64(ev, EVENT_F_direction, NET_INCOMING);

	if (ev->message.p) { /* of the module as a whole */
		buf_add_safe(out, ev->message.p, ev->message.len);
		buf_printf(out, " x%" PRIu64, ev->count);
		return;
	}
	buf_puts(out, ev->action == EVENT_DENIED ? "denied" : "would deny");
	add_protocol(ev, out);
	buf_puts(out, " ");
	if (event_get(ev, EVENT_F_src_ip)) {
		add_end(ev, out, EVENT_F_src_ip, EVENT_F_src_port);
		buf_puts(out, " -> ");
		add_end(ev, out, EVENT_F_dst_ip, EVENT_F_dst_port);
	} else {
		buf_puts(out,
			 outgoing ? "packets to many addresses" : "packets from many addresses");
	}
	buf_puts(out, outgoing ? " outgoing" : " incoming");
	if (interface.p) {
		buf_puts(out, " on ");
		buf_add_safe(out, interface.p, interface.len);
	}
	if (ev->rule.p) {
		buf_puts(out, " rule \"");
		buf_add_safe(out, ev->rule.p, ev->rule.len);
		buf_puts(out, "\"");
	} else if (ev->rule_id) {
		buf_printf(out, " rule %u of an earlier policy", ev->rule_id);
	}
	add_who(ev, out);
	if (ev->count > 1)
		buf_printf(out, " x%" PRIu64, ev->count);
}

/* ---- OCSF: Network Activity, with the profile security_control ---- */
static void put_end(const struct event *ev, struct json *j, const char *name,
		    enum event_field_id ip, enum event_field_id port, bool local)
{
	const struct event_field *a = event_get(ev, ip), *p = event_get(ev, port);
	struct text interface = event_get_text(ev, EVENT_F_interface);
	const struct event_field *vlan = event_get(ev, EVENT_F_vlan);
	char text[64];
	struct buf b = buf_fixed(text, sizeof(text));

	if (!a)
		return;
	add_ip(&b, a);
	json_object(j, name);
	json_str(j, "ip", buf_text(&b));
	if (p)
		json_u64(j, "port", p->u);
	if (local && interface.p)
		json_text(j, "interface_name", interface);
	if (vlan)
		json_printf(j, "vlan_uid", "%" PRIu64, vlan->u);
	json_end(j);
}

static void put_connection(const struct event *ev, struct json *j, bool outgoing)
{
	const struct event_field *proto = event_get(ev, EVENT_F_protocol);
	const struct event_field *flags = event_get(ev, EVENT_F_tcp_flags);
	uint64_t version = event_get_u64(ev, EVENT_F_ip_version, 0);

	json_object(j, "connection_info");
	json_u64(j, "direction_id", outgoing ? 2 : 1);
	json_str(j, "direction", outgoing ? "Outbound" : "Inbound");
	if (proto) {
		json_u64(j, "protocol_num", proto->u);
		if (net_proto_name(proto->u))
			json_str(j, "protocol_name", net_proto_name(proto->u));
	}
	if (version)
		json_u64(j, "protocol_ver_id", version);
	if (flags)
		json_u64(j, "tcp_flags", flags->u);
	json_end(j);
}

void net_denied_ocsf(const struct event *ev, struct json *j)
{
	bool outgoing = event_get_u64(ev, EVENT_F_direction, NET_INCOMING) == NET_OUTGOING;

	put_end(ev, j, "src_endpoint", EVENT_F_src_ip, EVENT_F_src_port, outgoing);
	put_end(ev, j, "dst_endpoint", EVENT_F_dst_ip, EVENT_F_dst_port, !outgoing);
	put_connection(ev, j, outgoing);
	json_u64(j, "observation_point_id", outgoing ? 1 : 2);
	json_object(j, "traffic");
	json_u64(j, "packets", ev->count);
	json_u64(j, "bytes", event_get_u64(ev, EVENT_F_bytes, 0));
	json_end(j);
	if (ev->rule_id) {
		json_object(j, "firewall_rule");
		json_printf(j, "uid", "%u", ev->rule_id);
		json_text(j, "name", ev->rule);
		json_end(j);
	}
}
